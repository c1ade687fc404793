"""The session: every raw point gets an answer, whatever it is; the same answer every time."""

import numpy as np
import pytest

from models.facts import ModelError
from models.sparse import voxelize
from models.spvcnn.features import voxel_features
from models.spvcnn.quantise import OUTSIDE, Quantiser
from models.spvcnn.session import SegmentationSession

BOX = (-102.4, -102.4, -12.8, 102.4, 102.4, 38.4)


@pytest.fixture(scope="module")
def session() -> SegmentationSession:
    return SegmentationSession.from_weights("random:spvcnn-lite", precision="fp32", threads=1)


def points(count: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(-20, 20, (count, 3)).astype(np.float32) * [1, 1, 0.1]
    return xyz, rng.uniform(0, 1, count).astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, 2, 700])
def test_any_number_of_points_is_labelled(session, count):
    found = session.step(*points(count))
    assert found.label.shape == found.score.shape == (count,)
    assert found.label.dtype == np.uint8 and found.score.dtype == np.float32
    assert (found.label < 19).all() and ((found.score > 0) & (found.score <= 1)).all()


def test_points_that_are_not_finite_or_far_out_get_255(session):
    xyz, intensity = points(300)
    xyz[5, 0], xyz[6, 1], xyz[7, 2], xyz[8, 0] = np.nan, np.inf, -np.inf, 5000.0
    found = session.step(xyz, intensity)
    assert (found.label[5:9] == 255).all() and (found.score[5:9] == 0).all()
    kept = np.r_[0:5, 9:300]
    clean = session.step(xyz[kept], intensity[kept])
    assert np.array_equal(found.label[kept], clean.label) and np.array_equal(found.score[kept], clean.score)


def test_only_bad_points_are_no_error(session):
    found = session.step(np.full((4, 3), np.nan, np.float32), np.zeros(4, np.float32))
    assert (found.label == 255).all()


def test_an_intensity_that_is_not_finite_counts_as_zero(session):
    xyz, intensity = points(200)
    broken, zero = intensity.copy(), intensity.copy()
    broken[3], zero[3] = np.nan, 0.0
    assert np.array_equal(session.step(xyz, broken).score, session.step(xyz, zero).score)


def test_the_order_of_the_points_does_not_matter_to_a_label(session):
    xyz, intensity = points(500)
    order = np.random.default_rng(1).permutation(500)
    straight, turned = session.step(xyz, intensity), session.step(xyz[order], intensity[order])
    assert (straight.label[order] == turned.label).mean() > 0.99  # sums round differently
    np.testing.assert_allclose(straight.score[order], turned.score, atol=1e-4)


def test_the_same_sweep_gives_the_same_bytes(session):
    one, _, two = session.step(*points(800)), session.step(*points(900, 1)), session.step(*points(800))
    assert one.label.tobytes() == two.label.tobytes() and one.score.tobytes() == two.score.tobytes()


def test_points_in_one_voxel_share_a_label(session):
    xyz = np.array([[1.01, 1.01, 0.01], [1.09, 1.09, 0.09], [9, 9, 0]], np.float32)
    found = session.step(xyz, np.zeros(3, np.float32))
    assert found.score[0] == found.score[1]


def test_wrong_shapes_and_settings_are_refused(session):
    with pytest.raises(ValueError, match=r"expected \[N, 3\] and \[N\]"):
        session.step(np.zeros((3, 4), np.float32), np.zeros(3, np.float32))
    with pytest.raises(ModelError, match="precision 'int4' is unknown"):
        SegmentationSession.from_weights("random:spvcnn-lite", precision="int4")
    with pytest.raises(ModelError, match="no model"):
        SegmentationSession.from_weights("nowhere")


def test_the_released_networks_take_the_first_point_of_a_voxel():
    released = SegmentationSession.from_weights("random:spvcnn-cr0.5", precision="fp32", threads=1)
    assert len(released.step(*points(50)).label) == 50


def test_voxels_equal_the_engines_own():
    rng = np.random.default_rng(0)
    xyz = rng.normal(0, 15, (5000, 3)).astype(np.float32) * np.float32([1, 1, 0.1])
    found = Quantiser(0.1, BOX)(xyz, np.zeros(5000, np.float32))
    expected = voxelize(xyz, 0.1)
    assert np.array_equal(found.coords, expected.coords) and np.array_equal(found.voxel_of, expected.inverse)
    assert np.array_equal(found.counts, expected.counts) and np.array_equal(found.first, expected.first)
    mean = np.zeros((len(expected.coords), 3))
    np.add.at(mean, expected.inverse, xyz.astype(np.float64))
    np.testing.assert_allclose(found.means[:, :3], mean / expected.counts[:, None], atol=1e-5)


def test_the_quantiser_leaves_out_what_it_must():
    xyz = np.array([[0, 0, 0], [np.nan, 0, 0], [0, 0, 1e9], [102.39, 0, 0], [102.41, 0, 0]], np.float32)
    found = Quantiser(0.1, BOX)(xyz, np.ones(5, np.float32))
    assert (found.voxel_of == OUTSIDE).tolist() == [False, True, True, False, True]


def test_features_by_hand():
    means = np.array([[3.0, 4.0, -2.0, 0.25]], np.float32)
    cells, counts = np.floor(means[:, :3] / 0.1), np.array([3.0], np.float32)
    names = ("height", "range", "intensity", "known", "offset_x", "count", "z")
    found = voxel_features(names, means, cells, counts, 1.0, 0.1, np)[0]
    expected = [-1.0, np.log(6.0) / 2, 0.25, 1.0, 30.0 - cells[0, 0] - 0.5, 0.5, -2.0]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(ValueError, match="unknown input feature 'colour'"):
        voxel_features(("colour",), means, cells, counts, 1.0, 0.1, np)
