"""The full scale of intensities, found from the first clouds."""

import numpy as np
import pytest

from perception_nodes.messages.intensity import CLOUDS, IntensityScale, scaled


def cloud(full, seed=0, n=5000):
    """Intensities of a street: most are dark, a few bright; 0..255 as whole numbers, as drivers send them."""
    shares = np.random.default_rng(seed).beta(1.5, 4, n)
    return (np.round(shares * full) if full > 1 else shares).astype(np.float32)


def feed(scale, clouds, kind="f4"):
    return [scale(values, kind) for values in clouds]


@pytest.mark.parametrize("full", [1.0, 255.0])
def test_the_scale_is_right_from_the_first_cloud_on_and_is_said_once(full):
    readings = feed(IntensityScale(), [cloud(full, seed) for seed in range(12)])
    assert [r.scale for r in readings] == [full] * 12 and not any(r.warning for r in readings)
    assert [bool(r.found) for r in readings] == [i == CLOUDS - 1 for i in range(12)]
    assert f"0 to {full:g}" in readings[CLOUDS - 1].found
    assert readings[-1].state == f"{full:g} (found from the first clouds)"


@pytest.mark.parametrize("full", [1.0, 255.0])
def test_outliers_do_not_decide(full):
    clouds = [cloud(full, seed) for seed in range(CLOUDS)]
    for values in clouds:
        values[0], values[7], values[9], values[11] = 1e6, np.nan, np.inf, -np.inf
    readings = feed(IntensityScale(), clouds)
    assert [r.scale for r in readings] == [full] * CLOUDS and not any(r.warning for r in readings)
    assert scaled(clouds[0], full)[0] == 1.0


def test_one_odd_cloud_among_the_first_does_not_decide():
    odd = np.full(5000, 1e4, np.float32)
    readings = feed(IntensityScale(), [cloud(1.0, 0), odd, cloud(1.0, 1), cloud(1.0, 2), cloud(1.0, 3), cloud(1.0, 4)])
    assert readings[-1].scale == 1.0 and "found from" in readings[-1].state


@pytest.mark.parametrize(
    "values",
    [np.linspace(0, 4000, 5000), np.linspace(-40, 0.9, 5000), np.linspace(0, 1.9, 5000)],
    ids=["thousands", "decibels", "slightly above 1"],
)
def test_intensities_that_fit_no_scale_are_not_used_and_warn_at_every_cloud(values):
    readings = feed(IntensityScale(), [values.astype(np.float32)] * 20)
    assert all(r.scale is None and "input.intensity_scale" in r.warning for r in readings)
    assert not scaled(values.astype(np.float32), None).any()


def test_a_found_scale_is_kept_and_clouds_that_do_not_fit_it_warn():
    scale = IntensityScale()
    feed(scale, [cloud(1.0, seed) for seed in range(CLOUDS)])
    later = feed(scale, [cloud(255.0, seed) for seed in range(20)])
    assert all(r.scale == 1.0 and "do not fit the full scale 1" in r.warning for r in later)


def test_after_a_jump_of_time_another_scale_is_never_taken_without_a_word():
    scale = IntensityScale()
    feed(scale, [cloud(1.0, seed) for seed in range(CLOUDS)])
    scale.reset()
    same = feed(scale, [cloud(1.0, seed) for seed in range(9)])
    assert all(r.scale == 1.0 and not r.warning and not r.found for r in same)
    scale.reset()
    other = feed(scale, [cloud(255.0, seed) for seed in range(CLOUDS + 1)])
    assert [r.scale for r in other] == [1.0] * (CLOUDS - 1) + [255.0] * 2
    assert all(r.warning for r in other[:CLOUDS]) and "since the stamps jumped" in other[CLOUDS - 1].warning
    assert not other[-1].warning


def test_clouds_that_say_nothing_do_not_count():
    scale = IntensityScale()
    nothing = [np.zeros(100), np.full(100, np.nan), np.zeros(0), np.ones(100)]
    readings = feed(scale, [values.astype(np.float32) for values in nothing * 3])
    assert all(r.scale == 1.0 and not r.warning and "unknown" in r.state for r in readings)
    assert feed(scale, [cloud(255.0, seed) for seed in range(CLOUDS)])[-1].found


def test_integer_types():
    assert IntensityScale()(cloud(255.0), "u1").scale == 255.0
    assert IntensityScale()(cloud(255.0) * 0, "u1").scale == 255.0
    assert IntensityScale()(cloud(65535.0), "u2").scale == 65535.0
    assert IntensityScale()(cloud(255.0), "u2").scale == 255.0
    assert IntensityScale()(cloud(255.0), "i4").scale == 255.0


def test_a_given_scale_is_taken_and_what_exceeds_it_warns():
    reading = IntensityScale(100.0)(cloud(1.0), "f4")
    assert (reading.scale, reading.warning, reading.state) == (100.0, "", "100 (input.intensity_scale)")
    assert "exceed input.intensity_scale 1" in IntensityScale(1.0)(cloud(255.0), "u1").warning


def test_scaled_intensities_are_shares():
    np.testing.assert_allclose(scaled(np.float32([0, 51, 255, 300, -1]), 255.0), [0, 0.2, 1, 1, 0])
    assert np.isnan(scaled(np.float32([np.nan]), 255.0)).all()
