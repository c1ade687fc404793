"""A replay takes part with nobody: other nodes in its domain are refused, other replays have domains of their own."""

import threading

import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.nodes.domain import OwnDomain
from perception_nodes.nodes.errors import NodeError
from perception_nodes.nodes.replay import replay
from perception_nodes.systems import spvcnn
from perception_nodes.systems.run import SystemRun
from tests.nodes.bags import write_bag
from tests.nodes.conftest import HeightSession, Stage, spvcnn_node

pytestmark = pytest.mark.ros


def clouds(**session):
    return [SystemRun(spvcnn.SYSTEM, {"points": "/lidar/points"}, {}, lambda config: HeightSession(**session))]


@pytest.fixture
def stranger():
    """A domain in which a segmentation node of somebody else runs on the stack's topics."""
    pytest.importorskip("rclpy")
    from perception_nodes.graph import PLANS, resolve
    from perception_nodes.nodes.compose import ros_arguments

    domain = OwnDomain()
    stage = Stage(domain.number)
    (node,) = resolve(PLANS["spvcnn"], {})
    made = spvcnn_node(
        lambda config: HeightSession(),
        overrides=node.parameters,
        cli_args=ros_arguments(node),
        use_global_arguments=False,
        context=stage.context,
    )
    stage.add(made)
    yield domain.number
    stage.close()
    domain.close()


def test_a_node_that_was_left_running_in_the_domain_is_refused_by_name(stranger, tmp_path):
    bag = write_bag(tmp_path / "drive")
    with pytest.raises(NodeError, match=r"/perception/segmentation.* has 2 publishers in ROS domain .*/spvcnn_node"):
        replay(bag, tmp_path / "out", clouds(), rate=0, domain=stranger)
    assert not (tmp_path / "out").exists()


def test_a_replay_in_its_own_domain_is_not_disturbed_by_it(stranger, tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(stranger))  # of this shell: the replay does not go there
    result = replay(write_bag(tmp_path / "drive"), tmp_path / "out", clouds(), rate=0)
    assert (result.frames_in, result.frames_out) == (6, 6)
    with BagReader(tmp_path / "out") as reader:
        assert reader.topics()["/perception/segmentation"].count == 6


def test_two_replays_at_once_have_their_own_answers_each(tmp_path):
    pytest.importorskip("rclpy")
    results = {}

    def run(name, frames):
        results[name] = replay(write_bag(tmp_path / name, frames=frames), None, clouds(delay_s=0.05), rate=0)

    threads = [threading.Thread(target=run, args=(name, n)) for name, n in (("one", 8), ("two", 5))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: (r.frames_in, r.frames_out) for name, r in results.items()} == {"one": (8, 8), "two": (5, 5)}


def test_more_answers_than_questions_are_an_error(tmp_path):
    """A stranger that speaks without being seen in the graph first."""
    pytest.importorskip("rclpy")
    from perception_nodes.nodes.replay import ReplayOptions
    from perception_nodes.nodes.replay_session import ReplaySession

    bag = write_bag(tmp_path / "drive", frames=3)
    with ReplaySession(bag, clouds(), ReplayOptions(rate=0), None) as live:
        (lane,) = live._lanes
        for _ in range(4):
            live._recorder.take(lane.run.system.answer.topic, b"")
        with pytest.raises(NodeError, match=r"spvcnn_node: [4-7] answers to 3 sweeps"):
            live.play()
