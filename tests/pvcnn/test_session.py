"""Labelling sweeps square by square."""

import numpy as np
import pytest

from models.facts import ModelError
from models.pvcnn.crops import FEATURES, SIDE, crop_features
from models.pvcnn.session import PointSession


@pytest.fixture(scope="module")
def session():
    return PointSession.from_weights("random:pvcnn-lite", points=128, threads=1)


def sweep(n=600, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform((-6, -6, -2), (6, 6, 3), (n, 3)).astype(np.float32), rng.random(n).astype(np.float32)


def test_features_by_hand():
    xyz = np.float32([[3, 4, -1.7], [1, 0, 0.3]])
    found = crop_features(xyz, np.float32([0.5, 1.0]), np.float32([1, 0]), turn=np.pi / 2)
    assert found.shape == (len(FEATURES), 2)
    assert found[0] == pytest.approx([-4 / 4.8, 0], abs=1e-6)  # turned left: y becomes -x
    assert found[1] == pytest.approx([2 / 4.8, 0], abs=1e-6)
    assert found[3] == pytest.approx([0, 1.0]) and found[4, 0] == pytest.approx(np.log1p(5) / 2)
    assert found[5].tolist() == [0.5, 1.0] and found[6].tolist() == [1, 1]
    assert not crop_features(xyz, np.float32([0.5, 1.0]), np.float32([1, 0]), known=False)[5:].any()


def test_every_finite_point_gets_one_label(session):
    xyz, intensity = sweep()
    xyz[3] = np.nan
    xyz[4, 1] = np.inf
    xyz[5] = 1e8
    intensity[7] = np.nan
    found = session.step(xyz, intensity)
    assert (found.label[[3, 4, 5]] == 255).all() and (found.score[[3, 4, 5]] == 0).all()
    rest = np.delete(np.arange(len(xyz)), [3, 4, 5])
    assert (found.label[rest] < 19).all() and (found.score[rest] > 0).all() and (found.score <= 1).all()


def test_a_step_has_no_past(session):
    xyz, intensity = sweep()
    first = session.step(xyz, intensity)
    session.step(*sweep(200, 1))
    again = session.step(xyz, intensity)
    assert np.array_equal(first.label, again.label) and np.array_equal(first.score, again.score)
    assert set(session.seconds) == {"squares", "features", "network"}


def test_squares_hold_their_own_points_only(session):
    xyz, _ = sweep()
    seen = []
    for rows, centre in session._squares(xyz):
        assert len(rows) <= 128 and (np.abs(xyz[rows, :2] - centre) <= SIDE / 2 + 1e-4).all()
        seen.append(rows)
    assert np.array_equal(np.sort(np.concatenate(seen)), np.arange(len(xyz)))


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_points(session, n):
    found = session.step(np.ones((n, 3), np.float32), np.ones(n, np.float32))
    assert len(found) == n and (found.label < 19).all()


def test_bad_input_is_refused_in_words(session):
    with pytest.raises(ValueError, match=r"expected \[N, 3\] and \[N\]"):
        session.step(np.zeros((4, 2), np.float32), np.zeros(4, np.float32))
    with pytest.raises(ValueError, match="N at least 1"):
        crop_features(np.zeros((0, 3), np.float32), np.zeros(0, np.float32), np.zeros(2, np.float32))
    with pytest.raises(ModelError, match="expected a street network"):
        PointSession.from_weights("random:pvcnn-s3dis-c0.125")
    with pytest.raises(ModelError, match="expected 1 or more of each"):
        PointSession.from_weights("random:pvcnn-lite", points=0)
