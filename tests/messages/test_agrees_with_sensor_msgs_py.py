"""Our decoder of clouds reads what ROS's own `point_cloud2.read_points` reads."""

import numpy as np
import pytest

from perception_nodes.messages.point_cloud import decode_point_cloud2, fill_point_cloud2, point_cloud2_layout


@pytest.mark.parametrize(("intensity", "full_scale"), [("f4", 1), ("u1", 255), ("u2", 65535)])
def test_clouds_are_read_as_ros_reads_them(intensity, full_scale):
    point_cloud2 = pytest.importorskip("sensor_msgs_py.point_cloud2", reason="sensor_msgs_py is part of a ROS install")
    from sensor_msgs.msg import PointCloud2

    rng = np.random.default_rng(5)
    columns = {
        "xyz": rng.normal(0, 20, (300, 3)).astype(np.float32),
        "intensity": rng.uniform(0, 200, 300).astype(intensity),
    }
    message = fill_point_cloud2(PointCloud2(), point_cloud2_layout(columns), "lidar", 10**18)
    theirs = point_cloud2.read_points(message)
    ours = decode_point_cloud2(message)
    for i, name in enumerate("xyz"):
        np.testing.assert_array_equal(ours.xyz[:, i], theirs[name])
    np.testing.assert_array_equal(ours.source.column("intensity"), theirs["intensity"])
    np.testing.assert_allclose(ours.intensity, theirs["intensity"].astype(np.float32) / full_scale, rtol=1e-6)
