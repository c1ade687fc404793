"""Ground-truth paste: objects of another moment, with their points, put into a moment (Yan et al., "SECOND", 2018).

An object keeps its place relative to the LiDAR, so its points have the density of its distance. Only for moments that
are seen by the LiDAR alone: a pasted object is not in the pictures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.bevfusion.frames import BOX_NAMES, Moment

FEWEST_POINTS = 5  # returns on an object that is pasted
MARGIN, NEAR = 0.1, 2.0  # m around a box whose points belong to it; m around a place in which the ground is looked for
COMMON = ("car", "pedestrian")  # there are enough of them


@dataclass(frozen=True)
class PasteConfig:
    """chance: share of the moments that get objects · most: objects pasted into one · common: chance that an object of
    a common class (car, pedestrian) is taken."""

    chance: float = 0.5
    most: int = 8
    common: float = 0.2


def pasted(moment: Moment, donor: Moment, how: PasteConfig, rng: np.random.Generator) -> Moment:
    """The moment with up to `how.most` objects of `donor`; those that would touch another box are left out."""
    points, boxes = [moment.points], list(moment.boxes)
    label, count = list(moment.label), list(moment.count)
    cloud, added = moment.points, 0
    for i in rng.permutation(len(donor.boxes)):
        usual = BOX_NAMES[donor.label[i]] in COMMON
        if added >= how.most or donor.count[i] < FEWEST_POINTS or (usual and rng.random() >= how.common):
            continue
        box = donor.boxes[i].copy()
        if _touches(box, boxes):
            continue
        own = donor.points[_inside(donor.points, box)].copy()
        lift = _ground_below(cloud, box) - (box[2] - box[5] / 2)
        own[:, 2] += lift
        box[2] += lift
        cloud = cloud[~_inside(cloud, box)]
        points.append(own)
        boxes.append(box)
        label.append(int(donor.label[i]))
        count.append(int(donor.count[i]))
        added += 1
    if not added:
        return moment
    points[0] = cloud
    return Moment(
        np.concatenate(points), np.stack(boxes).astype(np.float32), np.array(label, np.int64),
        np.array(count, np.int64), moment.masks,
    )  # fmt: skip


def _inside(points: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Points on an object, bool [N]; those of earlier sweeps where its velocity says that it was."""
    place = points[:, :2] + points[:, 4:5] * box[7:9] - box[:2]
    c, s = math.cos(box[6]), math.sin(box[6])
    along, across = place @ np.array([c, s], np.float32), place @ np.array([-s, c], np.float32)
    half = box[3:6] / 2 + MARGIN
    # not below the box's lower edge: the road's points stay where they are
    height = points[:, 2] - box[2]
    return (np.abs(along) < half[0]) & (np.abs(across) < half[1]) & (height < half[2]) & (height > MARGIN - half[2])


def _touches(box: NDArray[np.float32], boxes: list[NDArray[np.float32]]) -> bool:
    if not boxes:
        return False
    others = np.stack(boxes)
    gap = np.hypot(*(others[:, :2] - box[:2]).T)
    return bool((gap < (np.hypot(others[:, 3], others[:, 4]) + math.hypot(box[3], box[4])) / 2).any())


def _ground_below(points: NDArray[np.float32], box: NDArray[np.float32]) -> float:
    """Height of the lowest points near a box's place, m; the box's own lower edge where there are none."""
    near = points[(np.abs(points[:, :2] - box[:2]) < NEAR).all(1), 2]
    return float(np.percentile(near, 5)) if len(near) >= 5 else float(box[2] - box[5] / 2)
