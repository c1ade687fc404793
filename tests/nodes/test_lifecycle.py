"""What every node shares: lifecycle, parameters, and attributes that do not shadow rclpy's own."""

import pytest

from perception_nodes.config import ConfigError, build_config, parameters_of
from perception_nodes.nodes.config import NODE_CONFIGS
from perception_nodes.systems.spvcnn.config import SpvcnnConfig
from tests.nodes.conftest import QUICK, HeightSession, cloud, spvcnn_node

pytestmark = pytest.mark.ros


def make(stage, session=None, **overrides):

    session = session or HeightSession()
    return spvcnn_node(lambda config: session, overrides={**QUICK, **overrides}, context=stage.context)


def set_parameter(node, name, value):
    from rclpy.parameter import Parameter

    return node.set_parameters([Parameter(name, value=value)])[0]


def test_an_unknown_parameter_is_refused_by_name_one_at_a_time_and_atomically(stage):
    from rcl_interfaces.srv import SetParameters, SetParametersAtomically
    from rclpy.parameter import Parameter

    node = stage.add(make(stage))
    given = (("latency.warn_ms", 50.0), ("laten", 1))
    sent = [Parameter(name, value=value).to_parameter_msg() for name, value in given]
    for kind, name in ((SetParameters, "set_parameters"), (SetParametersAtomically, "set_parameters_atomically")):
        client = stage.client.create_client(kind, f"/spvcnn_node/{name}")
        assert client.wait_for_service(60.0)
        future = client.call_async(kind.Request(parameters=sent))
        stage.until(future.done)
        found = future.result()
        result = found.results[-1] if kind is SetParameters else found.result
        assert not result.successful and "no parameter 'laten' of spvcnn_node" in result.reason
        stage.client.destroy_client(client)
        if kind is SetParameters:
            assert node.config.latency.warn_ms == 50.0
            set_parameter(node, "latency.warn_ms", 100.0)
    assert node.config.latency.warn_ms == 100.0  # all or none
    assert node.set_parameters_atomically([Parameter("latency.warn_ms", value=70.0)]).successful
    assert node.config.latency.warn_ms == 70.0


def test_lifecycle_there_and_back_and_there_again(stage):
    from rclpy.lifecycle import TransitionCallbackReturn
    from sensor_msgs.msg import PointCloud2

    node = stage.add(make(stage))
    got = stage.listen(PointCloud2, "/spvcnn_node/output/segmentation")
    out = stage.publisher(PointCloud2, "/spvcnn_node/input/points")
    assert node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    stage.until(lambda: not out.get_subscription_count())
    assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS and node.session is None
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    stage.connected(out)
    stage.until(lambda: node._out["~/output/segmentation"].get_subscription_count())
    out.publish(cloud(1.0))
    stage.until(lambda: got)


def test_a_lifecycle_manager_can_drive_the_node(stage):
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState

    node = stage.add(make(stage), start=False)
    client = stage.client.create_client(ChangeState, "/spvcnn_node/change_state")
    assert client.wait_for_service(60.0)
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request()
        request.transition.id = transition
        future = client.call_async(request)
        stage.until(future.done)
        assert future.result().success
    assert node.session is not None
    stage.client.destroy_client(client)


def test_a_session_that_cannot_be_built_fails_configure_with_its_sentence(stage, capfd):
    from rclpy.lifecycle import TransitionCallbackReturn


    def missing(config):
        raise FileNotFoundError("no model 'x': see perception weights list")

    node = stage.add(spvcnn_node(missing, context=stage.context), start=False)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "cannot configure: no model 'x': see perception weights list" in capfd.readouterr().err


def test_unknown_parameters_are_refused_by_name(stage):
    with pytest.raises(ConfigError, match=r"no parameter 'modle\.name' of spvcnn_node: did you mean 'model\.name'"):
        make(stage, **{"modle.name": "x"})
    node = stage.add(make(stage))
    refused = set_parameter(node, "modle.name", "x")
    assert not refused.successful and "no parameter 'modle.name' of spvcnn_node: did you mean" in refused.reason


def test_values_that_are_not_allowed_are_refused_with_the_reason(stage):
    with pytest.raises(ConfigError, match=r"'latency\.warn_ms' of spvcnn_node: .*greater than 0.*found -1"):
        make(stage, **{"latency.warn_ms": -1})
    node = stage.add(make(stage))
    result = set_parameter(node, "filtered.drop_classes", ["lava"])
    assert not result.successful and "no point class 'lava'" in result.reason


def test_live_parameters_change_at_once_and_others_only_before_configure(stage):
    node = stage.add(make(stage))
    assert set_parameter(node, "latency.warn_ms", 50.0).successful and node.config.latency.warn_ms == 50.0
    refused = set_parameter(node, "model.threads", 1)
    assert not refused.successful and "read when the node is configured" in refused.reason
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert set_parameter(node, "model.threads", 1).successful and node.config.model.threads == 1


def test_an_empty_list_is_a_list_with_an_empty_text(stage):
    node = stage.add(make(stage, **{"filtered.drop_classes": [""]}))
    assert node.config.filtered.drop_classes == []
    assert node.get_parameter("filtered.drop_classes").value == [""]


def test_no_attribute_of_ours_shadows_rclpys(stage):
    from rclpy.lifecycle import LifecycleNode

    from perception_nodes.nodes.player import PlayerNode
    from perception_nodes.nodes.recorder import RecorderNode
    from perception_nodes.nodes.simulator import SimulatorNode

    plain = LifecycleNode("plain", context=stage.context)
    theirs = set(vars(plain)) | set(dir(LifecycleNode))
    plain.destroy_node()
    setters = {"set_parameters", "set_parameters_atomically"}
    hooks = {*setters, "on_configure", "on_activate", "on_deactivate", "on_cleanup", "on_shutdown", "on_error"}
    hooks |= {"create_publisher", "create_subscription", "destroy_subscription", "destroy_node"}
    nodes = [
        make(stage),
        PlayerNode(context=stage.context),
        SimulatorNode(context=stage.context),
        RecorderNode([], None, context=stage.context),
    ]
    for node in nodes:
        stage.add(node, start=False)
        classes = type(node).__mro__[: type(node).__mro__.index(LifecycleNode)]
        ours = {n for c in classes for n in vars(c) if not n.startswith("__")}
        assert not (ours & theirs) - hooks, type(node).__name__
        own = set(vars(node)) - set(vars(plain))
        assert not own & set(dir(LifecycleNode)), type(node).__name__


@pytest.mark.parametrize("name", sorted(NODE_CONFIGS))
def test_every_parameter_has_a_sentence(name):
    assert [p.name for p in parameters_of(NODE_CONFIGS[name]) if len(p.description) < 3] == []


def test_integers_serve_as_floats():
    assert build_config(SpvcnnConfig, {"latency.warn_ms": 80}).latency.warn_ms == 80.0
