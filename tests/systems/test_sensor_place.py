"""A cloud in the vehicle's frame: the network gets its points as seen from the sensor, outputs keep them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.calibration.rig_file import LidarMount, RigFile, write_rig
from perception_nodes.calibration.se3 import from_euler
from perception_nodes.graph import run_node
from perception_nodes.messages.cloud_cdr import read_point_cloud2
from perception_nodes.messages.cloud_fields import read_layout
from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout
from perception_nodes.messages.transforms import Transform, tf_values
from perception_nodes.policy import subscribed
from perception_nodes.systems import spvcnn
from perception_nodes.systems.offline import offline
from perception_nodes.systems.run import find_runs
from tests.nodes.bags import START_NS

PLACE = from_euler(0.0, 0.0, 0.5, (1.35, 0.0, 1.64))
XYZ = np.float32([[5, 1, 0], [6, -2, 2], [np.nan, 0, 0], [7, 0, 1]])


class Seen:
    """Keeps what the network gets."""

    facts = SimpleNamespace(trained=True)

    def __init__(self):
        self.xyz = []

    def step(self, xyz, intensity):
        self.xyz.append(xyz.copy())
        return SimpleNamespace(label=np.zeros(len(xyz), np.uint8), score=np.ones(len(xyz), np.float32))

    def reset(self):
        pass


def write(path, frame="base_link", tf_before=0):
    """Three clouds; the LiDAR's place comes before cloud number `tf_before` (None: never)."""
    with BagWriter(path) as bag:
        for i in range(3):
            stamp = START_NS + i * 10**8
            if i == tf_before:
                tf = tf_values([Transform("base_link", "lidar", PLACE, stamp)])
                bag.write("/tf_static", make("tf2_msgs/msg/TFMessage", **tf), stamp - 1)
            layout = point_cloud2_layout({"xyz": XYZ, "intensity": np.full(4, 0.5, np.float32)})
            bag.write("/lidar/points", make_point_cloud2(layout, frame, stamp), stamp)
    return path


def run(bag, out=None, **parameters):
    session = Seen()
    with BagReader(bag) as reader:
        (found,) = find_runs(reader, ("spvcnn",))
    found = replace(found, open_session=lambda config: session, parameters=found.parameters | parameters)
    return session.xyz, offline(bag, out, [found])


def test_the_network_gets_the_points_as_seen_from_the_sensor(tmp_path):
    seen, result = run(write(tmp_path / "bag"), tmp_path / "out")
    expected = (XYZ - np.float32([1.35, 0, 1.64]))[[0, 1, 3]]
    assert len(seen) == 3 and all(np.allclose(xyz, expected, atol=1e-5) for xyz in seen) and result.warnings == ()
    with BagReader(tmp_path / "out") as reader:
        raw = next(iter(reader.messages(["/perception/segmentation"]))).raw
    cloud = read_point_cloud2(raw)
    assert cloud.header.frame_id == "base_link"
    np.testing.assert_array_equal(read_layout(cloud).column("z"), XYZ[:, 2])


def test_a_cloud_in_the_sensors_frame_is_taken_as_it_is(tmp_path):
    seen, result = run(write(tmp_path / "bag", "lidar"))
    assert all(np.array_equal(xyz, XYZ[[0, 1, 3]]) for xyz in seen) and result.warnings == ()


def test_a_place_that_comes_late_counts_from_then_on_and_its_lack_is_a_warning(tmp_path):
    seen, result = run(write(tmp_path / "bag", tf_before=2))
    assert [float(xyz[0, 2]) for xyz in seen] == [0.0, 0.0, float(np.float32(-1.64))]
    (warning,) = result.warnings
    assert "no LiDAR's frame is known below it" in warning and warning.endswith("(2 times)")


def test_a_rig_or_a_frame_may_be_given(tmp_path):
    rig = RigFile("car", "base_link", (LidarMount("top", "top", "/lidar/points", PLACE),), ())
    write_rig(rig, tmp_path / "rig.yaml")
    bag = write(tmp_path / "bag", tf_before=None)
    seen, result = run(bag, **{"calibration.rig": str(tmp_path / "rig.yaml")})
    assert float(seen[0][0, 2]) == float(np.float32(-1.64)) and result.warnings == ()
    seen, result = run(bag, **{"input.sensor_frame": "roof"})
    assert "input.sensor_frame 'roof'" in result.warnings[0]


def test_the_node_reads_tf_static_and_no_other_calibration(tmp_path):
    with BagReader(write(tmp_path / "bag")) as reader:
        (found,) = find_runs(reader, ("spvcnn",))
    assert found.calibration == {"tf_static": "/tf_static"}
    assert "/tf_static" in subscribed(spvcnn.SYSTEM) and "/tf" not in subscribed(spvcnn.SYSTEM)
    assert not [name for name in run_node(found).remaps if "camera" in name]
