"""StyleGAN2, AnyCost and MSG-GAN against their equations, and their elastic forms against the full ones."""

import pytest
import torch
from torch.nn import functional as F

from models.gan.anycost import RATIOS, AnycostGenerator
from models.gan.anycost_sort import sort_channels
from models.gan.macs import count_macs, count_parameters
from models.gan.msggan import MsgDiscriminator, MsgGenerator
from models.gan.style_discriminator import MultiResolutionDiscriminator, StyleGan2Discriminator
from models.gan.style_ops import EqualLinear, filter_2d, minibatch_stddev, modulated_conv, pixel_norm, upfirdn
from models.gan.stylegan2_ada import Mapping, StyleGan2AdaGenerator
from models.gan.stylegan2_ada_discriminator import StyleGan2AdaDiscriminator
from models.runtime import compile_network


def small(**numbers):
    torch.manual_seed(0)
    network = AnycostGenerator(
        **{"resolution": 32, "style_dim": 16, "n_mlp": 2, "channel_multiplier": 0.03125} | numbers
    )
    for layer in (network.conv1, *network.convs):
        torch.nn.init.normal_(layer.noise.weight)
        torch.nn.init.normal_(layer.activate.bias)
    return network.eval()


def test_modulated_convolution_is_the_papers_equation():
    x, weight, style = torch.randn(2, 3, 6, 6), torch.randn(4, 3, 3, 3), torch.randn(2, 3)
    found = modulated_conv(x, weight, style, demodulate=True)
    for n in range(2):
        w = weight * style[n, None, :, None, None]  # equation 1
        w = w / (w.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()  # equation 3
        assert torch.allclose(found[n : n + 1], F.conv2d(x[n : n + 1], w, padding=1), atol=1e-5)


def test_demodulated_outputs_have_unit_variance():
    x, weight = torch.randn(1, 64, 40, 40), 5 * torch.randn(32, 64, 3, 3)
    found = modulated_conv(x, weight, 3 * torch.randn(1, 64), demodulate=True)[..., 1:-1, 1:-1]
    assert found.var() == pytest.approx(1, abs=0.15)


def test_upsampling_by_a_filter_is_its_definition():
    kernel = torch.arange(16.0).reshape(4, 4)  # not symmetric: a convolution, not a correlation
    x = torch.randn(1, 1, 3, 3)
    stuffed = torch.zeros(1, 1, 6, 6)
    stuffed[..., ::2, ::2] = x
    expected = torch.zeros(6, 6)
    for r in range(6):
        for c in range(6):
            for i in range(4):
                for j in range(4):
                    rr, cc = r + 1 - i, c + 1 - j
                    if 0 <= rr < 6 and 0 <= cc < 6:
                        expected[r, c] += kernel[i, j] * stuffed[0, 0, rr, cc]
    assert torch.allclose(upfirdn(x, kernel, up=2, pad=(2, 1))[0, 0], expected, atol=1e-4)
    flat = upfirdn(torch.ones(1, 2, 8, 8), filter_2d(gain=4.0), up=2, pad=(2, 1))
    assert flat.shape == (1, 2, 16, 16) and torch.allclose(flat[..., 2:-2, 2:-2], torch.ones(1, 2, 12, 12))


def test_minibatch_deviation_groups_the_slow_axis():
    x = torch.zeros(8, 1, 2, 2)
    x[2], x[6] = 1.0, -1.0  # with groups of 4, pictures 0, 2, 4, 6 belong together
    found = minibatch_stddev(x)[:, -1].mean((1, 2))
    expected = torch.tensor([0.0, 0.0, 1.0, -1.0]).var(unbiased=False).sqrt()
    assert torch.allclose(found[::2], expected, atol=1e-3) and (found[1::2] < 1e-3).all()
    assert minibatch_stddev(torch.randn(6, 2, 4, 4)).shape == (6, 3, 4, 4)  # 4 does not divide 6


def test_equal_learning_rate_keeps_unit_variance():
    torch.manual_seed(0)
    layer = EqualLinear(512, 512, lr_mul=0.01, activate=True)
    assert float(layer(torch.randn(256, 512)).detach().square().mean()) == pytest.approx(1, abs=0.1)
    assert pixel_norm(torch.randn(3, 9), 1).square().mean(1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)


def test_sorting_channels_keeps_the_full_picture_and_orders_importance():
    network = small()
    z = torch.randn(2, 16)
    with torch.inference_mode():
        before = network(z)
        narrow = network(z, network.channels(0.5))
    first = network.input.input.clone()
    sort_channels(network, 200)
    with torch.inference_mode():
        after = network(z)
        assert torch.allclose(before, after, atol=1e-5 * before.abs().max())
        assert not torch.allclose(narrow, network(z, network.channels(0.5)), atol=1e-3)
    assert not torch.equal(first, network.input.input)
    last = network.to_rgbs[-1].conv  # only reader of the last layer
    w = network.mapping(torch.randn(200, 16))
    importance = last.weight[0].abs().sum((0, 2, 3)) * last.modulation(w).abs().mean(0)
    assert (importance[:-1] >= 0.7 * importance[1:]).all() and importance[0] > importance[-1]


def test_narrow_generators_are_slices_of_the_full_one():
    network = small()
    z = torch.randn(2, 16)
    channels = tuple(max(1, c // 2) for c in network.channels(1.0))
    narrow = small(channel_multiplier=0.015625)
    assert narrow.channels(1.0) == channels
    state = network.state_dict()
    narrow.load_state_dict({k: state[k][tuple(slice(0, n) for n in v.shape)] for k, v in narrow.state_dict().items()})
    for full, part in zip(network.modules(), narrow.modules()):
        if hasattr(full, "weight") and hasattr(full, "modulation"):
            part.scale = full.scale  # the scale belongs to the full input width
    with torch.inference_mode():
        assert torch.allclose(network(z, channels), narrow(z), atol=1e-5)


def test_a_lower_resolution_is_the_full_generators_picture_of_that_level():
    network = small()
    z = torch.randn(1, 16)
    with torch.inference_mode():
        pictures = network.synthesis(network.spread(network.mapping(z)))
        assert [p.shape[-1] for p in pictures] == [4, 8, 16, 32]
        assert torch.equal(network(z, resolution=16), pictures[2])


def test_channels_multiply_before_the_cap():
    with torch.device("meta"):
        network = AnycostGenerator(1024)
    assert network.channels(1.0)[::2] == (512, 512, 512, 512, 512, 256, 128, 64, 32)
    assert network.channels(0.5)[::2] == (512, 512, 512, 512, 256, 128, 64, 32, 16)
    assert network.channels(0.25)[::2] == (512, 512, 512, 256, 128, 64, 32, 16, 8)
    assert count_parameters(network) / 1e6 == pytest.approx(30.37, abs=0.005)
    preview = count_macs(network, torch.zeros(1, 512), network.channels(0.25), 256)
    assert count_macs(network, torch.zeros(1, 512)).true > 6 * preview.true


def test_style_mixing_truncation_and_noise():
    network = small()
    z, other = torch.randn(1, 16), torch.randn(1, 16)
    both = torch.stack([z, other], 1)
    with torch.inference_mode():
        w = network.spread(network.mapping(both), inject_index=3)
        assert torch.allclose(w[:, 2], network.mapping(z)) and torch.allclose(w[:, 3], network.mapping(other))
        mean = network.mean_w(64, torch.Generator().manual_seed(0))
        at_mean = network(z, truncation=0.0, mean_w=mean)
        assert torch.allclose(at_mean, network(mean, input_is_w=True), atol=1e-5)
        assert torch.equal(network(z), network(z))
        assert not torch.equal(network(z, random_noise=True), network(z, random_noise=True))
    for wrong, words in (
        (lambda: network(z, truncation=0.5), "mean_w"),
        (lambda: network(z, resolution=64), "at most 32"),
        (lambda: network(z, channels=(1, 2)), "expected 8 widths"),
        (lambda: network(torch.zeros(1, 3, 16)), "expected 1, 2 or 8"),
        (lambda: network.channels(1.5), r"\(0, 1\]"),
        (lambda: AnycostGenerator(48), "power of two"),
    ):
        with pytest.raises(ValueError, match=words):
            wrong()
    assert RATIOS == (0.25, 0.5, 0.75, 1.0)


def test_conditioned_discriminator_sees_the_architecture_in_its_last_two_blocks():
    torch.manual_seed(0)
    network = MultiResolutionDiscriminator(64, 0.125, 32, n_res=2, modulate=True)
    g_arch = F.one_hot(torch.randint(0, 4, (10,)), 4).float().flatten()
    x = torch.randn(4, 3, 64, 64)
    assert not torch.equal(network(x, g_arch), network(x, g_arch.roll(4)))
    assert network(x[..., ::2, ::2], g_arch).shape == (4, 1)
    modulated = {k.split(".")[1] for k in network.state_dict() if "weight_mapping" in k}
    assert modulated == {"2", "3"}
    with pytest.raises(ValueError, match="give it g_arch"):
        network(x)
    with pytest.raises(ValueError, match=r"expected one of \[64, 32\]"):
        network(torch.zeros(1, 3, 16, 16), g_arch)


@pytest.mark.parametrize("ada", [False, True])
def test_gradient_penalty_reaches_the_weights(ada):
    if ada:
        network = StyleGan2AdaDiscriminator(0, 16, channel_base=64, channel_max=16)
    else:
        network = StyleGan2Discriminator(16, 0.125, 16)
    x = torch.randn(4, 3, 16, 16, requires_grad=True)
    gradient = torch.autograd.grad(network(x).sum(), x, create_graph=True)[0]
    gradient.square().sum().backward()
    found = [p.grad for p in network.parameters() if p.grad is not None]
    assert found and all(torch.isfinite(g).all() for g in found) and sum(g.abs().sum() for g in found) > 0


def test_class_conditional_stylegan2_follows_its_class():
    torch.manual_seed(0)
    generator = StyleGan2AdaGenerator(8, 3, 8, 16, num_layers=2, channel_base=64, channel_max=16)
    discriminator = StyleGan2AdaDiscriminator(3, 16, channel_base=64, channel_max=16, num_layers=2)
    z, c = torch.randn(1, 8).expand(3, -1), torch.eye(3)
    pictures = generator(z, c, noise_mode="none")
    assert (pictures[0] - pictures[1]).abs().max() > 1e-3
    picture = pictures[:1].expand(3, -1, -1, -1)
    scores = discriminator(picture, c).flatten()
    assert len({round(float(s), 6) for s in scores.detach()}) == 3
    with pytest.raises(ValueError, match="3 classes"):
        generator(z)
    with pytest.raises(ValueError, match="noise_mode"):
        generator(z, c, noise_mode="some")


def test_mapping_tracks_the_mean_and_truncation_draws_towards_it():
    mapping = Mapping(8, 0, 8, 2)
    w = torch.ones(5, 8)
    mapping.track(w, 0.9)
    assert torch.allclose(mapping.w_avg, torch.full((8,), 0.1))
    generator = StyleGan2AdaGenerator(8, 0, 8, 16, num_layers=2, channel_base=64, channel_max=16)
    generator.mapping.w_avg.fill_(0.5)
    assert torch.allclose(generator.style(torch.randn(2, 8), truncation_psi=0.0), torch.full((2, 6, 8), 0.5))


@pytest.mark.parametrize("depth, g_millions, d_millions", [(6, 22.93, 18.66), (9, 23.08, 18.76)])
def test_msg_gan_has_its_published_size(depth, g_millions, d_millions):
    with torch.device("meta"):
        generator, discriminator = MsgGenerator(depth), MsgDiscriminator(depth)
        pictures = generator(torch.zeros(2, 512))
        assert discriminator(pictures).shape == (2,)
    assert [p.shape[-1] for p in pictures] == [4 * 2**i for i in range(depth)]
    assert count_parameters(generator) / 1e6 == pytest.approx(g_millions, abs=0.005)
    assert count_parameters(discriminator) / 1e6 == pytest.approx(d_millions, abs=0.005)


def test_msg_discriminator_hears_every_resolution():
    torch.manual_seed(0)
    discriminator = MsgDiscriminator(4, 16)
    pictures = [torch.randn(2, 3, 4 * 2**i, 4 * 2**i, requires_grad=True) for i in range(4)]
    discriminator(pictures).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in pictures)
    with pytest.raises(ValueError, match="expected 4"):
        discriminator(pictures[:3])


def test_a_sub_network_exports_and_answers_alike():
    network = AnycostGenerator(8, style_dim=8, n_mlp=1, channel_multiplier=0.01).eval()
    z = torch.randn(1, 8)
    with torch.no_grad():
        expected = network(z).numpy()
    compiled = compile_network(network, (z,), "onnx", 1)
    assert abs(compiled(z.numpy())[0] - expected).max() < 1e-4
