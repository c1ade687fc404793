"""Moments between two snapshots: poses of the ego vehicle and all road users in between, by constant motion."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from perception_nodes.simulator.scene import ActorState, EgoState, Snapshot

JUMP = 5.0  # m between two snapshots beyond which an actor is another one under an old number


def between(before: Snapshot, after: Snapshot, time: float) -> Snapshot:
    """The moment at `time` (s), between `before` and `after`, with the events of `after`.

    Actors are those of `after`; one that `before` does not know is taken back by its own velocity and yaw rate. Raises
    ValueError where `time` lies outside the two.
    """
    if not before.time - 1e-9 <= time <= after.time + 1e-9:
        raise ValueError(f"a moment at {time:.6f} s; expected one from {before.time:.6f} to {after.time:.6f} s")
    if time >= after.time - 1e-9:
        return after
    share = (time - before.time) / (after.time - before.time)
    earlier = {a.track_id: a for a in before.actors}
    actors = tuple(_on_the_way(earlier.get(a.track_id), a, share, after.time - time) for a in after.actors)
    return Snapshot(time, ego_between(before.ego, after.ego, share), actors, after.events)


def ego_between(a: EgoState, b: EgoState, share: float) -> EgoState:
    """Linear in position; in rotation the orthogonalised mean of the matrices, good at such small angles."""
    pose = (1 - share) * a.map_from_base + share * b.map_from_base
    u, _, vt = np.linalg.svd(pose[:3, :3])
    pose[:3, :3] = u @ vt

    def mix(p: float, q: float) -> float:
        return p + share * (q - p)

    return EgoState(pose, mix(a.speed, b.speed), mix(a.acceleration, b.acceleration), mix(a.yaw_rate, b.yaw_rate))


def actors_between(
    first: tuple[ActorState, ...], second: tuple[ActorState, ...], share: float
) -> tuple[ActorState, ...]:
    """The actors of `first`, each `share` of the way to where `second` has it (unmoved where it does not)."""
    later = {a.track_id: a for a in second}
    return tuple(actor_between(a, later[a.track_id], share) if a.track_id in later else a for a in first)


def actor_between(a: ActorState, b: ActorState, share: float) -> ActorState:
    """Linear in position and yaw. Velocity and yaw rate are those of `b`, which the motion from a to b has."""
    turn = math.remainder(b.yaw - a.yaw, 2 * math.pi)
    (x, y, z), (p, q, r) = a.xyz, b.xyz
    xyz = (x + share * (p - x), y + share * (q - y), z + share * (r - z))
    return replace(
        a, xyz=xyz, yaw=a.yaw + share * turn, shape=a.shape if share < 0.5 else b.shape, velocity=b.velocity,
        yaw_rate=b.yaw_rate,
    )  # fmt: skip


def _on_the_way(was: ActorState | None, now: ActorState, share: float, ago: float) -> ActorState:
    """An actor of the later moment `ago` seconds before it."""
    if was is not None:
        if was.xyz == now.xyz and was.yaw == now.yaw:
            return now  # most stand
        if math.dist(was.xyz, now.xyz) < JUMP:
            return actor_between(was, now, share)
    x, y, z = now.xyz
    xyz = (x - now.velocity[0] * ago, y - now.velocity[1] * ago, z)
    return replace(now, xyz=xyz, yaw=now.yaw - now.yaw_rate * ago)
