"""The graph, and the launch files and the composed start that read it."""

import importlib.util
import sys
import types
from pathlib import Path

import pytest
import yaml

from perception_nodes.config import ConfigError, build_config, parameters_of
from perception_nodes.graph import PLANS, config_folder, resolve
from perception_nodes.nodes.compose import node_file, process_command, read_stack, ros_arguments
from perception_nodes.nodes.config import NODE_CONFIGS

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = {"replay": {"bag": "drive"}}


@pytest.mark.parametrize("name", sorted(NODE_CONFIGS))
def test_each_nodes_yaml_holds_every_parameter_with_its_default(name):
    given = node_file(config_folder() / f"{name}.yaml")
    config = build_config(NODE_CONFIGS[name], given, name)
    assert config == NODE_CONFIGS[name]()
    assert set(given) == {p.name for p in parameters_of(NODE_CONFIGS[name])}


@pytest.mark.parametrize("name", sorted(PLANS))
def test_every_plan_resolves_to_parameters_that_exist(name):
    for node in resolve(PLANS[name], REQUIRED.get(name, {})):
        given = {k: v for k, v in node.parameters.items() if k != "use_sim_time"}
        build_config(NODE_CONFIGS[node.name], given, node.name)
        assert node.config.is_file()
        assert process_command(node)[2] == f"perception_nodes.nodes.{node.name}"


def test_the_simulator_starts_only_where_it_is_asked_for():
    assert [n.name for n in resolve(PLANS["perception"], {})] == ["spvcnn_node"]
    nodes = resolve(PLANS["perception"], {"simulate": "true"})
    assert [n.name for n in nodes] == ["spvcnn_node", "simulator_node"]
    assert nodes[0].parameters["use_sim_time"] is True
    nodes = resolve(PLANS["perception"], {"events": "true", "image": "/cam", "camera": "roof"})
    assert [n.name for n in nodes] == ["spvcnn_node", "tsm_node"]
    assert nodes[1].remaps["~/input/image"] == "/cam" and nodes[1].parameters["cameras"] == ["roof"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"speed": "1"}, "has no argument 'speed'; known: bag, rate"),
        ({"bag": "x", "pointz": "/a"}, "has no argument 'pointz'; did you mean 'points'\\?"),
        ({"bag": "x", "threads": "two"}, "threads:=two: expected int"),
        ({"bag": "x", "events": "on"}, "events:=on: expected true or false"),
        ({"bag": "x", "reliability": "best"}, "expected best_effort or reliable"),
        ({"bag": "x", "events": "true", "cameras": "[front, left]", "image": "/cam"}, "one topic for 2 cameras"),
        ({}, "needs bag:="),
        ({"bag": "x", "rate": "fast"}, "rate:=fast: expected float"),
        ({"bag": "x", "precision": "int4"}, "expected auto or fp32 or int16 or int8 or bf16"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments, sentence):
    with pytest.raises(ConfigError, match=sentence):
        resolve(PLANS["replay"], arguments)


def test_the_default_stack_file_is_valid():
    assert [n.name for n in read_stack()] == ["spvcnn_node", "simulator_node"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("plan: perception\nnodes: {}", "no key 'nodes'; known: plan, arguments, parameters"),
        ("plan: lidar", "no plan 'lidar'; known: spvcnn"),
        ("parameters: {gan_node: {}}", "no node 'gan_node'"),
        ("parameters: {spvcnn_node: {modle.name: x}}", "did you mean 'model.name'"),
        ("parameters: {spvcnn_node: {latency.warn_ms: soon}}", "latency.warn_ms"),
        ("- a", "found list"),
        ("a: [", "is not valid YAML"),
    ],
)
def test_a_bad_stack_file_is_one_sentence(tmp_path, content, sentence):
    (tmp_path / "stack.yaml").write_text(content)
    with pytest.raises(ConfigError) as told:
        read_stack(tmp_path / "stack.yaml")
    assert sentence in str(told.value)


def test_no_stack_file_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        read_stack(tmp_path / "absent.yaml")


def nodes_of(plan, **arguments):
    return {node.name: node for node in resolve(PLANS[plan], arguments)}


@pytest.mark.parametrize("rig", ["kitti", "nuscenes", "vlp16"])
def test_a_simulated_stack_reads_a_camera_of_its_rig(rig):
    from perception_nodes.simulator.rigs import rig as rig_of

    nodes = nodes_of("perception", simulate="true", events="true", rig=rig)
    first = rig_of(rig).cameras[0].name
    assert nodes["tsm_node"].parameters["cameras"] == [first]
    assert nodes["tsm_node"].remaps["~/input/image"] == f"camera/{first}/image/compressed"
    assert nodes["simulator_node"].parameters["max_cameras"] == 1


def test_the_simulator_renders_the_cameras_that_are_asked_for():
    nodes = nodes_of("perception", simulate="true", events="true", camera="right")
    assert nodes["tsm_node"].parameters["cameras"] == ["right"]
    assert nodes["simulator_node"].parameters["max_cameras"] == 2  # left, right
    with pytest.raises(ConfigError, match="no camera 'roof' in rig kitti; its cameras: left, right"):
        nodes_of("perception", simulate="true", events="true", camera="roof")


def test_six_cameras_by_one_argument():
    names = ["front", "front_left", "front_right", "back", "back_left", "back_right"]
    node = nodes_of("tsm", cameras=f"[{', '.join(names)}]")["tsm_node"]
    assert node.parameters["cameras"] == names
    assert all(node.remaps[f"~/input/{n}/image"] == f"camera/{n}/image/compressed" for n in names)
    node = nodes_of("tsm", cameras=["a", "b"], image="/cams/{camera}/image_raw")["tsm_node"]
    assert all(node.remaps[f"~/input/{name}/image"] == f"/cams/{name}/image_raw" for name in "ab")
    assert not any("{" in name for name in node.remaps.values())


def test_two_namespaced_stacks_share_no_topic():
    left = nodes_of("perception", namespace="left", events="true")
    for node in left.values():
        assert node.namespace == "left" and ros_arguments(node)[3:5] == ["-r", "__ns:=/left"]
        assert not any(topic.startswith("/") for topic in node.remaps.values())
    given = nodes_of("perception", namespace="left", points="/velodyne_points")["spvcnn_node"]
    assert given.remaps["~/input/points"] == "/velodyne_points"
    assert given.remaps["~/output/segmentation"] == "perception/segmentation"
    bag = nodes_of("replay", namespace="left", bag="x", points="/velodyne_points")
    assert bag["spvcnn_node"].remaps["~/input/points"] == "velodyne_points"  # the player is in the namespace, too


def test_the_player_waits_for_the_nodes_that_are_switched_on():
    def waits(**arguments):
        given = nodes_of("replay", bag="x", **arguments)["player_node"].parameters
        return list(zip(given["playback.wait_for"], given["playback.wait_nodes"], given["answer.topics"]))

    points = ("/lidar/points", "spvcnn_node", "/perception/segmentation")
    front = ("/camera/front/image/compressed", "tsm_node", "/perception/events")
    assert waits() == [points]
    assert waits(events="true") == [points, front]
    assert waits(events="true", segmentation="false", image="/cam") == [("/cam", *front[1:])]
    two = waits(events="true", segmentation="false", cameras="[front, left]")
    assert two == [front, ("/camera/left/image/compressed", *front[1:])]


def test_only_given_arguments_stand_above_a_parents_parameters():
    node = nodes_of("spvcnn", threads="3")["spvcnn_node"]
    assert "model.threads" not in node.defaults and {"model.name", "qos.input.depth", "use_sim_time"} <= node.defaults


class Recorded:
    """Stands for any class of launch and launch_ros: it keeps what it was built with."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


@pytest.fixture
def launch_ros(monkeypatch):
    """Where ROS's launch is not installed: a record of what the launch files would build."""
    try:
        import launch_ros  # noqa: F401

        pytest.skip("the real launch_ros is here: see test_launch_files_build_with_launch_ros")
    except ImportError:
        pass
    names = {
        "launch": ["LaunchDescription"],
        "launch.actions": ["DeclareLaunchArgument", "EmitEvent", "OpaqueFunction"],
        "launch.events": ["Shutdown"],
        "launch.substitutions": ["TextSubstitution"],
        "launch_ros": [],
        "launch_ros.actions": ["LifecycleNode"],
        "launch_ros.parameter_descriptions": ["ParameterValue"],
    }
    for module, classes in names.items():
        made = types.ModuleType(module)
        for name in classes:
            setattr(made, name, type(name, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, module, made)


def started(name, parents=(), argv=(), **arguments):
    """The LifecycleNodes that a launch file starts with these arguments. parents: what SetParameter set."""
    *declared, function = description(name).args[0]
    values = {d.args[0]: d.kwargs.get("default_value") for d in declared} | arguments
    context = types.SimpleNamespace(launch_configurations=values | {"global_params": list(parents)}, argv=argv)
    return function.kwargs["function"](context)


def given(node):
    """A node's parameters as it would end with: later dictionaries win."""
    merged = {}
    for part in node.kwargs["parameters"]:
        merged |= part if isinstance(part, dict) else {}
    texts = {k: v.args[0][0].kwargs["text"] for k, v in merged.items() if isinstance(v, Recorded)}
    return merged | texts


def description(name):
    path = ROOT / "launch" / f"{name}.launch.py"
    spec = importlib.util.spec_from_file_location(f"launch_{name}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


STARTING = ["autostart", "params_file", "respawn", "dds_transports"]


@pytest.mark.parametrize("name", sorted(PLANS))
def test_launch_files_declare_the_plans_arguments_and_nodes(launch_ros, name):
    plan = PLANS[name]
    *declared, _ = description(name).args[0]
    assert [d.args[0] for d in declared] == [*(a.name for a in plan.arguments), *STARTING]
    assert all(len(d.kwargs["description"]) > 5 for d in declared)
    assert sum("default_value" not in d.kwargs for d in declared) == len(REQUIRED.get(name, {}))
    for argument in plan.arguments:
        if argument.kind == "bool":  # `on` is refused before a node is started
            (found,) = [d for d in declared if d.args[0] == argument.name]
            assert "true" in found.kwargs["choices"] and "on" not in found.kwargs["choices"]
    needed = REQUIRED.get(name, {})
    for built, planned in zip(started(name, **needed), resolve(plan, needed), strict=True):
        assert built.kwargs["executable"] == built.kwargs["name"] == planned.name
        assert Path(built.kwargs["parameters"][0]).is_file()
        assert set(given(built)) == {*planned.parameters, "autostart"}
        assert dict(built.kwargs["remappings"]) == planned.remaps


def test_a_parents_parameters_beat_defaults_and_given_arguments_beat_them(launch_ros, tmp_path):
    parents = [("latency.warn_ms", 77.0), ("model.threads", 7), ("model.precision", "int8"), "/some/params.yaml"]
    (node,) = started("spvcnn", parents, threads="3", params_file="mine.yaml")
    assert given(node)["model.threads"] == 3 and given(node)["model.precision"] == "int8"
    assert given(node)["latency.warn_ms"] == 77.0 and given(node)["model.name"] == "spvnas-lite"
    files = [part for part in node.kwargs["parameters"] if isinstance(part, str)]
    assert files[1:] == ["/some/params.yaml", str(Path("mine.yaml").resolve())]


def test_namespace_respawn_and_transports_reach_the_nodes(launch_ros):
    nodes = started("replay", bag="x", namespace="a", respawn="True", dds_transports="LARGE_DATA")
    assert [n.kwargs["namespace"] for n in nodes] == ["a", "a"]
    assert [n.kwargs["respawn"] for n in nodes] == [True, False]  # the player ends with its bag
    assert all(n.kwargs["additional_env"] == {"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"} for n in nodes)


def test_a_misspelt_argument_of_the_command_line_is_refused_by_name(launch_ros, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["ros2", "launch", "perception_nodes", "spvcnn.launch.py", "pointz:=/a"])
    with pytest.raises(ValueError, match="no argument 'pointz'; did you mean 'points'"):
        started("spvcnn", argv=["pointz:=/a"])
    monkeypatch.setattr(sys, "argv", ["ros2", "launch", "my_car", "car.launch.py", "pointz:=/a"])
    assert len(started("spvcnn", argv=["pointz:=/a"])) == 1  # an argument of the launch file that includes ours


def test_a_player_that_fails_fails_the_launch(launch_ros):
    player = started("replay", bag="x")[-1]
    ended = player.kwargs["on_exit"]
    context = types.SimpleNamespace(is_shutdown=False)
    with pytest.raises(RuntimeError, match="player_node ended with code 1"):
        ended(types.SimpleNamespace(returncode=1), context)
    (action,) = ended(types.SimpleNamespace(returncode=0), context)
    assert type(action).__name__ == "EmitEvent"


@pytest.mark.parametrize("name", sorted(PLANS))
def test_launch_files_build_with_launch_ros(name):
    pytest.importorskip("launch_ros.actions", reason="launch_ros is not installed (it is part of a ROS 2 distribution)")
    built = description(name)
    assert [a.name for a in built.get_launch_arguments()] == [*(a.name for a in PLANS[name].arguments), *STARTING]


def test_launch_files_are_one_per_plan():
    assert {p.name.split(".")[0] for p in (ROOT / "launch").glob("*.launch.py")} == set(PLANS)


def test_executables_are_entry_points():
    text = (ROOT / "setup.py").read_text()
    assert all(f'"{name}"' in text for name in NODE_CONFIGS)


def test_rviz_shows_the_stacks_topics():
    shown = yaml.safe_load((ROOT / "rviz" / "perception.rviz").read_text())
    displays = shown["Visualization Manager"]["Displays"]
    topics = {d["Topic"]["Value"] for d in displays if isinstance(d.get("Topic"), dict)}
    assert {"/lidar/points", "/perception/visualization", "/perception/filtered", "/ground_truth/markers"} <= topics
    assert {"/perception/events/markers", "/tsm_node/debug/image"} <= topics


@pytest.mark.parametrize("name", sorted(NODE_CONFIGS))
def test_each_nodes_page_has_every_parameter_and_autowares_sections(name):
    page = (ROOT / "docs" / "nodes" / f"{name}.md").read_text()
    assert [p.name for p in parameters_of(NODE_CONFIGS[name]) if f"`{p.name}`" not in page] == []
    sections = (
        "Purpose",
        "Inner workings",
        "Inputs / Outputs",
        "Parameters",
        "Assumptions / Known limits",
        "Error detection",
    )
    assert [s for s in sections if f"## {s}" not in page] == []
