"""Recorded outputs beside their ground truth: two bags read side by side, one sweep in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.bags.reader import BagReader
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.messages.class_table import read_class_table
from perception_nodes.messages.cloud_fields import read_layout
from perception_nodes.messages.point_cloud import decode_point_cloud2

POINTS = "/lidar/points"
TRUTH = "/ground_truth/segmentation"
OUTPUT = "/perception/segmentation"


@dataclass(frozen=True)
class ScoredSweep:
    """One sweep with its prediction. xyz float32 [N, 3] m in `frame_id` · predicted, truth uint8 [N] (truth None where
    the bag holds none) · ring uint16 [N] or None."""

    stamp_ns: int
    xyz: NDArray[np.float32]
    predicted: NDArray[np.uint8]
    truth: NDArray[np.uint8] | None
    ring: NDArray[np.uint16] | None
    frame_id: str = ""


def class_names(reader: BagReader, topic: str) -> tuple[str, ...]:
    """Class table that travels with a label topic (faults.md 20).

    Raises EvaluationError if the bag lacks it: numbers without names are not scored.
    """
    table = f"{topic}/classes"
    for _, kind, _, raw in reader.messages([table]) if table in reader.topics() else ():
        classes = read_class_table(reader.decode(raw, kind))
        if sorted(classes) != list(range(len(classes))):
            raise EvaluationError(f"{reader.path}: class ids on {table} are {sorted(classes)}; expected 0, 1, 2, ...")
        return tuple(classes[i].name for i in range(len(classes)))
    raise EvaluationError(
        f"{reader.path}: no class table on {table}, so the labels of {topic} cannot be named. "
        "Record it together with the labels (perception replay does)"
    )


def sweeps(output: BagReader, truth: BagReader | None) -> Iterator[ScoredSweep]:
    """Every recorded output in order, joined by stamp with the ground truth, if any.

    Raises EvaluationError where truth and output have unequal point counts.
    """
    labels = stamped(truth, TRUTH) if truth is not None and TRUTH in truth.topics() else iter(())
    pending = next(labels, None)
    for stamp, message in stamped(output, OUTPUT):
        while pending is not None and pending[0] < stamp:
            pending = next(labels, None)
        truth_label = None
        cloud = decode_point_cloud2(message)
        label = np.asarray(cloud.source.column("label"), np.uint8)
        if pending is not None and pending[0] == stamp:
            truth_label = np.asarray(read_layout(pending[1]).column("label"), np.uint8)
            if len(truth_label) != len(label):
                raise EvaluationError(
                    f"sweep at {stamp} ns: found {len(label)} output points and {len(truth_label)} "
                    "ground-truth labels, expected the same points in the same order"
                )
        yield ScoredSweep(stamp, cloud.xyz, label, truth_label, cloud.ring, cloud.frame_id)


def stamped(reader: BagReader, topic: str) -> Iterator[tuple[int, object]]:
    """(header stamp ns, decoded message) of a topic."""
    for _, kind, _, raw in reader.messages([topic]):
        message = reader.decode(raw, kind)
        yield message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec, message


def numbers(reader: BagReader, suffix: str) -> dict[str, list[float]]:
    """Float64 topics that end in `suffix`: topic name without it -> recorded values."""
    topics = [t for t in reader.topics() if t.endswith(suffix)]
    found: dict[str, list[float]] = {t.removesuffix(suffix): [] for t in topics}
    if topics:
        for topic, kind, _, raw in reader.messages(topics):
            found[topic.removesuffix(suffix)].append(float(reader.decode(raw, kind).data))
    return found
