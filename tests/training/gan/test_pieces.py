"""Losses and training pieces against their definitions."""

import math
import random

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from models.gan.anycost import RATIOS, AnycostGenerator
from models.gan.resnet import ResnetGenerator
from models.gan.resnet_supernet import SuperMobileResnetGenerator
from models.gan.spade_input import one_hot
from models.gan.spade_supernet import SuperMobileSpadeGenerator
from training.gan import losses
from training.gan.average import averaged_copy, decay_of, update_average
from training.gan.consistency import consistency_loss, picture_pyramid
from training.gan.distillation import (
    RESNET_LAYERS,
    captured,
    reconstruction_loss,
    resnet_feature_maps,
    spade_feature_maps,
)
from training.gan.image_pool import ImagePool
from training.gan.recalibrate import recalibrate
from training.gan.regularisers import path_length_penalty, r1_gamma, r1_penalty
from training.gan.sub_networks import encode_architecture, flexible_width, sample_channels, sample_resolutions

REAL, FAKE = torch.tensor([2.0, -0.5]), torch.tensor([0.5, -3.0])


def softplus(x):
    return math.log1p(math.exp(x))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    "name, d, g",
    [
        ("vanilla", lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)), lambda f: -math.log(sigmoid(f))),
        ("logistic", lambda r, f: softplus(-r) + softplus(f), lambda f: softplus(-f)),
        ("lsgan", lambda r, f: (r - 1) ** 2 + f**2, lambda f: (f - 1) ** 2),
        ("hinge", lambda r, f: max(0, 1 - r) + max(0, 1 + f), lambda f: -f),
    ],
)  # fmt: skip
def test_adversarial_losses_are_their_equations(name, d, g):
    pairs = list(zip(REAL.tolist(), FAKE.tolist()))
    assert float(losses.discriminator_loss(name, REAL, FAKE)) == pytest.approx(sum(d(*p) for p in pairs) / 2, rel=1e-5)
    assert float(losses.generator_loss(name, FAKE)) == pytest.approx(sum(g(f) for _, f in pairs) / 2, rel=1e-5)


def test_several_scales_are_averaged_and_layers_count_by_their_scores():
    scales = [[torch.zeros(9), torch.tensor([1.0])], [torch.zeros(9), torch.tensor([-3.0])]]
    assert float(losses.generator_loss("hinge", scales)) == pytest.approx(1.0)
    assert float(losses.generator_loss("hinge", [torch.tensor([1.0]), torch.tensor([-3.0])])) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="expected one of vanilla"):
        losses.generator_loss("wgan", FAKE)


def test_relativistic_losses_compare_with_the_other_kinds_mean():
    real, fake = torch.tensor([3.0, 1.0]), torch.tensor([0.5, -0.5])
    expected = (max(0, 1 - 3) + max(0, 1 - 1)) / 2 + (max(0, 1 + 0.5 - 2) + max(0, 1 - 0.5 - 2)) / 2
    assert float(losses.relativistic_hinge_d(real, fake)) == pytest.approx(expected)
    assert float(losses.relativistic_hinge_g(real, fake)) == pytest.approx((4 + 2) / 2 + (2.5 + 3.5) / 2)


def test_feature_matching_leaves_the_scores_out_and_the_real_features_alone():
    real = [[torch.ones(2, requires_grad=True), torch.full((2,), 9.0)]] * 2
    fake = [[torch.full((2,), 3.0, requires_grad=True), torch.zeros(2)]] * 2
    found = losses.feature_matching(real, fake)
    found.backward()
    assert float(found.detach()) == pytest.approx(2.0) and real[0][0].grad is None and fake[0][0].grad is not None
    assert float(losses.kl_divergence(torch.tensor([1.0, 0.0]), torch.zeros(2))) == pytest.approx(0.5)


def test_r1_of_a_linear_score_is_its_squared_gradient_and_can_be_trained():
    weight = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    real = torch.randn(5, 3, requires_grad=True)
    penalty = r1_penalty(real @ weight, real)
    assert float(penalty.detach()) == pytest.approx(14.0)
    penalty.backward()
    assert torch.allclose(weight.grad, 2 * weight.detach())
    assert r1_gamma(256, 8) == pytest.approx(1.6384)


def test_path_length_of_a_linear_generator():
    matrix = torch.randn(12, 4)
    ws = torch.randn(3, 2, 4, requires_grad=True)
    pictures = (ws @ matrix.t()).sum(1).reshape(3, 3, 2, 2)
    noise = torch.randn(3, 3, 2, 2)
    expected = ((noise / 2).reshape(3, 12) @ matrix).norm(dim=1)  # the same for both style vectors
    penalty, mean = path_length_penalty(pictures, ws, torch.tensor(1.0), 0.5, noise)
    assert float(mean) == pytest.approx(0.5 + 0.5 * float(expected.mean()), rel=1e-5)
    assert float(penalty.detach()) == pytest.approx(float((expected - mean).square().mean()), rel=1e-4)


def test_distillation_maps_the_published_layers_of_any_width():
    teacher, student = ResnetGenerator(ngf=4).eval(), SuperMobileResnetGenerator(ngf=8)
    student.select((4,) * 8)
    maps = resnet_feature_maps(8, 4)
    x = torch.randn(1, 3, 16, 16)
    with captured(teacher, RESNET_LAYERS) as wanted, captured(student, RESNET_LAYERS) as found:
        teacher(x)
        student(x)
    assert [t.shape[1] for t in wanted.values()] == [16] * 4 and [t.shape[1] for t in found.values()] == [16] * 4
    expected = sum(
        F.mse_loss(F.conv2d(found[k], m.weight[:, :16], m.bias), wanted[k]) for k, m in zip(RESNET_LAYERS, maps.maps)
    )
    loss = maps(found, wanted)
    assert torch.allclose(loss, expected)
    loss.backward()
    assert student.model[1].weight.grad is not None and teacher.model[1].weight.grad is None
    teacher(x)  # the hooks are gone
    assert not teacher.model[9]._forward_hooks
    with pytest.raises(ValueError, match="no layer model.99"), captured(teacher, ["model.99"]):
        pass
    assert [tuple(m.weight.shape[:2]) for m in spade_feature_maps(8, 4).maps] == [(64, 128), (64, 128), (16, 32)]


def test_reconstruction_prefers_ground_truth():
    output, truth, teacher = torch.zeros(2), torch.ones(2), torch.full((2,), 3.0)
    assert float(reconstruction_loss(output, truth, teacher)) == 1.0
    assert float(reconstruction_loss(output, None, teacher)) == 3.0
    with pytest.raises(ValueError, match="neither"):
        reconstruction_loss(output, None, None)


def test_image_pool_keeps_and_exchanges_pictures():
    pool = ImagePool(4, random.Random(0))
    first = torch.arange(4.0).reshape(4, 1, 1, 1)
    assert torch.equal(pool.query(first), first)
    seen = torch.cat([pool.query(torch.full((1, 1, 1, 1), 10.0 + i)) for i in range(200)]).flatten()
    older = (seen != torch.arange(200) + 10.0).float().mean()
    assert 0.35 < older < 0.65 and len(pool.kept) == 4
    assert torch.equal(ImagePool(0).query(first), first)


def test_average_follows_with_its_half_life():
    network = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    average = averaged_copy(network)
    with torch.no_grad():
        network[0].weight.add_(1.0)
        network[1].running_mean.fill_(5.0)
    start = float(average[0].weight.detach())
    for _ in range(10):
        update_average(average, network, decay_of(40, 4))
    assert float(average[0].weight.detach()) - start == pytest.approx(0.5, abs=1e-5)
    assert float(average[1].running_mean) == 5.0 and not average[0].weight.requires_grad


@pytest.fixture(scope="module")
def generator():
    return AnycostGenerator(64, 8, 1, channel_multiplier=0.5, channel_max=64)


def test_sampling_modes_stay_in_their_limits(generator):
    full, least = generator.channels(1.0), generator.channels(0.25)
    rng = random.Random(0)
    uniform = {sample_channels(generator, "uniform", rng)[0] for _ in range(40)}
    assert uniform == {generator.channels(r) for r in RATIOS}
    for _ in range(40):
        widths, ratios = sample_channels(generator, "flexible", rng)
        assert all(low <= w <= high and w % 4 == 0 and w >= 8 for w, low, high in zip(widths, least, full))
        assert all(w == flexible_width(c, r) for w, c, r in zip(widths, full, ratios))
    sandwich = [sample_channels(generator, "sandwich", rng)[1] for _ in range(400)]
    shares = [sum(set(s) == {r} for s in sandwich) / 400 for r in (1.0, 0.25)]
    assert all(0.18 < s < 0.34 for s in shares)
    with pytest.raises(ValueError, match="expected one of uniform"):
        sample_channels(generator, "some", rng)
    widths, _ = sample_channels(generator, "flexible", rng)
    assert generator(torch.randn(1, 8), widths).shape == (1, 3, 64, 64)
    assert sample_resolutions(generator, 2, 2, rng) == [64, 32]


def test_architecture_vector_is_one_hot_per_layer(generator):
    _, ratios = sample_channels(generator, "flexible", random.Random(1))
    found = encode_architecture(ratios)
    assert found.shape == (4 * generator.n_style,)
    assert [RATIOS[int(i)] for i in found.reshape(-1, 4).argmax(1)] == list(ratios)
    assert torch.equal(found.reshape(-1, 4).sum(1), torch.ones(generator.n_style))
    with pytest.raises(ValueError, match="0.3 is unknown"):
        encode_architecture([0.3])


def test_pyramids_average_and_consistency_is_zero_for_the_teacher_itself():
    pictures = torch.randn(2, 3, 16, 16)
    small = picture_pyramid(pictures, [16, 4])
    assert torch.equal(small[0], pictures) and torch.allclose(small[1].mean((2, 3)), pictures.mean((2, 3)), atol=1e-5)
    with pytest.raises(ValueError, match="12 px does not divide"):
        picture_pyramid(pictures, [12])
    scaled = F.interpolate(pictures, size=8, mode="bilinear", align_corners=True)
    assert float(consistency_loss([pictures, scaled], pictures)) == 0.0
    assert float(consistency_loss([pictures + 1, scaled], pictures)) == pytest.approx(1.0, rel=1e-5)


def test_recalibration_measures_the_selected_widths():
    torch.manual_seed(0)
    supernet = SuperMobileSpadeGenerator(3, 4, upsampling="normal", crop_size=64)
    config = (4, 2, 4, 4, 4, 2, 4, 4)
    supernet.select(config)
    batches = [(one_hot(torch.randint(0, 3, (2, 32, 64)), 3),) for _ in range(3)]
    assert recalibrate(supernet, batches) == 3
    norm = supernet.head_0.norm_1.param_free_norm
    assert norm.momentum == 0.1 and not norm.training and float(norm.running_var[32:].sub(1).abs().max()) == 0
    student = supernet.extract(config)
    recalibrate(student, batches)
    assert torch.allclose(student.head_0.norm_1.param_free_norm.running_var, norm.running_var[:32], rtol=1e-4)
    with torch.inference_mode():
        assert torch.allclose(student(*batches[0]), supernet(*batches[0]), atol=1e-4)
    assert recalibrate(ResnetGenerator(ngf=2, n_blocks=1), []) == 0
    with pytest.raises(ValueError, match="at least one"):
        recalibrate(supernet, [])
