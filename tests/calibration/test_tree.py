"""The TF tree refuses what it does not know; it never answers with an identity."""

import numpy as np
import pytest

from perception_nodes.bags.typestore import make
from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.se3 import from_euler, invert
from perception_nodes.calibration.tree import TransformTree
from perception_nodes.messages.transforms import Transform, tf_values

MAP_BASE = from_euler(0, 0, 1.0, (10, 20, 0))
BASE_LIDAR = from_euler(0.01, 0.02, 0.0, (0.9, 0, 1.8))
BASE_CAMERA = from_euler(-1.5, 0.0, -1.5, (1.7, 0, 1.5))
LINKS = [
    Transform("map", "base_link", MAP_BASE),
    Transform("base_link", "lidar", BASE_LIDAR),
    Transform("base_link", "camera", BASE_CAMERA),
]


def test_lookups_go_up_and_down_the_tree():
    tree = TransformTree(LINKS)
    np.testing.assert_allclose(tree.lookup("base_link", "lidar"), BASE_LIDAR)
    np.testing.assert_allclose(tree.lookup("map", "lidar"), MAP_BASE @ BASE_LIDAR)
    np.testing.assert_allclose(tree.lookup("camera", "lidar"), invert(BASE_CAMERA) @ BASE_LIDAR, atol=1e-12)
    np.testing.assert_allclose(tree.lookup("lidar", "map"), invert(MAP_BASE @ BASE_LIDAR), atol=1e-12)
    np.testing.assert_array_equal(tree.lookup("lidar", "lidar"), np.eye(4))
    assert tree.frames() == ["base_link", "camera", "lidar", "map"]


def test_an_unknown_frame_is_refused_with_the_known_ones_and_what_to_do():
    for tree in (TransformTree(LINKS), TransformTree()):
        with pytest.raises(
            CalibrationError, match="'radar' is not in the TF tree.*publish it on /tf_static or give a rig"
        ):
            tree.lookup("base_link" if tree.frames() else "radar", "radar" if tree.frames() else "lidar")


def test_two_separate_trees_are_refused():
    tree = TransformTree([*LINKS, Transform("odom", "trailer", np.eye(4))])
    with pytest.raises(CalibrationError, match="separate trees, under 'odom' and 'map'"):
        tree.lookup("trailer", "lidar")


def test_cycles_and_nonsense_are_refused_and_change_nothing():
    tree = TransformTree(LINKS)
    for parent, child, words in (("lidar", "map", "cycle"), ("lidar", "lidar", "cycle"), ("", "a", "empty")):
        with pytest.raises(CalibrationError, match=words):
            tree.add(Transform(parent, child, np.eye(4)))
    with pytest.raises(CalibrationError, match="not rigid"):
        tree.add(Transform("base_link", "lidar", np.zeros((4, 4))))
    np.testing.assert_allclose(tree.lookup("map", "lidar"), MAP_BASE @ BASE_LIDAR)


def test_a_changed_calibration_is_noticed_and_a_repeated_one_is_not():
    tree = TransformTree(LINKS)
    before = tree.changes
    tree.add(LINKS[1])
    assert tree.changes == before
    tree.add(Transform("base_link", "lidar", BASE_CAMERA))
    assert tree.changes == before + 1
    np.testing.assert_allclose(tree.lookup("base_link", "lidar"), BASE_CAMERA)
    tree.add(Transform("map", "lidar", BASE_LIDAR))  # a frame that is mounted elsewhere
    np.testing.assert_allclose(tree.lookup("map", "lidar"), BASE_LIDAR)


def test_messages_feed_the_tree():
    tree = TransformTree()
    tree.add_message(make("tf2_msgs/msg/TFMessage", **tf_values(LINKS)))
    np.testing.assert_allclose(tree.lookup("map", "lidar"), MAP_BASE @ BASE_LIDAR, atol=1e-12)
    assert len(tree.transforms()) == 3
