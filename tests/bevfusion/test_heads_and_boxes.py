"""Map head, box coder and camera-only decoder against answers that are known by hand."""

import math

import pytest
import torch

from models.bevfusion.box_coder import BoxCoder
from models.bevfusion.camera_decoder import LSSFPN, GeneralizedResNet
from models.bevfusion.map_head import BEVGridTransform, cell_centres, focal_loss

CODER = BoxCoder((-54.0, -54.0), (0.075, 0.075))


def test_a_box_code_is_in_cells_and_logarithms():
    box = torch.tensor([[-54.0 + 0.6 * 10, -54.0 + 0.6 * 20.5, -1.0, 2.0, 4.0, 1.5, math.pi / 2, 3.0, -1.0]])
    code = CODER.encode(box)[0]
    expected = [10.0, 20.5, -0.25, math.log(2), math.log(4), math.log(1.5), 1.0, 0.0, 3.0, -1.0]
    torch.testing.assert_close(code, torch.tensor(expected), rtol=1e-5, atol=1e-5)


def test_decoding_undoes_encoding():
    boxes = torch.rand(50, 9, generator=torch.Generator().manual_seed(0)) * 3 + 0.1
    codes = CODER.encode(boxes).t()[None]
    back = CODER.decode(codes[:, :2], codes[:, 2:3], codes[:, 3:6], codes[:, 6:8], codes[:, 8:])[0]
    torch.testing.assert_close(back, boxes, rtol=1e-4, atol=1e-4)


def test_boxes_outside_the_range_and_weak_ones_are_dropped():
    boxes = torch.zeros(3, 9)
    boxes[1, 0] = 62.0
    scores = torch.tensor([0.5, 0.9, 0.05])
    assert CODER.keep(boxes, scores).tolist() == [True, False, True]
    strict = BoxCoder((-54.0, -54.0), (0.075, 0.075), score_threshold=0.1)
    assert strict.keep(boxes, scores).tolist() == [True, False, False]


def test_resampling_a_ramp_reads_its_value_at_the_new_centres():
    inner = ((-8.0, 8.0, 0.5), (-4.0, 4.0, 0.5))
    x, y = cell_centres(((-8.0, 8.0, 1.0), (-6.0, 6.0, 1.0)))
    ramp = (2 * x[:, None] + 100 * y[None, :])[None, None]
    found = BEVGridTransform(((-8.0, 8.0, 1.0), (-6.0, 6.0, 1.0)), inner)(ramp)[0, 0]
    u, v = cell_centres(inner)
    expected = 2 * u[:, None] + 100 * v[None, :]
    torch.testing.assert_close(found[1:-1], expected[1:-1], rtol=1e-4, atol=1e-3)  # edge rows blend with zeros


def test_places_outside_the_range_read_zeros():
    found = BEVGridTransform(((0.0, 4.0, 1.0), (0.0, 4.0, 1.0)), ((6.0, 8.0, 1.0), (0.0, 4.0, 1.0)))(
        torch.ones(1, 1, 4, 4)
    )
    assert not found.any()


def test_the_focal_loss_of_an_even_chance_is_a_quarter_of_the_cross_entropy():
    loss = focal_loss(torch.zeros(1, 2, 3), torch.tensor([[[1, 0, 1], [0, 0, 1]]]))
    assert loss.item() == pytest.approx(math.log(2) / 4)


def test_the_camera_decoder_returns_half_of_its_inputs_cells_doubled_once():
    stages = GeneralizedResNet(8, ((2, 12, 2), (2, 16, 2), (2, 20, 1))).eval()
    x = torch.randn(1, 8, 16, 24)
    found = stages(x)
    assert [tuple(f.shape[1:]) for f in found] == [(12, 8, 12), (16, 4, 6), (20, 4, 6)]
    assert LSSFPN((20, 12), 6).eval()(found).shape == (1, 6, 16, 24)
    keys = set(stages.state_dict())
    assert {"0.0.conv1.weight", "0.0.downsample.0.weight", "0.0.downsample.1.running_var", "2.1.bn2.bias"} <= keys
    assert "2.1.downsample.0.weight" not in keys
    assert {"fuse.0.weight", "fuse.4.bias", "upsample.1.weight", "upsample.2.running_mean"} <= set(
        LSSFPN((20, 12), 6).state_dict()
    )
