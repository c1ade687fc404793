"""The moving actors of one sweep, placed for the ray caster: shared shapes, a motion for each, a tree over all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.bvh import build_box_tree
from perception_nodes.simulator.raycast import PackedMesh, packed
from perception_nodes.simulator.scene import ActorState, Mesh, Snapshot

POOL_TRIANGLES = 1_000_000  # above this, shapes that no actor uses any more are dropped


@dataclass(frozen=True, eq=False)
class Instances:
    """Actors during one sweep. `shapes` holds their meshes one after the other. Per actor: root node int32 [A], salt
    int64 [A] (makes a triangle's number its own, whatever was seen before), position float32 [A, 2, 3] and (cos, sin)
    of yaw float32 [A, 2, 2] at the start and the end of the sweep, track uint16 [A]. A tree over the boxes that they
    sweep through: bounds, meta, leaf int32 [A]."""

    shapes: PackedMesh
    root: NDArray[np.int32]
    salt: NDArray[np.int64]
    position: NDArray[np.float32]
    heading: NDArray[np.float32]
    track: NDArray[np.uint16]
    bounds: NDArray[np.float32]
    meta: NDArray[np.int32]
    leaf: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.root)

    def arrays(self) -> tuple[NDArray, ...]:
        """What `raycast.cast_columns` takes as its `actors`."""
        s = self.shapes
        return (
            s.bounds, s.meta, s.corners, s.porosity,
            self.root, self.salt, self.position, self.heading, self.bounds, self.meta, self.leaf,
        )  # fmt: skip


class ShapePool:
    """Packed shapes one after the other in growing arrays, so that a sweep copies only shapes not seen before."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._root: dict[int, tuple[int, int, Mesh]] = {}  # by id of the mesh, which is kept alive here
        self._merged: PackedMesh | None = None

    def place(self, meshes: list[Mesh]) -> tuple[PackedMesh, NDArray[np.int32], NDArray[np.int64]]:
        """(merged arrays, root node of each mesh int32 [M], its first triangle int64 [M])."""
        if self._merged is not None and len(self._merged.corners) > POOL_TRIANGLES:
            self._clear()
        fresh: dict[int, Mesh] = {id(m): m for m in meshes if id(m) not in self._root}
        if fresh or self._merged is None:
            parts = [] if self._merged is None else [self._merged]
            nodes, triangles = sum(len(p.meta) for p in parts), sum(len(p.corners) for p in parts)
            for key, mesh in fresh.items():
                part = packed(mesh)
                parts.append(_shifted(part, nodes, triangles))
                self._root[key] = (nodes, triangles, mesh)
                nodes, triangles = nodes + len(part.meta), triangles + len(part.corners)
            if parts:
                fields = ("bounds", "meta", "corners", "porosity", "surface", "label", "shade")
                self._merged = PackedMesh(*(np.concatenate([getattr(p, f) for p in parts]) for f in fields))
        merged = self._merged if self._merged is not None else packed(_NONE)
        root = np.array([self._root[id(m)][0] for m in meshes], np.int32)
        return merged, root, np.array([self._root[id(m)][1] for m in meshes], np.int64)


_NONE = Mesh.join([])


def _shifted(part: PackedMesh, nodes: int, triangles: int) -> PackedMesh:
    """The same tree with its node and triangle numbers moved up."""
    meta = part.meta.copy()
    leaf = meta[:, 1] > 0
    meta[:, 0] += np.where(leaf, triangles, nodes).astype(np.int32)
    if len(part.corners) == 0:
        meta[0, 0] = nodes
    return PackedMesh(part.bounds, meta, part.corners, part.porosity, part.surface, part.label, part.shade)


def place_actors(pool: ShapePool, before: Snapshot, after: Snapshot, start: float = 0.0) -> Instances:
    """Actors of `after`, each moving as from `before` (or, newly come, as its velocity says). The sweep lasts from
    `start` (0 = `before`, 1 = `after`; negative: earlier, extrapolated) to `after`."""
    earlier = {a.track_id: a for a in before.actors}
    actors = after.actors
    shapes, root, first = pool.place([a.shape.mesh for a in actors])
    count = len(actors)
    position, heading = np.zeros((count, 2, 3)), np.zeros((count, 2, 2))
    dt = after.time - before.time
    for i, now in enumerate(actors):
        was, yaw = _earlier_pose(now, earlier.get(now.track_id), dt)
        position[i] = np.asarray(was) + start * (np.asarray(now.xyz) - was), now.xyz
        yaw += start * (now.yaw - yaw)
        heading[i] = ((np.cos(yaw), np.sin(yaw)), (np.cos(now.yaw), np.sin(now.yaw)))
    boxes = shapes.bounds[root] if count else np.zeros((0, 6), np.float32)
    low, high = _swept_boxes(boxes.astype(np.float64), position, heading)
    bounds, meta, leaf = build_box_tree(low, high)
    track = np.array([a.track_id & 0xFFFF for a in actors], np.uint16)
    motion = position.astype(np.float32), heading.astype(np.float32)
    salt = (track.astype(np.int64) << 24) - first
    return Instances(shapes, root, salt, *motion, track, bounds, meta, leaf)


def _earlier_pose(now: ActorState, was: ActorState | None, dt: float) -> tuple[tuple[float, float, float], float]:
    """Position and yaw at the start of the step; a jump of more than 5 m counts as newly come."""
    if was is not None and np.hypot(now.xyz[0] - was.xyz[0], now.xyz[1] - was.xyz[1]) < 5.0 + 60.0 * dt:
        turn = (now.yaw - was.yaw + np.pi) % (2 * np.pi) - np.pi
        if abs(turn) < 1.5:
            return was.xyz, now.yaw - turn
    x, y, z = now.xyz
    return (x - now.velocity[0] * dt, y - now.velocity[1] * dt, z), now.yaw - now.yaw_rate * dt


def _swept_boxes(
    box: NDArray[np.float64], position: NDArray[np.float64], heading: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Boxes in map that hold each actor during the whole sweep: its turned box at both ends, and what a corner's arc
    between them bulges out."""
    middle, half = 0.5 * (box[:, :3] + box[:, 3:]), 0.5 * (box[:, 3:] - box[:, :3])
    c, s = heading[..., 0], heading[..., 1]  # [A, 2]
    x, y, hx, hy = middle[:, :1], middle[:, 1:2], half[:, :1], half[:, 1:2]
    centre = np.stack((c * x - s * y, s * x + c * y), 2) + position[:, :, :2]
    reach = np.stack((abs(c) * hx + abs(s) * hy, abs(s) * hx + abs(c) * hy), 2)
    radius = np.hypot(abs(x) + hx, abs(y) + hy)[:, 0]
    cosine = np.clip((heading[:, 0] * heading[:, 1]).sum(1), -1.0, 1.0)  # of the turn during the sweep
    bulge = radius * (1.0 - np.sqrt(0.5 * (1.0 + cosine))) + 0.01
    low, high = position.min(1), position.max(1)
    low[:, :2] = (centre - reach).min(1) - bulge[:, None]
    high[:, :2] = (centre + reach).max(1) + bulge[:, None]
    low[:, 2] += box[:, 2] - 0.01
    high[:, 2] += box[:, 5] + 0.01
    return low.astype(np.float32), high.astype(np.float32)
