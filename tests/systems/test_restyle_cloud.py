"""A restyled PointCloud2: the same message but for the points and intensities that the weather changes."""

from types import SimpleNamespace

import numpy as np
import pytest

from models.gan.range_style import AIR, LOST, STAY
from perception_nodes.messages.cloud_cdr import read_point_cloud2, write_point_cloud2
from perception_nodes.messages.point_cloud import decode_point_cloud2, point_cloud2_layout
from perception_nodes.systems.gan.restyle_cloud import CloudStyler


class ThreeFates:
    """Loses the first point, halves the way to the second, darkens the others by half."""

    seconds = 0.0

    def step(self, xyz, intensity, seed):
        self.seen, self.seed = intensity.copy(), seed
        xyz, intensity = np.array(xyz), intensity / 2
        xyz[0], intensity[0] = np.nan, np.nan
        xyz[1] /= 2
        fate = np.full(len(xyz), STAY, np.uint8)
        fate[:2] = LOST, AIR
        return SimpleNamespace(xyz=xyz, intensity=intensity, fate=fate)


@pytest.mark.parametrize(("dtype", "full"), [(np.float32, 255.0), (np.uint8, 255.0), (np.float32, 1.0)])
def test_points_keep_their_order_and_every_other_field_its_bytes(dtype, full):
    xyz = np.array([[1, 2, 3], [8, 0, 0], [4, 5, 6], [7, 8, 9]], np.float32)
    intensity = (np.array([0.2, 0.4, 0.6, 1.0]) * full).astype(dtype)
    ring = np.arange(4, dtype=np.uint16)
    raw = write_point_cloud2(point_cloud2_layout({"xyz": xyz, "intensity": intensity, "ring": ring}), "lidar", 77)
    session = ThreeFates()
    out = CloudStyler(session)("/lidar/points", raw)
    assert len(out) == len(raw) and session.seed == 77
    np.testing.assert_allclose(session.seen, [0.2, 0.4, 0.6, 1.0], atol=0.01)
    cloud = decode_point_cloud2(read_point_cloud2(out), intensity_scale=1.0)
    assert (cloud.frame_id, cloud.stamp_ns, len(cloud)) == ("lidar", 77, 4)
    assert np.isnan(cloud.xyz[0]).all() and cloud.xyz[1].tolist() == [4, 0, 0]
    assert np.array_equal(cloud.xyz[2:], xyz[2:]) and np.array_equal(cloud.ring, ring)
    np.testing.assert_allclose(cloud.intensity[1:] / full, [0.2, 0.3, 0.5], atol=0.01)


def test_an_empty_cloud_and_one_without_intensities_pass():
    empty = write_point_cloud2(point_cloud2_layout({"xyz": np.zeros((0, 3), np.float32)}), "lidar", 1)
    styler = CloudStyler(ThreeFates())
    assert styler("/a", empty) == empty
    bare = write_point_cloud2(point_cloud2_layout({"xyz": np.ones((3, 3), np.float64)}), "lidar", 1)
    cloud = decode_point_cloud2(read_point_cloud2(styler("/a", bare)))
    assert np.isnan(cloud.xyz[0]).all() and cloud.xyz[2].tolist() == [1, 1, 1]
