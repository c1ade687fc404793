"""Pictures show each point where it is, in its class colour."""

import numpy as np

from perception_nodes.classes import IGNORE, POINT_CLASSES
from perception_nodes.viewer import pictures


def test_birds_eye_puts_ahead_up_and_left_left():
    xyz = np.array([[30, 0, 0], [0, 30, 0]], np.float32)
    rgb = np.array([[255, 0, 0], [0, 255, 0]], np.uint8)
    view = pictures.birds_eye(xyz, rgb, reach_m=40, size=80)
    assert tuple(view[10, 40]) == (255, 0, 0) and tuple(view[40, 10]) == (0, 255, 0)


def test_the_nearest_point_is_on_top_in_the_range_view():
    xyz = np.array([[10, 0, 0], [5, 0, 0], [np.nan, 0, 0]], np.float32)
    rgb = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    view = pictures.range_view(xyz, rgb, height=40, width=100)
    assert (view == (0, 255, 0)).all(2).any() and not (view == (255, 0, 0)).all(2).any()
    assert (view == (0, 255, 0)).all(2).argmax() % 100 == 50


def test_untrained_weights_are_written_on_the_picture(tmp_path):
    xyz = np.random.default_rng(0).normal(0, 10, (200, 3)).astype(np.float32)
    label = np.zeros(200, np.uint8)
    plain = pictures.segmentation_picture(xyz, label, label, POINT_CLASSES)
    marked = pictures.segmentation_picture(xyz, label, label, POINT_CLASSES, note="UNTRAINED WEIGHTS")
    assert (marked != plain).any()
    pictures.save(tmp_path / "a.png", marked)
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_ignored_points_are_grey():
    assert tuple(pictures.palette(POINT_CLASSES)[IGNORE]) == pictures.NO_CLASS_RGB
