"""Boxes from the box head's maps: peaks of the heatmap, and suppression of worse boxes nearby."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from models.bevfusion.pool.association import Grid
from models.bevfusion.results import Detections3D

MOST, LEAST = 200, 0.02  # boxes of a frame, and the minimum score
# m between the centres of two boxes of one class, below which the worse one is left out; by the classes' order
APART = (2.0, 2.5, 2.5, 3.0, 3.0, 1.0, 0.8, 0.8, 0.35, 0.3)


def decode_boxes(maps: dict[str, Tensor], grid: Grid, classes: tuple[str, ...]) -> Detections3D:
    """maps: of one sample (B = 1), see `BoxHead.split` -> boxes, best first, in the frame of the grid."""
    heat = np.ascontiguousarray(maps["heatmap"][0].float().detach().numpy())
    logit, place = _peaks(heat, np.float32(np.log(LEAST / (1 - LEAST))))
    best = np.argsort(-logit, kind="stable")[:MOST]
    label, x, y = place[best].T
    rest = {name: m[0].float().detach().numpy()[:, x, y].T for name, m in maps.items() if name != "heatmap"}
    centre = np.stack([x, y], 1).astype(np.float32) + rest["reg"]
    centre = centre * grid.step[:2] + np.array([grid.x[0], grid.y[0]], np.float32)
    rows = apart(centre, label)
    return Detections3D(
        np.column_stack([centre, rest["height"]])[rows].astype(np.float32),
        np.exp(np.clip(rest["dim"][rows], -4, 4)).astype(np.float32),
        np.arctan2(rest["rot"][rows, 0], rest["rot"][rows, 1]).astype(np.float32),
        rest["vel"][rows].astype(np.float32),
        (1 / (1 + np.exp(-logit[best][rows]))).astype(np.float32),
        label[rows].astype(np.int64),
        classes,
    )


@njit(cache=True, nogil=True)
def _peaks(heat, least):
    """Peaks of logits float32 [K, X, Y]: (values float32 [N], class, row and column int64 [N, 3]), of those of at least
    `least` the ones that none of the eight cells around exceeds."""
    values, places = [np.float32(0)], [(0, 0, 0)]
    values.pop()
    places.pop()
    classes, rows, columns = heat.shape
    for k in range(classes):
        for i in range(rows):
            for j in range(columns):
                value = heat[k, i, j]
                if not value >= least:
                    continue
                peak = True
                for di in range(max(i - 1, 0), min(i + 2, rows)):
                    for dj in range(max(j - 1, 0), min(j + 2, columns)):
                        if heat[k, di, dj] > value:
                            peak = False
                if peak:
                    values.append(value)
                    places.append((k, i, j))
    out = np.zeros((len(places), 3), np.int64)
    for n in range(len(places)):
        out[n, 0], out[n, 1], out[n, 2] = places[n]
    return np.array(values, np.float32), out


def apart(centre: NDArray[np.floating], label: NDArray[np.integer]) -> NDArray[np.int64]:
    """Rows that stay of centres [N, 2], best first: none nearer than APART to a better one of its class."""
    return np.flatnonzero(_stays(np.asarray(centre, np.float64), np.asarray(label, np.int64), np.array(APART)))


@njit(cache=True, nogil=True)
def _stays(centre, label, distance):
    stays = np.ones(len(centre), np.bool_)
    for i in range(len(centre)):
        for k in range(i):
            if stays[k] and label[k] == label[i]:
                dx, dy = centre[k, 0] - centre[i, 0], centre[k, 1] - centre[i, 1]
                if dx * dx + dy * dy < distance[label[i]] ** 2:
                    stays[i] = False
                    break
    return stays
