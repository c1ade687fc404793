"""True boxes of what is around: class, place, size, motion, how much of it the LiDAR could see.

Boxes are nuScenes': ten categories, the centre at half height, size (l, w, h), yaw about z, velocity in the map. A
trailer has a box of its own; a rider is part of the two-wheeler's box. `visibility` is the share of the sweep's returns
inside the box's silhouette (its range of azimuth and elevation seen from the sensor) that were not stopped in front of
it: 1 in the open, 0 behind a wall. Without a sweep it is NaN, and so it is where no return lies in the silhouette.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.scene import ActorState, Snapshot

if TYPE_CHECKING:
    from perception_nodes.simulator.lidar import Sweep

IN_FRONT = 0.4  # m by which a return must be nearer than the box to hide it


@dataclass(frozen=True)
class Box:
    """One object in the map frame. centre (x, y, z) m · size (l, w, h) m · yaw rad · velocity (x, y) m/s · visibility
    0..1 or NaN (see module) · points: LiDAR returns of the sweep that lie on it."""

    category: str
    track_id: int
    centre: tuple[float, float, float]
    size: tuple[float, float, float]
    yaw: float
    velocity: tuple[float, float]
    visibility: float
    points: int

    def corners(self) -> NDArray[np.float64]:
        """float64 [8, 3] in the map: the bottom four counter-clockwise from the front left, then the top four."""
        length, width, height = self.size
        signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [length / 2, width / 2]
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        flat = signs @ np.array([[c, s], [-s, c]]) + self.centre[:2]
        low = np.column_stack([flat, np.full(4, self.centre[2] - height / 2)])
        return np.concatenate([low, low + [0, 0, height]])


def boxes(snapshot: Snapshot, sweep: Sweep | None = None, radius: float = 120.0) -> list[Box]:
    """Boxes of the actors within `radius` metres of the ego vehicle, nearest first.

    `sweep` must be the one that ended at this snapshot: points are counted by its instance ids.
    """
    here = snapshot.ego.map_from_base[:2, 3]
    actors = [a for a in snapshot.actors if a.box]
    gaps = [math.hypot(a.xyz[0] - here[0], a.xyz[1] - here[1]) for a in actors]
    order = [i for i in np.argsort(gaps, kind="stable") if gaps[i] <= radius]
    if sweep is None:
        return [box_of(actors[i]) for i in order]
    counts = np.bincount(sweep.instance, minlength=1)
    sight = _Sight(sweep)
    out = []
    for i in order:
        actor = actors[i]
        points = int(counts[actor.track_id]) if actor.track_id < len(counts) else 0
        out.append(box_of(actor, points, sight.share(box_of(actor), points)))
    return out


def box_of(actor: ActorState, points: int = 0, visibility: float = math.nan) -> Box:
    """The box of an actor."""
    x, y, z = actor.xyz
    centre = (x, y, z + actor.size[2] / 2)
    return Box(actor.category, actor.track_id, centre, actor.size, actor.yaw, actor.velocity, visibility, points)


class _Sight:
    """A sweep sorted by azimuth, so that each silhouette looks at its own columns only."""

    def __init__(self, sweep: Sweep) -> None:
        pose = np.asarray(sweep.map_from_sensor, np.float64)
        self._rotation, self._origin = pose[:3, :3], pose[:3, 3]
        xyz = np.asarray(sweep.xyz, np.float32)
        azimuth = np.arctan2(xyz[:, 1], xyz[:, 0])
        order = np.argsort(azimuth, kind="stable")
        xyz = xyz[order]
        flat = np.hypot(xyz[:, 0], xyz[:, 1])
        self._azimuth = azimuth[order]
        self._slope = xyz[:, 2] / np.maximum(flat, 1e-3)
        self._range = np.sqrt(flat**2 + xyz[:, 2] ** 2)
        self._instance = np.asarray(sweep.instance)[order]

    def share(self, box: Box, points: int) -> float:
        """Share of the returns in the silhouette of `box` that were not stopped in front of it."""
        seen = (box.corners() - self._origin) @ self._rotation  # map to sensor
        flat = np.hypot(seen[:, 0], seen[:, 1])
        if flat.min() < 0.5:
            return 1.0
        middle = math.atan2(float(seen[:, 1].mean()), float(seen[:, 0].mean()))
        spread = np.remainder(np.arctan2(seen[:, 1], seen[:, 0]) - middle + np.pi, 2 * np.pi) - np.pi
        slope = seen[:, 2] / flat
        near = float(np.sqrt(flat**2 + seen[:, 2] ** 2).min())
        total = hidden = 0
        for turn in (-2 * math.pi, 0.0, 2 * math.pi):
            ends = np.array([middle + spread.min() + turn, middle + spread.max() + turn], self._azimuth.dtype)
            first, last = np.searchsorted(self._azimuth, ends)  # of one type: else numpy converts the whole array
            if last <= first:
                continue
            columns = slice(int(first), int(last))
            inside = (self._slope[columns] > slope.min()) & (self._slope[columns] < slope.max())
            ahead = (self._range[columns] < near - IN_FRONT) & (self._instance[columns] != box.track_id)
            total += int(inside.sum())
            hidden += int((inside & ahead).sum())
        if total == 0:
            return 1.0 if points else math.nan
        return 1.0 - hidden / total
