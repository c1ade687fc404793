"""The contact sheet: pictures of labels and clouds, layout, files."""

import numpy as np
import pytest

from perception_nodes.classes import POINT_CLASSES
from perception_nodes.simulator import contact_sheet as cs


def test_classes_have_their_colours():
    picture = cs.semantic_picture(np.array([[0, 8, 255]], np.uint8))
    assert tuple(picture[0, 0]) == POINT_CLASSES[0].rgb
    assert tuple(picture[0, 1]) == POINT_CLASSES[8].rgb
    assert picture[0, 2].max() < 50


def test_near_is_brighter_than_far_and_the_sky_is_black():
    picture = cs.depth_picture(np.array([[2.0, 40.0, np.inf]], np.float32)).astype(int).sum(-1)
    assert picture[0, 0] > picture[0, 1] > picture[0, 2] == 0


def test_instances_differ_and_the_world_is_black():
    picture = cs.instance_picture(np.array([[0, 1, 2]], np.uint16))
    assert not picture[0, 0].any()
    assert (picture[0, 1] != picture[0, 2]).any()


def test_a_point_ahead_is_right_of_the_middle_and_one_to_the_left_is_up():
    red = np.full((1, 3), 255, np.uint8)
    ahead = cs.bird_view(np.array([[20, 0, 0]], np.float32), red, 90, 90)
    v, u = np.argwhere(ahead.min(-1) == 255)[0]
    assert u > 60 and abs(v - 45) <= 1
    left = cs.bird_view(np.array([[0, 20, 0]], np.float32), red, 90, 90)
    v, u = np.argwhere(left.min(-1) == 255)[0]
    assert v < 30 and abs(u - 45) <= 1


def test_the_range_view_has_forward_in_the_middle():
    xyz = np.array([[10, 0, 0], [10, 0, 1], [10, 0, -1]], np.float32)
    view = cs.range_view(xyz, np.full((3, 3), 255, np.uint8), 100, 20)
    assert set(np.argwhere(view.min(-1) == 255)[:, 1]) == {50}
    assert cs.range_view(xyz[:0], np.zeros((0, 3), np.uint8), 10, 10).shape == (10, 10, 3)


def test_tiles_have_one_size_whatever_the_picture():
    for shape in ((40, 400, 3), (400, 40, 3), (3, 3, 3)):
        assert cs.tile(np.zeros(shape, np.uint8), "label").shape == (cs.TILE[1], cs.TILE[0], 3)


def test_a_sheet_has_a_row_for_each_started_group_of_columns():
    tiles = [cs.tile(np.full((9, 16, 3), 200, np.uint8), str(k)) for k in range(5)]
    picture = cs.sheet({"one": tiles, "none": [], "two": tiles[:1]}, columns=4)
    assert picture.shape == (2 * cs.HEADING + 3 * (cs.TILE[1] + 4), 4 * (cs.TILE[0] + 4), 3)


def test_refuses_what_it_cannot_write_before_drawing_anything(tmp_path, capsys):
    with pytest.raises(ValueError, match=r"ends in \.png"):
        cs.contact_sheet(tmp_path / "sheet.txt")
    with pytest.raises(KeyError, match="no scenario 'moon'"):
        cs.contact_sheet(tmp_path / "sheet.png", scenarios=("moon",))
    assert cs.main([]) == 2
    assert cs.main([str(tmp_path / "sheet.gif")]) == 1
    assert "usage" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
