"""Where a LiDAR stands in the frame of its cloud: its own frame, or what TF or a rig says."""

import numpy as np
import pytest

from perception_nodes.bags.typestore import make
from perception_nodes.calibration.rig_file import LidarMount, RigFile
from perception_nodes.calibration.se3 import from_euler
from perception_nodes.calibration.sensor_place import place_sensor
from perception_nodes.calibration.source import CalibrationSource
from perception_nodes.messages.transforms import Transform, tf_values

TURNED = from_euler(0.0, 0.0, 1.5, (1.35, 0.0, 1.64))


def source(*links):
    made = CalibrationSource()
    made.add_tf_static(make("tf2_msgs/msg/TFMessage", **tf_values([Transform(*link) for link in links])))
    return made


def test_a_cloud_in_the_vehicles_frame_gets_the_place_of_the_lidar_below_it():
    place = place_sensor(source(("base_link", "camera_front", np.eye(4)), ("base_link", "lidar", TURNED)), "/base_link")
    np.testing.assert_allclose(place.position, (1.35, 0, 1.64), atol=1e-6)  # the cloud's axes stay
    assert (place.warning, place.height_m, place.state) == ("", 1.64, "lidar, 1.64 m above base_link")


def test_a_cloud_in_a_sensors_frame_stays_and_its_height_is_told():
    place = place_sensor(source(("base_link", "velodyne", TURNED), ("velodyne", "velodyne_2", TURNED)), "velodyne")
    assert place.position is None and place.warning == "" and "1.64 m above base_link" in place.state
    assert "height is not known" in place_sensor(CalibrationSource(), "velodyne").state
    assert place_sensor(CalibrationSource(), "top").warning == ""


def test_without_tf_a_cloud_in_the_vehicles_frame_is_a_warning_with_what_to_do():
    place = place_sensor(source(("base_link", "camera_front", np.eye(4))), "base_link")
    assert place.position is None and place.height_m is None
    assert all(word in place.warning for word in ("/tf_static", "calibration.rig", "input.sensor_frame"))


def test_of_several_lidars_the_highest_is_taken_and_it_is_said():
    low = from_euler(0.0, 0.0, 0.0, (1.0, 0.5, 0.4))
    many = source(("base_link", "lidar_low", low), ("base_link", "lidar_top", TURNED), ("lidar_top", "laser", low))
    place = place_sensor(many, "base_link")
    assert place.height_m == 1.64 and "lidar_low, lidar_top" in place.warning
    chosen = place_sensor(many, "base_link", "lidar_low")
    assert chosen.height_m == pytest.approx(0.4) and chosen.warning == ""


def test_a_frame_that_was_asked_for_and_is_not_there_is_named():
    place = place_sensor(source(("base_link", "lidar", TURNED)), "base_link", "roof")
    assert place.position is None and "input.sensor_frame 'roof'" in place.warning
    assert "not in the TF tree" in place.warning


def test_a_rigs_lidar_counts_whatever_its_frame_is_called():
    mount = LidarMount("roof", "roof_frame", "/points", TURNED)
    place = place_sensor(CalibrationSource(RigFile("car", "base_link", (mount,), ())), "base_link")
    assert place.height_m == 1.64 and place.state.startswith("roof_frame")
