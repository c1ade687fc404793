"""Swin, frustums and depth images against plain definitions."""

import numpy as np
import pytest
import torch
from torch import nn

from models.bevfusion.geometry import CameraMatrices, cells_of, depth_images, frustum_in_lidar, frustum_of
from models.bevfusion.pool import Grid
from models.bevfusion.swin import PatchMerging, ShiftWindowMSA, SwinTransformer, relative_positions, shifted_regions
from models.bevfusion.view_transform import DepthLSSTransform, LSSTransform

FORWARD = torch.tensor([[0.0, 0, 1, 0.5], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])  # x forward, y left, z up


def matrices(width=8, height=4, focal=2.0, shift=(0.0, 0.0), scale=1.0):
    k = torch.eye(4)
    k[0, 0] = k[1, 1] = focal
    k[0, 2], k[1, 2] = (width - 1) / 2, (height - 1) / 2
    image = torch.eye(4)
    image[0, 0] = image[1, 1] = scale
    image[:2, 3] = torch.tensor(shift)
    raw = k @ torch.inverse(FORWARD)
    return CameraMatrices(*(m[None, None] for m in (FORWARD, k, raw, image)), torch.eye(4)[None])


def test_the_middle_of_the_picture_looks_straight_ahead():
    frustum = frustum_of((4, 8), (3, 5), (1.0, 4.0, 1.0))
    assert frustum.shape == (3, 3, 5, 3)
    assert frustum[0, :, 0, 1].tolist() == [0, 1.5, 3] and frustum[2, 0, :, 0].tolist() == [0, 1.75, 3.5, 5.25, 7]
    ahead = frustum_in_lidar(frustum, matrices())[0, 0, :, 1, 2]
    torch.testing.assert_close(ahead, torch.tensor([[1.5, 0, 1.5], [2.5, 0, 1.5], [3.5, 0, 1.5]]))
    right = frustum_in_lidar(frustum, matrices())[0, 0, 0, 1, 4]
    torch.testing.assert_close(right, torch.tensor([1.5, -1.75, 1.5]))


def test_resize_and_crop_are_undone():
    m = matrices(shift=(-1.0, 2.0), scale=0.5)
    point = frustum_in_lidar(torch.tensor([[[[0.75, 2.75, 2.0]]]]), m)[0, 0, 0, 0, 0]
    torch.testing.assert_close(point, torch.tensor([2.5, 0.0, 1.5]))  # (0.75 + 1) / 0.5 = 3.5, the principal point


def test_cells_are_truncated_towards_zero():
    grid = Grid((0.0, 4.0, 1.0), (0.0, 4.0, 1.0), (-1.0, 1.0, 2.0))
    points = torch.tensor([[-0.9, 0.5, 0.0], [-1.1, 3.99, 0.0], [1.0, 4.0, 0.9]])
    assert cells_of(points, grid).tolist() == [[0, 0, 0], [-1, 3, 0], [1, 4, 0]]


def test_a_depth_image_holds_the_last_point_of_each_pixel():
    two_in_one_pixel = [[2.5, 0.0, 1.5], [4.5, 0.0, 1.5]]
    points = torch.tensor([*two_in_one_pixel, [1.5, -1.75, 1.5], [-30.0, 0.0, 1.5]])
    image = depth_images([points], matrices(), (4, 8))[0, 0, 0]
    assert image[1, 3] == 4.0 and image[1, 7] == 1.0
    assert torch.count_nonzero(image) == 2


def test_a_point_behind_the_camera_is_written_where_the_clamped_projection_lands():
    behind = torch.tensor([[-1.5, -3.5, 0.0]])  # 2 m behind; K times it is (0, 0, -2), so it lands in pixel (0, 0)
    image = depth_images([behind], matrices(), (4, 8))[0, 0, 0]
    assert image[0, 0] == -2.0 and torch.count_nonzero(image) == 1


def test_depth_and_context_land_where_the_ray_goes():
    grid = Grid((0.0, 8.0, 1.0), (-4.0, 4.0, 1.0), (-10.0, 10.0, 20.0))
    network = LSSTransform(1, 1, (4, 8), (1, 1), grid, (1.0, 5.0, 1.0)).eval()
    nn.init.zeros_(network.depthnet.weight)
    network.depthnet.bias.data = torch.tensor([0.0, 0.0, 50.0, 0.0, 7.0])  # depth 3 m for certain, context 7
    bev = network(torch.zeros(1, 1, 1, 1, 1), matrices(width=1, height=1)).detach()
    assert bev.shape == (1, 1, 8, 8)
    assert bev[0, 0, 3, 4] == pytest.approx(7.0)  # 0.5 + 3 m ahead, 0 m aside
    assert bev.sum() == pytest.approx(7.0)


def test_the_association_is_kept_until_the_calibration_changes():
    grid = Grid((0.0, 8.0, 1.0), (-4.0, 4.0, 1.0), (-10.0, 10.0, 20.0))
    network = DepthLSSTransform(2, 3, (16, 32), (2, 4), grid, (1.0, 5.0, 1.0), 2).eval()
    feats = torch.randn(1, 1, 2, 2, 4)
    with torch.inference_mode():
        first = network(feats, matrices(32, 16))
        for _ in range(2):
            assert torch.equal(network(feats, matrices(32, 16), torch.zeros(1, 1, 1, 16, 32)), first)
        assert network.pool.builds == 1 and first.shape == (1, 3, 4, 4)
        network(feats, matrices(32, 16, focal=2.01))
    assert network.pool.builds == 2


def test_the_view_transform_is_differentiable():
    grid = Grid((0.0, 8.0, 1.0), (-4.0, 4.0, 1.0), (-10.0, 10.0, 20.0))
    network = LSSTransform(2, 3, (16, 32), (2, 4), grid, (1.0, 5.0, 1.0))
    network(torch.randn(1, 1, 2, 2, 4), matrices(32, 16)).square().sum().backward()
    assert network.depthnet.weight.grad.abs().sum() > 0


def test_relative_positions_count_rows_first():
    index = relative_positions(7)
    assert index.shape == (49, 49)
    assert index[0, 0] == 6 * 13 + 6 and index[48, 0] == 12 * 13 + 12 and index[0, 48] == 0
    assert index[8, 0] == 7 * 13 + 7 and index[1, 0] == 6 * 13 + 7


def attention_by_definition(network, x, shifted):
    """Every token looks at the tokens of its window; after a shift, only at those of its own region."""
    height, width, channels = x.shape
    side, heads = network.window, network.w_msa.heads
    tall, wide = -(-height // side) * side, -(-width // side) * side
    padded = torch.zeros(tall, wide, channels)
    padded[:height, :width] = x
    q, k, v = network.w_msa.qkv(padded).chunk(3, -1)
    out = torch.zeros(tall, wide, channels)
    shift = side // 2 if shifted else 0
    table = network.w_msa.relative_position_bias_table
    for i in range(tall):
        for j in range(wide):
            a, b = (i - shift) % tall, (j - shift) % wide  # place in the rolled picture
            values, scores = [], []
            for c in range(a // side * side, a // side * side + side):
                for d in range(b // side * side, b // side * side + side):
                    m, n = (c + shift) % tall, (d + shift) % wide
                    same = region(a, tall, side, shift) == region(c, tall, side, shift)
                    same &= region(b, wide, side, shift) == region(d, wide, side, shift)
                    bias = table[(a % side - c % side + side - 1) * (2 * side - 1) + b % side - d % side + side - 1]
                    dots = (q[i, j] * k[m, n]).view(heads, -1).sum(1) / (channels // heads) ** 0.5
                    scores.append(dots + bias - (0 if same else 100))
                    values.append(v[m, n].view(heads, -1))
            weights = torch.stack(scores).softmax(0)
            out[i, j] = (weights[..., None] * torch.stack(values)).sum(0).flatten()
    return network.w_msa.proj(out)[:height, :width]


def region(place, size, side, shift):
    return 0 if place < size - side or not shift else 1 if place < size - shift else 2


@pytest.mark.parametrize("shifted", [False, True])
def test_window_attention_follows_its_definition(shifted):
    torch.manual_seed(0)
    network = ShiftWindowMSA(8, 2, 3, shifted)
    nn.init.normal_(network.w_msa.relative_position_bias_table)
    x = torch.randn(1, 7, 5, 8)
    with torch.inference_mode():
        torch.testing.assert_close(network(x)[0], attention_by_definition(network, x[0], shifted), rtol=1e-4, atol=1e-5)


def test_the_mask_keeps_strangers_apart():
    mask = shifted_regions(6, 6, 3)
    assert mask.shape == (4, 9, 9) and not mask[0].any()
    assert (mask[3] == -100).sum() == 81 - sum(n * n for n in (4, 2, 2, 1))


def test_patch_merging_puts_the_four_neighbours_of_a_channel_side_by_side():
    merge = PatchMerging(2)
    merge.norm = nn.Identity()
    merge.reduction = nn.Identity()
    x = torch.arange(8.0).view(1, 2, 2, 2)  # value = 4 row + 2 column + channel
    assert merge(x).flatten().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]


def test_swin_has_the_released_keys_and_sizes():
    network = SwinTransformer().eval()
    found = {k: tuple(v.shape) for k, v in network.state_dict().items()}
    assert found["patch_embed.projection.weight"] == (96, 3, 4, 4)
    assert found["stages.2.blocks.5.attn.w_msa.relative_position_bias_table"] == (169, 12)
    assert found["stages.0.blocks.1.ffn.layers.0.0.weight"] == (384, 96)
    assert found["stages.3.blocks.0.ffn.layers.1.weight"] == (768, 3072)
    assert found["stages.1.downsample.reduction.weight"] == (384, 768) and "norm0.weight" not in found
    assert sum(v.numel() for v in network.state_dict().values()) == pytest.approx(27.5e6, rel=0.01)
    with torch.inference_mode():
        outputs = network(torch.zeros(1, 3, 64, 96))
    assert [tuple(o.shape[1:]) for o in outputs] == [(192, 8, 12), (384, 4, 6), (768, 2, 3)]
    assert all(np.isfinite(o.numpy()).all() for o in outputs)
