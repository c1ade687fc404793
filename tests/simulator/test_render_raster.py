"""Where things are in the picture: coverage, depth, clipping, order, labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_nodes.classes import IGNORE
from perception_nodes.simulator.camera import CameraRenderer
from perception_nodes.simulator.scene import Conditions, Mesh, Surface
from tests.simulator.stage import actor, board, box, camera, floor, look, moment, world

W, H, F = 64, 48, 60.0


def edge(pixel, size: int):
    """Tangent of the ray through image coordinate `pixel` (pixel 0 is centred on 0)."""
    return (pixel - (size - 1) / 2) / F


def test_a_board_covers_exactly_its_pixels_at_its_depth():
    left, right, top, bottom = 9.5, 29.5, 4.5, 40.5
    y = (-10 * edge(right, W), -10 * edge(left, W))
    z = (-10 * edge(bottom, H), -10 * edge(top, H))
    image = look(world(board(10.0, y, z)))
    expected = np.zeros((H, W), bool)
    expected[5:41, 10:30] = True
    assert (np.isfinite(image.depth) == expected).all()
    np.testing.assert_allclose(image.depth[expected], 10.0, rtol=1e-5)
    assert (image.semantic == np.where(expected, 12, IGNORE)).all()
    assert not image.instance.any()


def test_depth_of_a_slanted_plane_is_the_planes():
    # x = 8 + 0.5 y through every pixel: depth along the axis is 8 / (1 + 0.5 a) with y = -a x
    corners = [[8 + 0.5 * y, y, z] for y, z in ((-6, -6), (6, -6), (6, 6), (-6, 6))]
    mesh = Mesh.build(corners, [[0, 1, 2], [0, 2, 3]], Surface.CONCRETE, 12)
    image = look(world(mesh))
    a = edge(np.arange(W), W)
    np.testing.assert_allclose(image.depth, np.broadcast_to(8 / (1 + 0.5 * a), (H, W)), rtol=1e-5)


def test_ground_that_passes_behind_the_camera_fills_the_picture_up_to_the_horizon():
    image = look(world(floor(reach=4000.0)), spec=camera(up=1.5))
    slope = edge(np.arange(H), H)
    below = slope > 1e-3
    assert (np.isfinite(image.depth) == below[:, None]).all()
    expected = np.broadcast_to((1.5 / slope[below])[:, None], (below.sum(), W))
    np.testing.assert_allclose(image.depth[below], expected, rtol=1e-4)
    assert (image.semantic[below] == 8).all()


@pytest.mark.parametrize("flip", [False, True])
def test_the_nearer_surface_wins_in_any_order(flip):
    far, near = board(20.0, (-20, 20), (-20, 20), label=12), board(10.0, (-1, 1), (-1, 1), label=17)
    image = look(world(*((near, far) if flip else (far, near))))
    assert image.semantic[H // 2, W // 2] == 17
    assert image.depth[H // 2, W // 2] == pytest.approx(10.0, rel=1e-5)
    assert image.semantic[2, 2] == 12
    assert set(np.unique(image.semantic)) == {12, 17}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_triangles_that_share_edges_leave_no_gap(seed):
    rng = np.random.default_rng(seed)
    n = 9
    grid = np.stack(np.meshgrid(np.linspace(-8, 8, n), np.linspace(-8, 8, n), indexing="ij"), -1).reshape(-1, 2)
    grid += rng.uniform(-0.7, 0.7, grid.shape)
    vertices = np.concatenate([10 + rng.uniform(-1, 1, (len(grid), 1)), grid], 1)
    cell = np.arange(n * n).reshape(n, n)
    a, b, c, d = cell[:-1, :-1].ravel(), cell[1:, :-1].ravel(), cell[1:, 1:].ravel(), cell[:-1, 1:].ravel()
    mesh = Mesh.build(vertices, np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]), Surface.BRICK, 12)
    assert np.isfinite(look(world(mesh)).depth).all()


def test_what_is_behind_or_beside_the_camera_is_not_drawn():
    image = look(world(board(-5.0, (-9, 9), (-9, 9)), board(5.0, (30, 40), (-1, 1))))
    assert not np.isfinite(image.depth).any()
    assert (image.semantic == IGNORE).all()


def test_actors_carry_their_track_and_their_points_classes():
    static = world(floor())
    image = look(static, actor(70_007, box((4, 2, 1.5))), actor(9, box((1, 1, 2), Surface.CLOTH, 5), (8.0, 3.0, 0.0)),
                 spec=camera(up=1.2))  # fmt: skip
    assert set(np.unique(image.instance)) == {0, 70_007 & 0xFFFF, 9}
    assert (image.semantic[image.instance == 9] == 5).all()
    assert (image.semantic[image.instance == (70_007 & 0xFFFF)] == 0).all()
    assert image.depth[image.instance == (70_007 & 0xFFFF)].min() == pytest.approx(8.0, rel=1e-4)


def test_an_actor_stands_where_its_pose_says():
    turned = look(world(), actor(1, box((4, 1, 2)), (10.0, 0.0, -1.0), np.pi / 2))
    straight = look(world(), actor(1, box((1, 4, 2)), (10.0, 0.0, -1.0)))
    assert (turned.instance == straight.instance).mean() > 0.99
    assert turned.depth[H // 2, W // 2] == pytest.approx(9.5, rel=1e-4)


@pytest.mark.parametrize("surface", [Surface.LEAVES, Surface.RAILING])
@pytest.mark.parametrize("porosity", [0.2, 0.6])
def test_porous_surfaces_let_their_share_of_rays_through(surface, porosity):
    image = look(world(board(12.0, (-9, 9), (-9, 9), surface, 14, porosity=porosity)), spec=camera(192, 144, 180.0))
    assert np.isfinite(image.depth).mean() == pytest.approx(1 - porosity, abs=0.06)


def test_panes_are_drawn_though_beams_pass():
    image = look(world(board(12.0, (-9, 9), (-9, 9), Surface.GLASS, 12, porosity=0.9)))
    assert np.isfinite(image.depth).all()


def test_size_comes_from_the_camera_a_scale_or_both_sides():
    renderer = CameraRenderer(world(floor()), Conditions())
    assert renderer.render(moment(), camera(up=1.0)).rgb.shape == (H, W, 3)
    assert renderer.render(moment(), camera(up=1.0), scale=0.5).rgb.shape == (H // 2, W // 2, 3)
    assert renderer.render(moment(), camera(up=1.0), 40, 20).depth.shape == (20, 40)
    with pytest.raises(ValueError, match="width=40, height=None"):
        renderer.render(moment(), camera(), width=40)
    with pytest.raises(ValueError, match="give width and height, or scale"):
        renderer.render(moment(), camera(), 40, 20, scale=0.5)


def test_a_picture_of_one_pixel_and_of_an_empty_world():
    assert look(world(floor()), spec=camera(1, 1)).rgb.shape == (1, 1, 3)
    assert not np.isfinite(look(world()).depth).any()
