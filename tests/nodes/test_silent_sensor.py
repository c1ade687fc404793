"""A sensor that is dead, mistyped or on another topic is reported by name."""

import time

import pytest

from perception_nodes.config import ConfigError
from tests.nodes.conftest import QUICK, HeightSession, cloud, spvcnn_node, status

pytestmark = pytest.mark.ros
TOPIC = "/spvcnn_node/input/points"


@pytest.fixture
def health(stage):
    from diagnostic_msgs.msg import DiagnosticArray

    return stage.listen(DiagnosticArray, "/diagnostics")


def start(stage, **overrides):
    given = {**QUICK, "input.patience_s": 0.3, **overrides}
    return stage.add(spvcnn_node(lambda config: HeightSession(), overrides=given, context=stage.context))


def wait_for(stage, health, level, *words):
    def found():
        at, text, _ = status(health, "input")
        return at == level and all(word in text for word in words)

    stage.until(found, what=f"{level} {words}; last: {status(health, 'input')[:2]}")


def test_a_lidar_that_never_comes_is_a_warning_then_an_error_that_names_the_topic(stage, health):
    start(stage)
    wait_for(stage, health, 1, "the LiDAR: no cloud", f"nobody publishes {TOPIC}", "is the sensor's driver running?")
    wait_for(stage, health, 2, f"nobody publishes {TOPIC}")


def test_the_error_names_what_else_carries_clouds(stage, health):
    from sensor_msgs.msg import PointCloud2

    stage.publisher(PointCloud2, "/velodyne_points")
    start(stage)
    wait_for(stage, health, 2, "/velodyne_points carries that type: remap ~/input/points")


def test_a_lidar_that_dies_is_reported_and_taken_back_when_it_lives(stage, health):
    from sensor_msgs.msg import PointCloud2

    start(stage)
    out = stage.publisher(PointCloud2, TOPIC)
    stage.connected(out)

    def live():
        out.publish(cloud(time.time()))
        return status(health, "input")[0] == 0

    stage.until(live)
    cure = ("has a publisher", "LARGE_DATA", "reliability:=reliable")
    wait_for(stage, health, 2, "the LiDAR: no cloud for", TOPIC, *cure)
    stage.until(live)


def test_lost_messages_name_the_cure(stage):
    from types import SimpleNamespace

    node = start(stage)
    (stream,) = node._subscribed._topics
    node._subscribed._on_message_lost(stream, SimpleNamespace(total_count_change=3))
    (row,) = [row for row in node.health.report() if row.name == "input"]
    assert dict(row.values)["lost_in_transport"] == "3" and "FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA" in row.message


def test_the_parameters_former_name_is_refused_with_the_new_one():
    from perception_nodes.config import build_config
    from perception_nodes.systems.tsm.config import TsmConfig

    with pytest.raises(ConfigError, match=r"no parameter 'collect.patience_s'.*did you mean 'input.patience_s'"):
        build_config(TsmConfig, {"collect.patience_s": 1.0})
