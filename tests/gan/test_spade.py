"""SPADE against its equations: spectral norm, modulation, super network, discriminator, inputs."""

import pytest
import torch
from torch.nn import functional as F

from models.gan.macs import count_macs, count_parameters
from models.gan.spade import SpadeNorm, SpadeStyle
from models.gan.spade_discriminator import MultiscaleDiscriminator
from models.gan.spade_encoder import SpadeEncoder, sample_latent
from models.gan.spade_generator import OFFICIAL_HIDDEN, MobileSpadeGenerator, SpadeGenerator
from models.gan.spade_input import instance_edges, one_hot, semantic_input
from models.gan.spade_supernet import SuperMobileSpadeGenerator
from models.gan.spectral import SpectralConv2d, fold_spectral_norm


def test_spectral_norm_divides_by_the_largest_singular_value():
    torch.manual_seed(0)
    conv = SpectralConv2d(4, 6, 3, padding=1).train()
    x = torch.randn(1, 4, 8, 8)
    for _ in range(60):  # power iterations
        conv(x)
    conv.eval()
    largest = torch.linalg.svdvals(conv.weight_orig.flatten(1))[0]
    assert torch.allclose(conv.weight(), conv.weight_orig / largest, atol=1e-5)
    assert conv.weight_u.norm() == pytest.approx(1, abs=1e-5) and conv.weight_v.norm() == pytest.approx(1, abs=1e-5)


def test_one_training_step_is_one_power_iteration_and_eval_changes_nothing():
    conv = SpectralConv2d(3, 5, 1)
    u, matrix = conv.weight_u.clone(), conv.weight_orig.flatten(1).detach()
    conv.train().weight()
    v = F.normalize(matrix.t() @ u, dim=0)
    assert torch.allclose(conv.weight_v, v) and torch.allclose(conv.weight_u, F.normalize(matrix @ v, dim=0))
    before = {k: t.clone() for k, t in conv.state_dict().items()}
    conv.eval().weight()
    assert all(torch.equal(before[k], t) for k, t in conv.state_dict().items())
    assert set(before) == {"bias", "weight_orig", "weight_u", "weight_v"}


def test_spectral_norm_can_be_called_twice_before_backward():
    conv = SpectralConv2d(3, 5, 3).train()
    (conv(torch.randn(1, 3, 8, 8)).mean() + conv(torch.randn(1, 3, 8, 8)).mean()).backward()
    assert conv.weight_orig.grad is not None and torch.isfinite(conv.weight_orig.grad).all()


def test_spade_layer_is_its_equation():
    layer = SpadeNorm(4, 3, 8, SpadeStyle()).train()
    x, semantics = torch.randn(2, 4, 6, 8), torch.randn(2, 3, 12, 16)
    found = layer(x, semantics)
    normal = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
    hidden = F.relu(layer.mlp_shared[0](semantics[:, :, ::2, ::2]))  # nearest neighbour, half the size
    assert torch.allclose(found, normal * (1 + layer.mlp_gamma(hidden)) + layer.mlp_beta(hidden), atol=1e-5)


def test_official_spellings_of_the_norm():
    style = SpadeStyle.parse("spectralspadesyncbatch3x3")
    assert (style.norm, style.kernel, style.spectral) == ("batch", 3, True)
    assert SpadeStyle.parse("spadeinstance5x5") == SpadeStyle("instance", 5)
    with pytest.raises(ValueError, match="spectralspadesyncbatch3x3"):
        SpadeStyle.parse("spadegroup3x3")


@pytest.mark.parametrize(
    "build, parameters, giga",
    [
        (lambda: SpadeGenerator(36, 64, "spectralspadesyncbatch3x3", hidden=OFFICIAL_HIDDEN), 93.05, 281.3),
        (lambda: MobileSpadeGenerator(36, config="cityscapes"), 21.00, 31.1),
        (lambda: MobileSpadeGenerator(36, config="cityscapes-fast"), 20.17, 31.2),
    ],
)
def test_published_networks_have_their_published_size(build, parameters, giga):
    with torch.device("meta"):
        network = build()
    assert count_parameters(network) / 1e6 == pytest.approx(parameters, abs=0.005)
    assert count_macs(network, torch.zeros(1, 36, 256, 512)).official / 1e9 == pytest.approx(giga, abs=0.06)


@pytest.mark.parametrize("upsampling, crop", [("normal", 64), ("more", 128), ("most", 256)])
def test_students_are_the_supernet_at_their_widths(upsampling, crop):
    torch.manual_seed(0)
    supernet = SuperMobileSpadeGenerator(4, 6, upsampling=upsampling, crop_size=crop).eval()
    semantics = one_hot(torch.randint(0, 4, (1, crop // 2, crop)), 4)
    supernet.select((4, 6, 3, 5, 6, 4, 2, 4))
    with torch.inference_mode():
        student = supernet.extract((4, 6, 3, 5, 6, 4, 2, 4))
        found = supernet(semantics)
        assert found.shape == (1, 3, crop // 2, crop)
        assert torch.allclose(found, student(semantics), atol=1e-6)
    whole = MobileSpadeGenerator(4, 6, upsampling=upsampling, crop_size=crop)
    whole.load_state_dict(supernet.state_dict())


def test_folding_the_spectral_norm_keeps_the_picture():
    network = SpadeGenerator(4, 2, "spectralspadebatch3x3", crop_size=128, hidden=8).eval()
    semantics = one_hot(torch.randint(0, 4, (1, 64, 128)), 4)
    with torch.inference_mode():
        before = network(semantics)
        after = fold_spectral_norm(network)(semantics)
    assert torch.allclose(before, after, atol=1e-6)
    assert not any(k.endswith(("_orig", "_u", "_v")) for k in network.state_dict())


def test_a_network_with_a_latent_vector_draws_other_pictures():
    network = SpadeGenerator(4, 2, crop_size=128, hidden=8, z_dim=5).eval()
    semantics = one_hot(torch.randint(0, 4, (1, 64, 128)), 4)
    z = torch.randn(1, 5)
    assert torch.equal(network(semantics, z), network(semantics, z))
    assert not torch.equal(network(semantics), network(semantics))


def test_wrong_maps_and_widths_are_refused():
    network = SpadeGenerator(4, 2, crop_size=128)
    with pytest.raises(ValueError, match="3 channels: expected 4"):
        network(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="label 9: expected 0 … 3"):
        one_hot(torch.full((1, 2, 2), 9), 4)
    with pytest.raises(ValueError, match="expected one of normal, more, most"):
        SpadeGenerator(4, 2, upsampling="less")
    with pytest.raises(ValueError, match="too small"):
        SpadeGenerator(4, 2, crop_size=64)


def test_edges_and_dontcare_channel():
    instances = torch.tensor([[[1, 1, 2], [1, 1, 2], [3, 1, 2]]])
    expected = torch.tensor([[0, 1, 1], [1, 1, 1], [1, 1, 1]]).float()
    assert torch.equal(instance_edges(instances)[0, 0], expected)
    labels = torch.tensor([[[0, 1, 255]]])
    assert one_hot(labels, 2, dontcare=True)[0, :, 0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert semantic_input(labels, 2, torch.zeros(1, 1, 3), dontcare=True).shape == (1, 4, 1, 3)


def test_discriminator_scales_and_encoder_sizes():
    network = MultiscaleDiscriminator(7, 8)
    found = network(torch.randn(1, 7, 64, 128))
    assert [len(scale) for scale in found] == [5, 5]
    assert [tuple(f.shape[1:]) for f in found[0]] == [(8, 33, 65), (16, 17, 33), (32, 9, 17), (64, 10, 18), (1, 11, 19)]
    half = F.avg_pool2d(torch.ones(1, 7, 64, 128), 3, 2, 1, count_include_pad=False)
    assert torch.equal(half, torch.ones_like(half))  # the border is not darkened
    for crop, size in ((256, 256), (128, 128)):
        encoder = SpadeEncoder(2, 6, crop)
        mean, log_variance = encoder(torch.randn(2, 3, size, size))
        assert mean.shape == log_variance.shape == (2, 6)


def test_latents_have_the_encoders_mean_and_spread():
    mean, log_variance = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, -2.0]])
    found = sample_latent(mean.expand(20000, 2), log_variance.expand(20000, 2), torch.Generator().manual_seed(0))
    assert torch.allclose(found.mean(0), mean[0], atol=0.03)
    assert torch.allclose(found.std(0), (log_variance[0] / 2).exp(), atol=0.03)
