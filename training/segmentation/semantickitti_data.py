"""SemanticKITTI's official splits as sweeps to train on and to validate with, for users who have the data set.

    python -m training.segmentation --arch spvcnn --semantickitti DATA/semantickitti --out runs/kitti

Training takes sequences 00 to 07, 09 and 10, validation 08; 11 to 21 have no public labels. Two maps from the data
set's ids to our 19 classes: `checkpoints`, which the released SPVNAS weights were trained with, and `official`, that of
the data set's own evaluation, where lane marking is road and bus and on-rails are other-vehicle.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.facts import ModelError
from perception_nodes.classes import point_class
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.datasets.semantickitti import (
    CLASS_IDS,
    CLASS_OF_ID,
    UNKNOWN,
    SemanticKittiSequence,
    find_sequences,
    open_sequence,
)
from training.segmentation.sweep_wire import CompactSweep

SPLITS = {
    "train": ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10"),
    "val": ("08",),
    "test": tuple(f"{n:02d}" for n in range(11, 22)),
}
RINGS, TOP, BOTTOM = 64, np.radians(2.0), np.radians(-24.9)  # the HDL-64E's beams
PATTERN = "kitti"


def class_table(label_map: str) -> NDArray[np.uint8]:
    """Class of every id, uint8 [65536]; IGNORE where unlabelled, UNKNOWN where the data set has no such id."""
    table = CLASS_OF_ID.copy()
    if label_map == "official":
        table[60] = point_class("road")
        table[[13, 16, 256, 257]] = point_class("other-vehicle")
    elif label_map != "checkpoints":
        raise ModelError(f"label map {label_map!r} is unknown; known: checkpoints, official")
    return table


def submission_ids(classes: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Our classes as the ids that the benchmark's server takes in .label files; points without a class become 0."""
    ids = np.zeros(256, np.uint32)
    ids[: len(CLASS_IDS)] = CLASS_IDS
    return ids[classes]


def sequences_of(folder: Path, split: str) -> list[SemanticKittiSequence]:
    """The sequences of a split that are there; ModelError says what is there instead of none."""
    try:
        found = {path.name: path for path in find_sequences(folder)}
        wanted = [open_sequence(found[name]) for name in SPLITS[split] if name in found]
    except DatasetError as error:
        raise ModelError(str(error)) from None
    if not wanted:
        raise ModelError(
            f"{folder} holds sequences {', '.join(sorted(found))}; the split {split!r} is {', '.join(SPLITS[split])}"
        )
    return wanted


def read_frame(sequence: SemanticKittiSequence, number: int, table: NDArray[np.uint8]) -> CompactSweep:
    """One labelled sweep. Raises ModelError for files that do not fit together."""
    try:
        points = sequence.sweep(number)
        raw = np.fromfile(sequence.labels[number], "<u4")
    except (DatasetError, OSError) as error:
        raise ModelError(str(error)) from None
    if len(raw) != len(points):
        raise ModelError(f"{sequence.labels[number]} has {len(raw)} labels; its sweep has {len(points)} points")
    label = table[raw & 0xFFFF]
    if (label == UNKNOWN).any():
        strange = int(raw[label == UNKNOWN][0] & 0xFFFF)
        raise ModelError(f"{sequence.labels[number]} holds the id {strange}, which SemanticKITTI does not have")
    xyz = points[:, :3]
    return CompactSweep.pack(xyz, points[:, 3], label, rings(xyz), number, PATTERN)


def rings(xyz: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The beam of every point, uint8 [N], 0 lowest, from its elevation (the files do not hold it; uncorrected mounting
    differences make neighbours swap here and there, which thinning by rings does not mind)."""
    elevation = np.arctan2(xyz[:, 2], np.hypot(xyz[:, 0], xyz[:, 1]))
    return np.clip((elevation - BOTTOM) / (TOP - BOTTOM) * (RINGS - 1) + 0.5, 0, RINGS - 1).astype(np.uint8)


def training_frames(
    folder: Path, label_map: str, seed: int = 0, part: int = 0, parts: int = 1
) -> Iterator[CompactSweep]:
    """Endless: every labelled frame of the training split once per round, in an order drawn anew each round.

    part, parts: of several processes, this one's share of the frames. Raises ModelError where there is none.
    """
    table, frames = class_table(label_map), _frames(folder, "train")
    for epoch in range(1_000_000):
        order = list(range(len(frames)))
        random.Random(seed * 1_000_003 + epoch).shuffle(order)
        for i in order[part % len(order) :: parts]:
            yield read_frame(frames[i][0], frames[i][1], table)


def validation_frames(folder: Path, label_map: str, count: int) -> Iterator[CompactSweep]:
    """`count` frames of the validation split, evenly spaced (all where count is larger); nothing where it is absent."""
    try:
        frames = _frames(folder, "val") if count else []
    except ModelError:
        return
    table = class_table(label_map)
    for i in sorted(set(np.linspace(0, len(frames) - 1, min(count, len(frames))).astype(int).tolist())):
        yield read_frame(frames[i][0], frames[i][1], table)


def _frames(folder: Path, split: str) -> list[tuple[SemanticKittiSequence, int]]:
    found = [(sequence, number) for sequence in sequences_of(folder, split) for number in sorted(sequence.labels)]
    if not found:
        raise ModelError(f"{folder}: no labels in sequences {', '.join(SPLITS[split])}; its labels are missing")
    return found
