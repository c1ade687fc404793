"""Tiny scenes with known answers for the camera's tests: boards before a camera at the map's origin."""

from __future__ import annotations

import numpy as np

from perception_nodes.simulator.camera import CameraImage, CameraRenderer
from perception_nodes.simulator.rigs import CameraSpec
from perception_nodes.simulator.scene import (
    ActorState,
    Conditions,
    EgoState,
    Mesh,
    Shape,
    Snapshot,
    Surface,
    World,
)

# optical axes (x right, y down, z forward) seen from base (x forward, y left, z up)
BASE_FROM_OPTICAL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], np.float64)


def camera(width: int = 64, height: int = 48, focal: float = 60.0, up: float = 0.0) -> CameraSpec:
    """A camera `up` m over the base's origin that looks along x; its axis meets the middle of the picture."""
    mount = BASE_FROM_OPTICAL.copy()
    mount[2, 3] = up
    return CameraSpec("test", width, height, focal, focal, (width - 1) / 2, (height - 1) / 2, mount)


def board(x: float, y: tuple[float, float], z: tuple[float, float], surface=Surface.PLASTIC, label=12, rgb=(128,) * 3,
          porosity=0.0) -> Mesh:  # fmt: skip
    """An upright rectangle across the view at distance x, from y[0] to y[1] and z[0] to z[1]."""
    corners = [[x, y[0], z[0]], [x, y[1], z[0]], [x, y[1], z[1]], [x, y[0], z[1]]]
    return Mesh.build(corners, [[0, 2, 1], [0, 3, 2]], surface, label, rgb, porosity)


def floor(z: float = 0.0, reach: float = 500.0, surface=Surface.ASPHALT, label=8, rgb=(90, 90, 90)) -> Mesh:
    """Level ground about the origin: two triangles, both of which pass behind the camera."""
    corners = [[-reach, -reach, z], [reach, -reach, z], [reach, reach, z], [-reach, reach, z]]
    return Mesh.build(corners, [[0, 1, 2], [0, 2, 3]], surface, label, rgb)


def box(size: tuple[float, float, float], surface=Surface.CAR_PAINT, label=0, rgb=(150, 20, 20)) -> Mesh:
    """A closed box that stands on its origin."""
    hx, hy, h = size[0] / 2, size[1] / 2, size[2]
    v = [[x, y, z] for x in (-hx, hx) for y in (-hy, hy) for z in (0.0, h)]
    t = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [1, 5, 7], [1, 7, 3],
         [0, 2, 6], [0, 6, 4]]  # fmt: skip
    return Mesh.build(v, t, surface, label, rgb)


def world(*meshes: Mesh, lamps=()) -> World:
    """A static world of some meshes and nothing to drive on."""
    return World(
        seed=0,
        mesh=Mesh.join(list(meshes)),
        lanes={},
        crossings=(),
        walkways=(),
        parking=(),
        lamps=np.array(lamps, np.float32).reshape(-1, 3),
        map_polygons={},
        map_lines={},
        extent=(-500.0, -500.0, 500.0, 500.0),
    )


def moment(*actors: ActorState, time: float = 0.0) -> Snapshot:
    """A moment with the ego at the map's origin."""
    return Snapshot(time, EgoState(np.eye(4), 0.0, 0.0, 0.0), actors)


def actor(track: int, mesh: Mesh, xyz=(10.0, 0.0, 0.0), yaw: float = 0.0, **more) -> ActorState:
    """A road user with a shape of its own."""
    return ActorState(track, "car", Shape(f"shape-{track}", mesh), xyz, yaw, (4.0, 2.0, 1.5), **more)


def look(static: World, *actors: ActorState, conditions: Conditions | None = None, spec: CameraSpec | None = None,
         seed: int = 0, threads: int = 1, time: float = 0.0) -> CameraImage:  # fmt: skip
    """One picture of a world."""
    renderer = CameraRenderer(static, conditions or Conditions(), seed, threads=threads)
    return renderer.render(moment(*actors, time=time), spec or camera())
