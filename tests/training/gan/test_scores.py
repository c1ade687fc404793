"""Scores of generated pictures against their definitions."""

import numpy as np
import pytest
import torch

from training.gan.features import LiteFeatures, perceptual_distance, perceptual_loss
from training.gan.scores import flicker, frechet_distance, kernel_distance, paired_scores, set_scores


@pytest.fixture(scope="module")
def features():
    return LiteFeatures()


def test_the_frechet_distance_of_gaussians_is_the_formula():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(20_000, 3)) * [1.0, 2.0, 3.0]
    b = rng.normal(size=(20_000, 3)) * [2.0, 2.0, 1.0] + [0.0, 3.0, 0.0]
    # diagonal covariances: |mean|^2 + sum (s - t)^2
    assert frechet_distance(a, b) == pytest.approx(9 + 1 + 0 + 4, rel=0.02)
    assert frechet_distance(a, a) == pytest.approx(0.0, abs=1e-6)


def test_the_frechet_distance_is_exact_with_fewer_pictures_than_features():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(6, 9)), rng.normal(size=(7, 9)) + 1
    from scipy.linalg import sqrtm

    ca, cb = np.cov(a.T), np.cov(b.T)
    tiny = 1e-9 * np.eye(9)
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(ca + cb - 2 * sqrtm((ca + tiny) @ (cb + tiny)).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-3)


def test_the_kernel_distance_is_unbiased_and_grows_with_the_difference():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(400, 8)), rng.normal(size=(400, 8))
    assert abs(kernel_distance(a, b)) < 0.02
    assert kernel_distance(a, b + 2) > 10 * kernel_distance(a, b + 0.3) > 0
    x, y = a[:2], b[:2]

    def k(p, q):
        return (p @ q / 8 + 1) ** 3

    by_hand = k(x[0], x[1]) + k(y[0], y[1]) - 2 * np.mean([k(p, q) for p in x for q in y])
    assert kernel_distance(x, y) == pytest.approx(by_hand)


def test_noisier_pictures_score_worse(features):
    torch.manual_seed(0)
    real = (torch.rand(12, 3, 48, 64) * 255).to(torch.uint8)
    slightly = (real.float() + torch.randn(real.shape) * 5).clamp(0, 255).to(torch.uint8)
    strongly = 255 - real // 2
    near, far = set_scores(features, real, slightly), set_scores(features, real, strongly)
    assert 0 <= near["fid_lite0"] < far["fid_lite0"] and near["kid_lite0"] < far["kid_lite0"]
    paired, worse = paired_scores(features, slightly, real), paired_scores(features, strongly, real)
    assert paired["psnr"] > worse["psnr"] and paired["lpips_lite0"] < worse["lpips_lite0"]
    assert paired_scores(features, real, real)["lpips_lite0"] == pytest.approx(0, abs=1e-6)


def test_perceptual_losses_have_gradients_and_no_gradient_reaches_the_network(features):
    x = torch.rand(1, 3, 32, 32).requires_grad_()
    (perceptual_loss(features, x, -x.detach()) + perceptual_distance(features, x, -x.detach()).sum()).backward()
    assert x.grad.abs().sum() > 0 and all(p.grad is None for p in features.parameters())
    assert not features.train().network.training


def test_flicker_counts_what_the_style_adds():
    still = torch.zeros(3, 3, 8, 8)
    blinking = still.clone()
    blinking[1] = 2 / 255
    assert flicker(still, still) == 0
    assert flicker(still, blinking) == pytest.approx(1.0, rel=1e-5)
    with pytest.raises(ValueError, match="expected equal"):
        flicker(still, blinking[:2])
    with pytest.raises(ValueError, match="2 pictures or more"):
        frechet_distance(np.zeros((1, 4)), np.zeros((3, 4)))
