"""The training data path: wire format, maps on the device, labels, augmentation."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.sparse import Level, build_maps
from perception_nodes.classes import IGNORE
from tests.training.street import street
from training.common.seeds import TEST, TRAIN, VAL, split_of
from training.segmentation.augment import RARE, AugmentConfig, PointBatch, augment
from training.segmentation.confusion import confusion, iou
from training.segmentation.device_maps import build_levels, points_at
from training.segmentation.losses import class_weights, lovasz_softmax, segmentation_loss
from training.segmentation.sweep_buffer import SweepBuffer, collate, compact
from training.segmentation.sweep_wire import CompactSweep, read_sweep, write_sweep
from training.segmentation.voxels import majority

STILL = AugmentConfig(
    turn=0, tilt=0, scale=0, lift=0, flip=0, range_noise=0, point_drop=0, beam_drop=0, far_drop=0, gain=0, gamma=0,
    offset=0, intensity_drop=0, mix=0, paste=0, waves=0,
)  # fmt: skip


def batch_of(*seeds: int) -> PointBatch:
    return collate([compact(street(s, 400), torch.device("cpu")) for s in seeds])


def test_seed_ranges_are_disjoint_and_cover_what_they_say():
    assert not set(TRAIN) & set(VAL) and not set(VAL) & set(TEST) and not set(TRAIN) & set(TEST)
    assert [split_of(s) for s in (0, VAL[0], TEST[-1])] == ["train", "val", "test"]
    with pytest.raises(ValueError, match="belongs to no split"):
        split_of(TEST[-1] + 1)


def test_a_sweep_survives_the_wire_to_two_millimetres():
    sweep, stream = street(3), io.BytesIO()
    write_sweep(stream, sweep)
    stream.seek(0)
    back = read_sweep(stream)
    assert back is not None and back.seed == 3 and back.pattern == "hand"
    np.testing.assert_array_equal(back.xyz, sweep.xyz)
    np.testing.assert_array_equal(back.label, sweep.label)
    assert read_sweep(stream) is None
    odd = CompactSweep.pack(
        np.array([[1, 2, 3], [np.nan, 0, 0], [500, 0, 0]], np.float32), np.ones(3), np.ones(3), np.ones(3), 0, "x"
    )
    np.testing.assert_allclose(odd.metres(), [[1, 2, 3]], atol=0.002)


def test_a_torn_stream_is_refused():
    stream = io.BytesIO()
    write_sweep(stream, street(3))
    with pytest.raises(ValueError, match="ended after"):
        read_sweep(io.BytesIO(stream.getvalue()[:-5]))
    with pytest.raises(ValueError, match="expected a sweep header"):
        read_sweep(io.BytesIO(b"hello world, this is not a sweep at all"))


def test_device_maps_equal_the_cpu_engines_maps():
    rng = np.random.default_rng(0)
    coords = np.unique(np.c_[rng.integers(-20, 20, (2000, 3)), rng.integers(0, 2, 2000)], axis=0).astype(np.int32)
    keys = torch.from_numpy(np.sort(Level(coords).keys))
    level = Level.from_keys(keys.numpy(), (1, 1, 1))
    ours = build_levels(keys)
    rows = np.arange(len(level), dtype=np.int32)
    maps = build_maps(
        level, points=level.coords[:, :3], point_batch=level.coords[:, 3], point_voxel=rows, point_strides=(4, 16)
    )
    for a, b in zip(ours, maps.levels):
        assert np.array_equal(a.keys.numpy(), b.keys)
        pairs = [(a.submanifold(), b.submanifold(3))] + ([(a.down()[1], b.down()[1])] if a.coarser else [])
        for table, found in pairs:
            assert torch.equal(table.table("cpu"), found.table("cpu"))
            assert torch.equal(table.table("cpu", by_input=True), found.table("cpu", by_input=True))
    for stride, points in points_at(ours).items():
        other = maps.points[stride]
        assert np.array_equal(points.voxel.numpy(), other.voxel) and np.array_equal(
            points.corners.numpy(), other.corners
        )
        np.testing.assert_allclose(points.weights.numpy(), other.weights, atol=1e-6)


def test_a_voxel_takes_the_label_most_of_its_points_have():
    labels = torch.tensor([1, 1, 2, IGNORE, IGNORE, 3, IGNORE])
    inverse = torch.tensor([0, 0, 0, 0, 1, 2, 2])
    assert majority(labels, inverse, 3, 19).tolist() == [1, IGNORE, 3]


def test_a_sector_lies_ahead_and_shows_every_rare_class_alike():
    rng = np.random.default_rng(0)
    angle = rng.uniform(-np.pi, np.pi, 3000)
    label = np.full(3000, 8)
    label[(angle > 1.0) & (angle < 1.6)] = RARE[0]  # many
    few = (angle > -2.0) & (angle < -1.97)
    label[few] = RARE[1]
    xyz = np.stack([20 * np.cos(angle), 20 * np.sin(angle), np.zeros(3000)], 1).astype(np.float32)
    sweep = CompactSweep.pack(xyz, np.ones(3000), label, np.ones(3000), 0, "ring")
    many, seen = 60, []
    batch = collate([compact(sweep, torch.device("cpu"))] * many)
    kept = augment(batch, replace(STILL, sector=0.1), torch.Generator().manual_seed(0))
    for i in range(many):
        rows = kept.batch == i
        shift = kept.xyz[rows].mean(0)  # the shift of whole sweeps that augmentation always makes
        assert 0.05 < float(rows.sum()) / 3000 < 0.15
        seen.append(bool((kept.label[rows] == RARE[1]).any()))
        assert 17.0 < float(shift[0]) < 21.5 and abs(float(shift[1])) < 4.0
    assert 0.3 < np.mean(seen) < 0.7, "the few points of one class are the middle as often as the many of another"
    anywhere = augment(batch, replace(STILL, sector=0.1, centred=0.0), torch.Generator().manual_seed(0))
    shown = [bool((anywhere.label[anywhere.batch == i] == RARE[1]).any()) for i in range(many)]
    assert np.mean(shown) < 0.25, "and no oftener than anything else where sectors lie anywhere"


def test_augmentation_without_strength_only_shifts_whole_sweeps():
    before = batch_of(0, 1)
    after = augment(batch_of(0, 1), STILL, torch.Generator().manual_seed(0))
    assert torch.equal(after.label, before.label) and torch.equal(after.batch, before.batch)
    for b in range(2):
        shift = (after.xyz - before.xyz)[before.batch == b]
        torch.testing.assert_close(shift, shift[:1].expand_as(shift), atol=1e-4, rtol=0)
        assert shift[0, 2].abs() < 1e-5


def test_mixing_keeps_every_point_and_is_reproducible():
    config = AugmentConfig(point_drop=0, beam_drop=0, far_drop=0, mix=1.0, paste=0)
    one, two = (augment(batch_of(0, 1, 2, 3), config, torch.Generator().manual_seed(7)) for _ in range(2))
    assert len(one.xyz) == len(batch_of(0, 1, 2, 3).xyz)
    assert torch.equal(one.xyz, two.xyz) and torch.equal(one.batch, two.batch)
    assert not torch.equal(one.batch, batch_of(0, 1, 2, 3).batch)


def test_intensity_drop_says_so_in_known():
    after = augment(batch_of(0, 1), AugmentConfig(intensity_drop=1.0), torch.Generator().manual_seed(0))
    assert after.known.sum() == 0 and after.intensity.abs().max() == 0


def test_lovasz_is_zero_for_the_right_answer_and_one_for_the_wrong_one():
    labels = torch.tensor([0, 1, 1, 2])
    assert float(lovasz_softmax(torch.eye(3)[labels], labels)) == pytest.approx(0.0)
    assert float(lovasz_softmax(torch.eye(3)[(labels + 1) % 3], labels)) == pytest.approx(1.0)
    logits = torch.randn(4, 3, requires_grad=True)
    segmentation_loss(logits, torch.full((4,), IGNORE), torch.ones(3), IGNORE).backward()
    assert logits.grad is not None and float(logits.grad.abs().max()) == 0.0


def test_rare_classes_weigh_more_but_within_bounds():
    weights = class_weights(torch.tensor([1e6, 1e4, 1e2, 0.0]))
    assert weights[0] < weights[1] < weights[2] == weights[3]
    assert float(weights.max() / weights.min()) <= 12.0 + 1e-4


def test_iou_by_hand():
    matrix = confusion(torch.tensor([0, 1, 1, 1]), torch.tensor([0, 0, 1, IGNORE]), 3, IGNORE)
    assert iou(matrix)[:2].tolist() == [0.5, 0.5] and torch.isnan(iou(matrix)[2])


def test_the_replay_buffer_forgets_the_oldest():
    replay = SweepBuffer(2, torch.device("cpu"), 19)
    for seed in range(3):
        replay.add(street(seed, 400))
    assert len(replay) == 2 and replay.added == 3
    drawn = replay.draw(5, torch.Generator().manual_seed(0))
    assert drawn.size == 2


@pytest.mark.parametrize("block", (1, 10_000, 64 << 20))
def test_the_replay_buffer_gives_back_what_it_was_given_whatever_the_size_of_its_blocks(block, monkeypatch):
    monkeypatch.setattr("training.segmentation.sweep_buffer.BLOCK_BYTES", block)
    replay, sweeps = SweepBuffer(3, torch.device("cpu"), 19), [street(seed, 300 + 4 * seed) for seed in range(7)]
    for sweep in sweeps:
        replay.add(sweep)
    drawn = replay.draw(3, torch.Generator().manual_seed(0))
    found = {int((drawn.batch == i).sum()): drawn.keep(drawn.batch == i) for i in range(3)}
    kept = [collate([compact(sweep, torch.device("cpu"))]) for sweep in sweeps[-3:]]
    assert sorted(found) == sorted(len(points.xyz) for points in kept)
    for points in kept:
        mine = found[len(points.xyz)]
        assert torch.equal(mine.xyz, points.xyz) and torch.equal(mine.intensity, points.intensity)
        assert torch.equal(mine.label, points.label) and torch.equal(mine.ring, points.ring)
