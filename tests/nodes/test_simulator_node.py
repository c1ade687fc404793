"""simulator_node on real DDS."""

import pytest

from perception_nodes.simulator.record import START_NS
from tests.nodes.conftest import QUICK, stamp_s
from tests.nodes.test_security import held_by_the_policy

pytestmark = pytest.mark.ros


def test_a_live_drive_has_clock_odometry_points_and_truth_within_its_policy(stage):
    import json

    from nav_msgs.msg import OccupancyGrid, Odometry
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import PointCloud2
    from std_msgs.msg import String

    from perception_nodes.messages.point_cloud import decode_point_cloud2
    from perception_nodes.nodes.simulator import SimulatorNode

    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    points = stage.listen(PointCloud2, "/lidar/points")
    truth = stage.listen(PointCloud2, "/ground_truth/segmentation")
    odometry = stage.listen(Odometry, "/odometry")
    clock = stage.listen(Clock, "/clock")
    table = stage.listen(String, "/ground_truth/segmentation/classes", latched)
    road = stage.listen(OccupancyGrid, "/ground_truth/map/drivable_area", latched)
    codes: list[int] = []
    overrides = {**QUICK, "rig": "vlp16", "cameras": False, "seconds": 1.0, "seed": 3}
    node = SimulatorNode(overrides=overrides, context=stage.context)
    node.finish = codes.append
    stage.add(node)
    stage.until(lambda: codes and table and road and len(odometry) > 3, timeout=120)
    assert codes == [0]
    held_by_the_policy(stage, node)
    both = {stamp_s(p): p for p in points}
    pairs = [(both[stamp_s(t)], t) for t in truth if stamp_s(t) in both]
    assert len(pairs) >= 3
    for cloud, labels in pairs:
        assert labels.width == cloud.width == len(decode_point_cloud2(cloud)) > 1000
    assert stamp_s(odometry[0]) >= START_NS * 1e-9 and odometry[0].child_frame_id == "base_link"
    times = [c.clock.sec * 10**9 + c.clock.nanosec for c in clock]
    assert times == sorted(times) and times[-1] <= START_NS + 10**9
    assert len(json.loads(table[0].data)["classes"]) == 19
    assert 100 in road[0].data
