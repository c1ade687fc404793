"""Photometric augmentation: seeded, pure, and each step changes what its name says and nothing else."""

import numpy as np
import pytest

from training.common.photometric import (
    PhotometricConfig,
    jpeg,
    local_contrast,
    noise,
    photometric,
    recolour,
    tone,
    vignette,
)

LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def picture():
    """Coloured tiles of 8 px on a brightness ramp."""
    rng = np.random.default_rng(0)
    tiles = np.repeat(np.repeat(rng.integers(40, 200, (8, 16, 3)), 8, 0), 8, 1)
    return (tiles * np.linspace(0.7, 1.2, 128)[None, :, None]).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def floats(picture):
    return picture.astype(np.float32) / 255


def test_the_same_seed_gives_the_same_bytes_and_the_input_stays(picture):
    before = picture.copy()
    a, b, c = (photometric(picture, np.random.default_rng(s)) for s in (5, 5, 6))
    assert a.dtype == np.uint8 and a.shape == picture.shape and a.flags.c_contiguous
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    assert np.array_equal(picture, before) and not np.shares_memory(a, picture)


def test_without_chance_it_is_the_same_picture(picture):
    out = photometric(picture, np.random.default_rng(1), PhotometricConfig(chance=0.0))
    assert np.array_equal(out, picture)


def test_it_is_strong_but_the_scene_stays_recognisable(picture):
    """Over many seeds: mean level and colour spread far, and the luma's pattern stays."""
    luma = picture @ LUMA
    changed, alike = [], []
    for seed in range(60):
        out = photometric(picture, np.random.default_rng(seed)) @ LUMA
        changed.append(out.mean() / luma.mean())
        alike.append(np.corrcoef(out.ravel(), luma.ravel())[0, 1])
    assert np.std(changed) > 0.15 and 0.3 < min(changed) < max(changed) < 3.0
    assert np.percentile(alike, 10) > 0.8


def test_saturation_zero_is_grey_and_keeps_the_luma(floats):
    grey = recolour(floats, np.ones(3), 0.0, 0.0)
    assert abs(np.ptp(grey, axis=2)).max() < 2e-3
    assert np.allclose(grey.mean(2), floats @ LUMA, atol=2e-3)


def test_hue_turns_colours_and_keeps_grey_and_luma(floats):
    turned = recolour(floats, np.ones(3), 1.0, 120.0)
    assert np.allclose(turned @ LUMA, floats @ LUMA, atol=2e-3)
    assert abs(turned - floats).mean() > 0.05
    level = np.full((4, 4, 3), 0.4, np.float32)
    assert np.allclose(recolour(level, np.ones(3), 1.7, 77.0), level, atol=2e-3)


def test_a_colour_cast_tints_grey_and_keeps_its_luma():
    level = np.full((4, 4, 3), 0.4, np.float32)
    warm = recolour(level, np.array([1.2, 1.0, 0.8]), 1.0, 0.0)[0, 0]
    assert warm[0] > warm[1] > warm[2] and warm @ LUMA == pytest.approx(0.4, abs=2e-3)


def test_contrast_gain_and_gamma_do_what_they_say(floats):
    assert tone(floats, 1.0, 0.5, 1.0).std() == pytest.approx(0.5 * floats.std(), rel=0.01)
    assert tone(floats, 1.0, 0.5, 1.0).mean() == pytest.approx(floats.mean(), rel=0.01)
    assert tone(floats, 0.5, 1.0, 1.0).mean() == pytest.approx(0.5 * floats.mean(), rel=0.01)
    assert tone(floats, 1.0, 1.0, 2.0) == pytest.approx(floats**2, abs=1e-5)


def test_local_contrast_sharpens_edges_and_negative_softens(floats):
    def edges(image):
        return abs(np.diff(image @ LUMA, axis=1)).mean()

    assert edges(local_contrast(floats, -0.4)) < edges(floats) < edges(local_contrast(floats, 0.8))
    flat = np.full((32, 32, 3), 0.5, np.float32)
    assert np.allclose(local_contrast(flat, 0.9), flat, atol=1e-5)


def test_a_vignette_darkens_the_corners_by_its_share():
    out = vignette(np.full((33, 65, 3), 0.8, np.float32), 0.4)
    assert out[16, 32] == pytest.approx(0.8, abs=1e-3) and out[0, 0] == pytest.approx(0.8 * 0.6, abs=1e-3)


def test_noise_has_the_variance_of_its_definition():
    for level in (0.2, 0.8):
        out = noise(np.full((120, 120, 3), level, np.float32), np.random.default_rng(0), 0.02, 0.05)
        assert out.var() == pytest.approx(0.02**2 + 0.05**2 * level, rel=0.06)
        assert out.mean() == pytest.approx(level, abs=1e-3)


def test_jpeg_loses_more_at_a_lower_quality(picture):
    error = [abs(jpeg(picture, q).astype(int) - picture).mean() for q in (95, 60, 20)]
    assert error == sorted(error) and error[0] > 0


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_other_arrays_are_refused(bad):
    with pytest.raises(ValueError, match=r"expected uint8 \[H, W, 3\]"):
        photometric(bad, np.random.default_rng(0))
