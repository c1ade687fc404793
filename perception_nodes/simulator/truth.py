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
from perception_nodes.simulator.silhouettes import sort_by_azimuth, unhidden_shares

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
    seen = [actors[i] for i in order]
    tracks = np.array([a.track_id for a in seen], np.int64)
    counts = np.bincount(sweep.instance, minlength=1 << 16)[tracks & 0xFFFF]
    counts[tracks > 0xFFFF] = 0
    shares = _shares(seen, tracks, counts, sweep)
    return [box_of(actor, int(n), float(share)) for actor, n, share in zip(seen, counts, shares)]


def _shares(actors: list[ActorState], tracks, counts, sweep: Sweep) -> NDArray[np.float64]:
    """Visibility of each actor's box, float64 [A]."""
    pose = np.asarray(sweep.map_from_sensor, np.float64)
    xyz, instance = np.ascontiguousarray(sweep.xyz, np.float32), np.ascontiguousarray(sweep.instance, np.uint16)
    places = np.array([(*a.xyz, a.yaw, *a.size) for a in actors], np.float64).reshape(-1, 7)
    starts, rows, owner = sort_by_azimuth(xyz, instance)
    shares = unhidden_shares(places, tracks, pose, starts, rows, owner, IN_FRONT)
    shares[np.isnan(shares) & (counts > 0)] = 1.0  # too small for the other beams: nothing hides it
    return shares


def box_of(actor: ActorState, points: int = 0, visibility: float = math.nan) -> Box:
    """The box of an actor."""
    x, y, z = actor.xyz
    centre = (x, y, z + actor.size[2] / 2)
    return Box(actor.category, actor.track_id, centre, actor.size, actor.yaw, actor.velocity, visibility, points)
