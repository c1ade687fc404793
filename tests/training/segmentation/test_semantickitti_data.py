"""SemanticKITTI as a source of training sweeps: official splits, both label maps, the real sweeps."""

import numpy as np
import pytest

from models.facts import ModelError
from perception_nodes.classes import IGNORE, point_class
from tests.datasets.kittimaker import semantickitti
from training.segmentation.semantickitti_data import (
    SPLITS,
    class_table,
    read_frame,
    rings,
    sequences_of,
    submission_ids,
    training_frames,
    validation_frames,
)
from training.segmentation.trainer import TrainConfig, Trainer


def test_official_splits():
    assert SPLITS["train"] == ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10") and SPLITS["val"] == ("08",)
    assert SPLITS["test"][0] == "11" and SPLITS["test"][-1] == "21" and len(SPLITS["test"]) == 11


def test_both_label_maps():
    checkpoints, official = class_table("checkpoints"), class_table("official")
    differing = np.flatnonzero(checkpoints != official).tolist()
    assert differing == [13, 16, 60, 256, 257] and set(checkpoints[differing]) == {IGNORE}
    assert official[60] == point_class("road") and set(official[[13, 16, 256, 257]]) == {point_class("other-vehicle")}
    assert official[252] == point_class("car") and official[0] == IGNORE
    with pytest.raises(ModelError, match="known: checkpoints, official"):
        class_table("mine")


def test_submitted_ids_come_back_as_the_same_classes():
    classes = np.r_[np.arange(19), IGNORE].astype(np.uint8)
    ids = submission_ids(classes)
    assert ids[0] == 10 and ids[-1] == 0 and ids.dtype == np.uint32
    np.testing.assert_array_equal(class_table("official")[ids], classes)


@pytest.fixture
def folder(tmp_path):
    return semantickitti(tmp_path, ("00", "08"), frames=4, extras=False)


def test_training_shuffles_its_split_and_processes_share_it(folder):
    frames = training_frames(folder, "official", seed=1)
    rounds = [[next(frames).seed for _ in range(4)] for _ in range(4)]
    assert all(sorted(r) == [0, 1, 2, 3] for r in rounds) and len({tuple(r) for r in rounds}) > 1
    one, two = (training_frames(folder, "official", 1, part, 2) for part in (0, 1))
    assert sorted(next(source).seed for source in (one, one, two, two)) == [0, 1, 2, 3]
    assert [s.seed for s in validation_frames(folder, "official", 2)] == [0, 3]
    assert [s.seed for s in validation_frames(folder, "official", 99)] == [0, 1, 2, 3]


def test_what_is_missing_is_one_sentence(folder):
    with pytest.raises(ModelError, match=r"holds sequences 00, 08; the split 'test' is 11, 12"):
        sequences_of(folder, "test")
    with pytest.raises(ModelError, match="there is no folder"):
        sequences_of(folder / "absent", "train")
    for path in (folder / "sequences" / "00" / "labels").glob("*"):
        path.unlink()
    with pytest.raises(ModelError, match="its labels are missing"):
        next(training_frames(folder, "official"))
    (folder / "sequences" / "08" / "labels" / "000000.label").write_bytes(b"\0" * 8)
    with pytest.raises(ModelError, match="has 2 labels; its sweep has"):
        list(validation_frames(folder, "official", 1))


def test_beams_follow_from_elevation():
    elevation = np.radians([-24.9, 2.0, -11.2, 30.0])
    xyz = np.c_[np.cos(elevation), np.zeros(4), np.sin(elevation)].astype(np.float32) * 10
    assert rings(xyz).tolist() == [0, 63, 32, 63]


def test_the_real_sweeps_train_a_network(shared):
    """The labelled sweeps at hand are of sequence 00, which belongs to the training split."""
    folder = shared / "data" / "semantickitti"
    sequence = sequences_of(folder, "train")[0]
    official = read_frame(sequence, 0, class_table("official"))
    own = read_frame(sequence, 0, class_table("checkpoints"))
    assert len(official.label) > 100_000 and set(np.unique(own.ring)) == set(range(64))
    lost = own.label == IGNORE
    assert (official.label[~lost] == own.label[~lost]).all()
    assert (official.label == point_class("road")).sum() >= (own.label == point_class("road")).sum()
    assert list(validation_frames(folder, "official", 3)) == []  # sequence 08 is not there
    trainer = Trainer(("spvcnn-lite",), TrainConfig(batch=1, capacity=2, bf16=False))
    frames = training_frames(folder, "official")
    for _ in range(2):
        trainer.buffer.add(next(frames))
    losses = trainer.step(0.5)
    assert np.isfinite(losses["spvcnn-lite"])
