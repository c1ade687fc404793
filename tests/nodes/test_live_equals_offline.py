"""The same bag gives the same output, live or offline: every output of every system, byte for byte, on faulty bags."""

import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from perception_nodes.bags.reader import BagReader
from perception_nodes.nodes.replay import replay
from perception_nodes.systems import spvcnn, tsm
from perception_nodes.systems.offline import offline
from perception_nodes.systems.run import SystemRun
from perception_nodes.systems.tsm.declaration import networks_of
from tests.nodes.cameras import LevelSession
from tests.nodes.conftest import DOMAIN
from tests.systems import toy
from tests.systems.faulty import CAMERAS, LIDAR, write_faulty_bag

pytestmark = pytest.mark.ros


@pytest.fixture(autouse=True)
def own_domain(monkeypatch):
    pytest.importorskip("rclpy")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + (DOMAIN + 13) % 100))


class CountingSession:
    """Labels that depend on every bit of the cloud and on how many clouds came since the last reset."""

    facts = SimpleNamespace(trained=True)

    def __init__(self):
        self.seen = 0

    def step(self, xyz, intensity):
        self.seen += 1
        label = (np.abs(xyz.view(np.uint32)).sum(axis=1) + intensity.view(np.uint32) + self.seen) % 19
        return SimpleNamespace(label=label.astype(np.uint8), score=intensity / 2)

    def reset(self):
        self.seen = 0


class OneBox:
    """A detector whose box grows with what it remembers."""

    facts = SimpleNamespace(trained=True, classes=({"name": "car", "rgb": (255, 0, 0)},))

    def __init__(self):
        self.seen = {}

    def step(self, frames, stamps_ns=None):
        for camera in frames:
            self.seen[camera] = self.seen.get(camera, 0) + 1
        found = {c: np.array([[0, 0, 4 + self.seen[c], f.shape[0] / 2]], np.float32) for c, f in frames.items()}
        score = np.array([0.9], np.float32)
        return {c: SimpleNamespace(box=box, score=score, category=("car",)) for c, box in found.items()}

    def reset(self, camera=None):
        for name in list(self.seen) if camera is None else [camera]:
            self.seen.pop(name, None)


def runs():
    """Every kind of input: a cloud, cameras, a cloud with cameras; all outputs are recorded."""
    points = {"points": LIDAR}
    return [
        SystemRun(spvcnn.SYSTEM, points, {}, lambda config: CountingSession(), every_output=True),
        SystemRun(tsm.SYSTEM, CAMERAS, {}, lambda c: networks_of(c, LevelSession(), OneBox()), every_output=True),
        SystemRun(toy.SYSTEM, points | CAMERAS, {}, every_output=True),
    ]


def recorded(path):
    """Topic -> its messages' bytes in order, of all but figures and diagnostics."""
    found = {}
    with BagReader(path) as reader:
        for message in reader.messages():
            if message.type not in ("std_msgs/msg/Float64", "diagnostic_msgs/msg/DiagnosticArray"):
                found.setdefault(message.topic, []).append(bytes(message.raw))
    return found


def check(seed, frames):
    with tempfile.TemporaryDirectory() as folder:
        bag = write_faulty_bag(Path(folder) / "bag", seed, frames)
        live = replay(bag, Path(folder) / "live", runs(), rate=0)
        off = offline(bag, Path(folder) / "offline", runs())
        one, two = recorded(Path(folder) / "live"), recorded(Path(folder) / "offline")
    assert sorted(one) == sorted(two)
    for topic in one:
        assert len(one[topic]) == len(two[topic]), (topic, len(one[topic]), len(two[topic]))
        differ = [i for i, (a, b) in enumerate(zip(one[topic], two[topic])) if a != b]
        assert not differ, (topic, differ[:3], one[topic][differ[0]], two[topic][differ[0]])
    for name, node in live.nodes.items():
        assert (node.frames_in, node.frames_out) == (off.nodes[name].frames_in, off.nodes[name].frames_out), name
    return one


@settings(deadline=None, max_examples=2, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1))
def test_the_same_faulty_bag_gives_the_same_bytes_live_or_offline(seed):
    check(seed, frames=20)


def test_every_output_of_every_system_is_compared():
    outputs = check(seed=7, frames=30)
    assert {
        "/perception/segmentation",
        "/perception/segmentation/classes",
        "/perception/visualization",
        "/perception/filtered",
        "/perception/events",
        "/perception/events/classes",
        "/perception/events/markers",
        "/perception/detections2d",
        "/tsm_node/debug/front/image",
        "/tsm_node/debug/left/image",
        "/perception/toy",
        "/perception/toy/classes",
    } == set(outputs)
    assert all(len(outputs[topic]) > 5 for topic in outputs if not topic.endswith("/classes"))


@pytest.mark.slow
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1))
def test_many_longer_faulty_bags_give_the_same_bytes_live_or_offline(seed):
    check(seed, frames=80)
