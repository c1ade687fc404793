"""A narrow student starts with the strongest channels of the wide network."""

import pytest
import torch

from models.gan.resnet import MobileResnetGenerator, ResnetGenerator
from training.gan.weight_transfer import strongest, transfer_weights

KINDS = (MobileResnetGenerator, ResnetGenerator)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_channels_that_do_nothing_can_go(kind, norm):
    """The wide network holds the narrow one's weights at scattered places and zeros elsewhere: the same pictures."""
    torch.manual_seed(0)
    narrow, wide = kind(ngf=3, n_blocks=2, norm=norm).eval(), kind(ngf=6, n_blocks=2, norm=norm).eval()
    full = dict(wide.named_parameters()) | dict(wide.named_buffers())
    with torch.no_grad():
        for name, small in list(narrow.named_parameters()) + list(narrow.named_buffers()):
            large = full[name]
            if small.ndim:
                places = [slice(1, 2 * n, 2) if m == 2 * n else slice(None) for n, m in zip(small.shape, large.shape)]
                if not name.endswith("running_var"):
                    large.zero_()
                large[tuple(places)] = small
        start = kind(ngf=3, n_blocks=2, norm=norm).eval()
        transfer_weights(wide, start)
        x = torch.rand(1, 3, 16, 16) * 2 - 1
        assert torch.allclose(start(x), narrow(x), atol=1e-5) and torch.allclose(start(x), wide(x), atol=1e-5)


def test_equal_widths_are_a_copy():
    a, b = MobileResnetGenerator(ngf=4), MobileResnetGenerator(ngf=4)
    transfer_weights(a, b)
    assert all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def test_the_strongest_channels_in_rising_order():
    weight = torch.tensor([[1.0, -1.0], [5.0, 0.0], [0.0, 0.1], [-2.0, 2.0]])
    assert strongest(weight, 0, 2).tolist() == [1, 3] and strongest(weight, 1, 1).tolist() == [0]


def test_networks_that_do_not_correspond_are_refused():
    for wide, narrow, words in (
        (ResnetGenerator(ngf=2), ResnetGenerator(ngf=2, n_blocks=3), "same number of blocks"),
        (ResnetGenerator(ngf=2, n_blocks=1), MobileResnetGenerator(ngf=2, n_blocks=1), "does not correspond"),
        (ResnetGenerator(ngf=2, n_blocks=1), ResnetGenerator(ngf=4, n_blocks=1), "the wide network has 2"),
    ):
        with pytest.raises(ValueError, match=words):
            transfer_weights(wide, narrow)
