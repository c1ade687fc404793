"""Left-hand traffic: the mirror image of a world, and of what happens in it.

Everything is laid out and driven for traffic that keeps to the right. A world for the left is the mirror image of one
for the right at the map's x axis (y becomes -y): mesh, lanes, paths and map at once, so that pictures and truth agree.
A drive through it runs in the mirrored (right-hand) lanes and each of its moments is mirrored back. Bodies keep their
own shape: a car is turned, not mirrored. Mirroring twice gives the first world again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.scene import ActorState, Crossing, Ground, Lane, Mesh, Snapshot, World

FLIP = np.diag([1.0, -1.0, 1.0, 1.0])  # map or base frame to its mirror image


def other_side(name: str) -> str:
    """A name with left and right exchanged: "cut_in_from_left" becomes "cut_in_from_right"."""
    return "left".join(part.replace("left", "right") for part in name.split("right"))


def mirrored(world: World) -> World:
    """The mirror image of a world, with traffic on the other side."""
    x0, y0, x1, y1 = world.extent
    return replace(
        world,
        mesh=_mesh(world.mesh),
        **_paths(world),
        lamps=_points(world.lamps),
        map_polygons={name: tuple(_points(p) for p in outlines) for name, outlines in world.map_polygons.items()},
        map_lines={name: tuple(_points(p) for p in lines) for name, lines in world.map_lines.items()},
        extent=(x0, -y1, x1, -y0),
    )


def mirrored_paths(world: World) -> World:
    """What traffic needs of a world's mirror image: lanes, paths, places to stand and ground; mesh and map stay."""
    return replace(world, **_paths(world))


def mirrored_moment(moment: Snapshot) -> Snapshot:
    """A moment seen in the mirror: poses, speeds, indicators and the names of events."""
    ego = replace(moment.ego, map_from_base=FLIP @ moment.ego.map_from_base @ FLIP, yaw_rate=-moment.ego.yaw_rate)
    events = tuple(other_side(name) for name in moment.events)
    return Snapshot(moment.time, ego, tuple(_actor(a) for a in moment.actors), events)


@dataclass(frozen=True, eq=False)
class MirroredGround:
    """Height of the ground of a world's mirror image."""

    ground: Ground

    @property
    def outside(self) -> float:
        """Height where there is no ground."""
        return self.ground.outside  # type: ignore[attr-defined]

    def __call__(self, x: NDArray[np.float64], y: NDArray[np.float64], /) -> NDArray[np.float64]:
        return self.ground(x, -np.asarray(y, np.float64))


def _paths(world: World) -> dict:
    ground = world.ground
    flipped = (
        ground.ground if isinstance(ground, MirroredGround) else None if ground is None else MirroredGround(ground)
    )
    return {
        "lanes": {i: _lane(lane) for i, lane in world.lanes.items()},
        "crossings": tuple(Crossing(_points(c.line), c.width, c.lanes) for c in world.crossings),
        "walkways": tuple(_points(w) for w in world.walkways),
        "parking": tuple(
            replace(spot, xyz=(spot.xyz[0], -spot.xyz[1], spot.xyz[2]), yaw=-spot.yaw) for spot in world.parking
        ),
        "works": tuple((x, -y, z, -yaw) for x, y, z, yaw in world.works),
        "ground": flipped,
        "left_hand": not world.left_hand,
    }


def _points(points: NDArray) -> NDArray:
    """Points [..., 2] or [..., 3] with y turned round."""
    out = np.array(points)
    out[..., 1] *= -1
    return out


def _mesh(mesh: Mesh) -> Mesh:
    """Corners in the other order, so that outsides stay outside."""
    return replace(mesh, vertices=_points(mesh.vertices), triangles=np.ascontiguousarray(mesh.triangles[:, [0, 2, 1]]))


def _lane(lane: Lane) -> Lane:
    turn = other_side(lane.turn)
    return replace(lane, centre=_points(lane.centre), left=lane.right, right=lane.left, turn=turn)


def _actor(actor: ActorState) -> ActorState:
    x, y, z = actor.xyz
    vx, vy = actor.velocity
    return replace(
        actor, xyz=(x, -y, z), yaw=-actor.yaw, velocity=(vx, -vy), yaw_rate=-actor.yaw_rate, indicator=-actor.indicator
    )
