"""What a BEV model answers: boxes and map layers, typed, in a right-handed frame with z up.

The released networks write boxes in the convention of mmdetection3d; here they become the house's boxes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

OLD, NEW = "mmdet3d-0.x", "mmdet3d-1.x"  # w, l, h with yaw clockwise from -y; l, w, h with yaw counter-clockwise from x


@dataclass(frozen=True, eq=False)
class Detections3D:
    """N boxes in the frame of the points that were given, best score first.

    centre float32 [N, 3] m, geometric centre · size float32 [N, 3] m: length, width, height · yaw float32 [N] rad,
    heading of the length, counter-clockwise from +x, -pi to pi · velocity float32 [N, 2] m/s along x and y of the frame
    (over ground) · score float32 [N] 0..1 · label int64 [N], position in `classes` · classes: names.
    """

    centre: NDArray[np.float32]
    size: NDArray[np.float32]
    yaw: NDArray[np.float32]
    velocity: NDArray[np.float32]
    score: NDArray[np.float32]
    label: NDArray[np.int64]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        n = len(self.score)
        expected = {"centre": (n, 3), "size": (n, 3), "yaw": (n,), "velocity": (n, 2), "label": (n,)}
        wrong = [f"{k} {getattr(self, k).shape}" for k, shape in expected.items() if getattr(self, k).shape != shape]
        if wrong:
            raise ValueError(f"{n} scores with {', '.join(wrong)}: expected {expected}")

    def __len__(self) -> int:
        return len(self.score)

    def above(self, score: float) -> Detections3D:
        """The boxes that score at least `score`."""
        k = self.score >= score
        return Detections3D(
            self.centre[k], self.size[k], self.yaw[k], self.velocity[k], self.score[k], self.label[k], self.classes
        )


@dataclass(frozen=True, eq=False)
class BevMap:
    """Probabilities of map classes on a grid around the origin of the points' frame.

    probability float32 [C, X, Y]: row i is x = origin[0] + (i + 0.5) * cell, column j is y likewise · classes: C names
    · origin: x, y of the grid's corner, m · cell: side of a cell, m. Classes overlap.
    """

    probability: NDArray[np.float32]
    classes: tuple[str, ...]
    origin: tuple[float, float]
    cell: float

    def __post_init__(self) -> None:
        if self.probability.ndim != 3 or len(self.probability) != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes with {self.probability.shape}: expected [classes, X, Y]")


def detections(
    boxes: Tensor, scores: Tensor, labels: Tensor, classes: tuple[str, ...], convention: str, x_forward: bool
) -> Detections3D:
    """A head's boxes [N, 9] (rows of `box_coder`) as Detections3D.

    convention: OLD or NEW, of the weights · x_forward: whether the answer's frame has x forward; the network's has y
    forward (and x to the right), so the answer is then turned by 90 degrees.
    Raises ValueError for another convention.
    """
    if convention not in (OLD, NEW):
        raise ValueError(f"box convention {convention!r}: known are {OLD} and {NEW}")
    order = scores.argsort(descending=True, stable=True)
    rows = boxes[order].double().numpy()
    centre, size, yaw, velocity = rows[:, :3].copy(), rows[:, 3:6].copy(), rows[:, 6], rows[:, 7:9]
    centre[:, 2] += size[:, 2] / 2
    if convention == OLD:
        size, yaw = size[:, [1, 0, 2]], -yaw - math.pi / 2
    if x_forward:
        centre[:, :2] = np.column_stack([centre[:, 1], -centre[:, 0]])
        velocity = np.column_stack([velocity[:, 1], -velocity[:, 0]])
        yaw = yaw - math.pi / 2
    yaw = np.mod(yaw + math.pi, 2 * math.pi) - math.pi
    return Detections3D(
        centre.astype(np.float32), size.astype(np.float32), yaw.astype(np.float32), velocity.astype(np.float32),
        scores[order].float().numpy(), labels[order].long().numpy(), classes,
    )  # fmt: skip


def bev_map(
    probability: NDArray[np.float32], classes: tuple[str, ...], scope: list[list[float]], x_forward: bool
) -> BevMap:
    """A map head's probabilities [C, X, Y] on `scope` ((x from, to, cell), (y …)) as a BevMap; see `detections`."""
    (x_low, x_high, cell), (y_low, y_high, _) = scope
    if x_forward:  # the answer's row is the network's y, its column the network's -x
        probability = probability.transpose(0, 2, 1)[:, :, ::-1]
        x_low, y_low = y_low, -x_high
    return BevMap(np.ascontiguousarray(probability), classes, (float(x_low), float(y_low)), float(cell))
