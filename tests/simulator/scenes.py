"""Hand-made worlds for the sensor tests: a floor, a box, a wall; an ego that stands or drives straight."""

from __future__ import annotations

import numpy as np

from perception_nodes.simulator.scene import ActorState, EgoState, Mesh, Shape, Snapshot, Surface, World

BOX_TRIANGLES = (
    (0, 2, 1), (0, 3, 2), (4, 5, 6), (4, 6, 7), (0, 1, 5), (0, 5, 4),
    (1, 2, 6), (1, 6, 5), (2, 3, 7), (2, 7, 6), (3, 0, 4), (3, 4, 7),
)  # fmt: skip


def floor(half: float = 150.0, z: float = 0.0, surface: Surface = Surface.ASPHALT, label: int = 8) -> Mesh:
    """A square of two triangles at height z."""
    corners = [(-half, -half, z), (half, -half, z), (half, half, z), (-half, half, z)]
    return Mesh.build(corners, [(0, 1, 2), (0, 2, 3)], surface, label)


def box(size, centre=(0.0, 0.0, 0.0), surface: Surface = Surface.BRICK, label: int = 12, porosity: float = 0.0) -> Mesh:
    """An upright box round its centre."""
    x, y, z = np.asarray(size) / 2
    corners = np.array([(-x, -y), (x, -y), (x, y), (-x, y)])
    vertices = np.concatenate([np.column_stack((corners, np.full(4, h))) for h in (-z, z)])
    return Mesh.build(vertices + np.asarray(centre), BOX_TRIANGLES, surface, label, porosity=porosity)


def world_of(*meshes: Mesh) -> World:
    """A world that holds only these meshes."""
    return World(
        0, Mesh.join(list(meshes)), {}, (), (), (), np.zeros((0, 3), np.float32), {}, {}, (-150, -150, 150, 150)
    )


def ego_at(x: float = 0.0, y: float = 0.0, yaw: float = 0.0, speed: float = 0.0) -> EgoState:
    """The vehicle on flat ground."""
    pose = np.eye(4)
    pose[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
    pose[:2, 3] = x, y
    return EgoState(pose, speed, 0.0, 0.0)


CAR = Shape("box-car", box((4.0, 2.0, 1.5), (0.0, 0.0, 0.75), Surface.PLASTIC, 0))


def car(track_id: int, x: float, y: float, yaw: float = 0.0, velocity=(0.0, 0.0)) -> ActorState:
    """A box of 4 x 2 x 1.5 m on the ground."""
    return ActorState(track_id, "car", CAR, (x, y, 0.0), yaw, (4.0, 2.0, 1.5), velocity)


def moment(time: float, ego: EgoState | None = None, *actors: ActorState) -> Snapshot:
    """A snapshot without events."""
    return Snapshot(time, ego or ego_at(), actors)
