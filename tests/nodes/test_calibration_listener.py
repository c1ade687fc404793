"""TF and CameraInfo on real DDS, into the calibration source; what is refused is counted and reported."""

import numpy as np
import pytest

from perception_nodes.bags.typestore import make, to_bytes
from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.se3 import from_euler
from perception_nodes.calibration.source import CalibrationSource, feeds_of
from perception_nodes.messages.camera_info import CameraModel, camera_info_values
from perception_nodes.messages.transforms import Transform, tf_values
from tests.nodes.conftest import QUICK, status

pytestmark = pytest.mark.ros
S = 1_000_000_000
BASE_LIDAR = from_euler(0.01, 0.02, 0.0, (0.9, 0, 1.8))
CAMERA = CameraModel(8, 6, np.array([[9.0, 0, 4], [0, 9, 3], [0, 0, 1]]), np.zeros(5), "plumb_bob", "optical")


def tf(*transforms):
    return to_bytes(make("tf2_msgs/msg/TFMessage", **tf_values(transforms)))


def info(**changes):
    from sensor_msgs.msg import CameraInfo

    from perception_nodes.messages.assign import fill

    return fill(CameraInfo(), {**camera_info_values(CAMERA), **changes})


@pytest.fixture
def bench(stage):
    from diagnostic_msgs.msg import DiagnosticArray
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from sensor_msgs.msg import CameraInfo

    from perception_nodes.nodes.calibration_listener import CalibrationListener
    from perception_nodes.nodes.config import NodeConfig
    from perception_nodes.nodes.node import PerceptionNode
    from perception_nodes.nodes.tf_type import tf_message_type

    class Bench:
        def __init__(self):
            latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            self.fixed = stage.publisher(tf_message_type(), "/tf_static", latched)
            self.moving = stage.publisher(tf_message_type(), "/tf", 10)
            self.info = stage.publisher(CameraInfo, "/front/camera_info", 10)
            self.health = stage.listen(DiagnosticArray, "/diagnostics")
            self.source = CalibrationSource()

        def listen(self):
            self.node = stage.add(
                PerceptionNode("calibrated", NodeConfig, overrides=QUICK, context=stage.context), start=False
            )
            topics = {feed: f"/{feed}" for feed in feeds_of(["front"])}
            self.listener = CalibrationListener(self.node, self.source, topics)
            for publisher in (self.fixed, self.moving, self.info):
                stage.connected(publisher)

        def came(self, counter, count=1):
            stage.until(lambda: self.node.health.counter("calibration", counter) >= count, what=counter)

    one = Bench()
    yield one
    one.listener.destroy()


def test_latched_tf_and_camera_info_reach_the_source(stage, bench):
    bench.fixed.publish(tf(Transform("base", "lidar", BASE_LIDAR)))  # before anybody listens
    bench.listen()
    bench.info.publish(info())
    bench.came("tf_static")
    bench.came("front/camera_info")
    np.testing.assert_allclose(bench.source.lookup("base", "lidar"), BASE_LIDAR, atol=1e-12)
    assert bench.source.camera("front", (8, 6)).frame_id == "optical"


def test_05_late_tf_is_refused_until_it_comes_and_a_change_is_read_again(stage, bench):
    bench.listen()
    with pytest.raises(CalibrationError, match="publish it on /tf_static"):
        bench.source.lookup("base", "lidar")
    bench.fixed.publish(tf(Transform("base", "lidar", BASE_LIDAR)))
    bench.came("tf_static")
    before = bench.source.version
    bench.fixed.publish(tf(Transform("base", "lidar", np.eye(4))))
    bench.came("tf_static", 2)
    assert bench.source.version == before + 1 and (bench.source.lookup("base", "lidar") == np.eye(4)).all()


def test_moving_transforms_are_interpolated(stage, bench):
    bench.listen()
    for i in range(2):
        bench.moving.publish(tf(Transform("map", "base", from_euler(0, 0, 0, (2.0 * i, 0, 0)), (10 + i) * S)))
        bench.came("tf", i + 1)
    assert bench.source.lookup("map", "base", 10 * S + S // 2)[0, 3] == pytest.approx(1.0)


def test_11_a_camera_info_of_zeros_is_refused_counted_and_named(stage, bench):
    bench.listen()
    bench.info.publish(info(k=np.zeros(9)))
    bench.came("front/camera_info")

    def reported():
        level, message, values = status(bench.health, "calibration")
        named = "/front/camera_info" in message and "uncalibrated" in message
        return level == 2 and named and values["rejected"] == "1"

    stage.until(reported, what=str(status(bench.health, "calibration")))
    bench.info.publish(info())
    bench.came("front/camera_info", 2)
    assert bench.source.camera("front", (8, 6)).width == 8


def test_a_malformed_tf_costs_itself(stage, bench):
    bench.listen()
    bench.fixed.publish(tf(Transform("base", "lidar", BASE_LIDAR))[:-9])
    bench.came("rejected")
    bench.fixed.publish(tf(Transform("base", "lidar", BASE_LIDAR)))
    bench.came("tf_static", 2)
    assert bench.source.lookup("base", "lidar").shape == (4, 4)
