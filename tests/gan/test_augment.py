"""DiffAugment against its definition: order of the random numbers, ranges, borders, gradients."""

import pytest
import torch

from models.gan.augment import Draws, augment, draw


def test_numbers_are_drawn_in_the_official_order():
    x = torch.zeros(3, 3, 32, 40)
    found = draw(x, "color,translation,cutout", torch.Generator().manual_seed(7))
    dice = torch.Generator().manual_seed(7)
    for own in (found.brightness, found.saturation, found.contrast):
        assert torch.equal(own, torch.rand(3, 1, 1, 1, generator=dice).flatten())
    for own, low, high in (
        (found.translation_x, -4, 5), (found.translation_y, -5, 6), (found.offset_x, 0, 33), (found.offset_y, 0, 41)
    ):  # fmt: skip
        assert torch.equal(own, torch.randint(low, high, (3, 1, 1), generator=dice).flatten())


def test_drawing_ranges_include_both_ends():
    x = torch.zeros(4000, 1, 16, 17)
    found = draw(x, "color,translation,cutout", torch.Generator().manual_seed(0))
    assert found.translation_x.unique().tolist() == [-2, -1, 0, 1, 2]
    assert found.offset_x.unique().tolist() == list(range(17))  # even box: one further
    assert found.offset_y.unique().tolist() == list(range(17))  # odd box (9): the pixels themselves
    assert found.brightness.mean() == pytest.approx(0.5, abs=0.02)
    assert found.saturation.std() == pytest.approx(0.289, abs=0.01)


def test_color_keeps_what_it_does_not_change():
    x = torch.randn(2, 3, 8, 8)
    same = Draws(brightness=torch.full((2,), 0.5), saturation=torch.full((2,), 0.5), contrast=torch.full((2,), 0.5))
    assert torch.allclose(augment(x, "color", draws=same), x, atol=1e-6)
    grey = Draws(brightness=torch.full((2,), 0.5), saturation=torch.zeros(2), contrast=torch.full((2,), 0.5))
    assert torch.allclose(augment(x, "color", draws=grey), x.mean(1, keepdim=True).expand_as(x), atol=1e-6)
    brighter = Draws(brightness=torch.full((2,), 1.0), saturation=torch.full((2,), 0.5), contrast=torch.full((2,), 0.5))
    assert torch.allclose(augment(x, "color", draws=brighter), x + 0.5, atol=1e-6)  # nothing is clamped


def test_translation_reads_zero_outside():
    x = torch.arange(1.0, 21.0).reshape(1, 1, 4, 5)
    moved = augment(x, "translation", draws=Draws(translation_x=torch.tensor([1]), translation_y=torch.tensor([-2])))
    expected = torch.zeros_like(x)
    expected[..., :3, 2:] = x[..., 1:, :3]
    assert torch.equal(moved, expected)


def test_cutout_clears_the_box_and_the_edge_it_hangs_over():
    x = torch.ones(1, 1, 8, 8)
    found = augment(x, "cutout", draws=Draws(offset_x=torch.tensor([0]), offset_y=torch.tensor([8])))
    expected = torch.ones(8, 8)
    expected[:2, 6:] = 0
    assert torch.equal(found[0, 0], expected)


def test_gradients_flow_and_match_finite_differences():
    x = torch.randn(2, 3, 6, 7, dtype=torch.double, requires_grad=True)
    draws = draw(x, "color,translation,cutout", torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(lambda t: augment(t, "color,translation,cutout", draws=draws), (x,))
    first = torch.autograd.grad(augment(x, "color,translation", draws=draws).square().sum(), x, create_graph=True)[0]
    first.square().sum().backward()  # R1 differentiates twice
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_pictures_draw_their_own_numbers_and_pairs_can_share_them():
    x = torch.randn(1, 3, 16, 16).expand(4, -1, -1, -1)
    found = augment(x, "color,translation,cutout", torch.Generator().manual_seed(2))
    assert len({tuple(f.flatten().tolist()) for f in found}) == 4
    draws = draw(x, "translation", torch.Generator().manual_seed(2))
    pair = torch.cat([augment(x, "translation", draws=draws), augment(-x, "translation", draws=draws)], 1)
    assert torch.equal(pair[:, :3], -pair[:, 3:])
    assert augment(x, "") is x


def test_unknown_operations_and_shapes_are_refused():
    with pytest.raises(ValueError, match="'blur' is unknown: expected a list of color, translation, cutout"):
        augment(torch.zeros(1, 3, 8, 8), "color,blur")
    with pytest.raises(ValueError, match=r"expected \[N, C, H, W\]"):
        augment(torch.zeros(3, 8, 8), "color")
