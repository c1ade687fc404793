"""Cameras of the driving world: colour, depth, point class and instance of every pixel, from numba on the CPU."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import IGNORE
from perception_nodes.simulator.render import post, reflect
from perception_nodes.simulator.render.ambient import ambient
from perception_nodes.simulator.render.fill import bands_of, fill
from perception_nodes.simulator.render.geometry import Geometry, Library, Part
from perception_nodes.simulator.render.labels import label
from perception_nodes.simulator.render.lights import gather
from perception_nodes.simulator.render.noise import textures
from perception_nodes.simulator.render.raster import Drawn, Objects, View, project, visible
from perception_nodes.simulator.render.shade import Stage, shade
from perception_nodes.simulator.render.shadows import actor_map, no_shadow, static_map
from perception_nodes.simulator.render.sky import air, dome
from perception_nodes.simulator.render.surfaces import AWAKE, BLINK_LEFT, BLINK_RIGHT, BRAKING
from perception_nodes.simulator.rigs import CameraSpec
from perception_nodes.simulator.scene import ActorState, Conditions, Mesh, Shape, Snapshot, World
from perception_nodes.simulator.threads import default_threads, split

BAND = 16  # rows per task
SIGHT = 260.0  # m; actors further away are not drawn
SPARE_SHAPES = 400


@dataclass(frozen=True, eq=False)
class CameraImage:
    """What a camera sees: rgb uint8 [H, W, 3] · depth float32 [H, W], m along the optical axis, infinite for the sky ·
    semantic uint8 [H, W] point class, IGNORE for the sky and what has none · instance uint16 [H, W] track id, 0 for
    the static world. Labels and depth are those at pixel centres. `camera` and `snapshot` are what took it and when."""

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    semantic: NDArray[np.uint8]
    instance: NDArray[np.uint16]
    camera: CameraSpec
    snapshot: Snapshot

    @property
    def map_from_camera(self) -> NDArray[np.float64]:
        """Pose of the optical frame when it was taken, float64 [4, 4]."""
        return self.snapshot.ego.map_from_base @ self.camera.base_from_camera


@dataclass(frozen=True, eq=False)
class _Moment:
    """What the cameras of one snapshot share."""

    snapshot: Snapshot
    geometry: Geometry
    stage: Stage
    instances: NDArray[np.uint16]
    halos: NDArray[np.float32]


class CameraRenderer:
    """Draws one drive's cameras. The same world, conditions, seed and snapshot give the same bytes at any number of
    threads and in any order of calls; calls from several threads are safe."""

    def __init__(
        self, world: World, conditions: Conditions, seed: int = 0, hull: Mesh | None = None, threads: int | None = None
    ) -> None:
        """`hull` is the ego's body in base frame, drawn where given. Raises ValueError on unknown conditions."""
        self._seed = seed
        self._threads = threads or default_threads()
        self._air = air(conditions, seed)
        self._textures = textures()
        self._dome = dome(self._air, self._textures)
        self._lamps = np.asarray(world.lamps, np.float32).reshape(-1, 3)
        self._world = world
        self._library = Library(world.mesh)
        self._hull = None if hull is None else Shape("ego", hull)
        self._sunny = bool(self._air.sun_rgb.max() > 0.15)
        count = len(world.mesh.triangles)
        sun = self._air.sun
        self._fixed = static_map(self._library.geometry, count, sun) if self._sunny else no_shadow(sun)
        self._lock = threading.Lock()
        self._moment: _Moment | None = None

    def render(
        self,
        snapshot: Snapshot,
        camera: CameraSpec,
        width: int | None = None,
        height: int | None = None,
        scale: float | None = None,
    ) -> CameraImage:
        """One camera's picture of a moment, at the camera's own size, at `scale` times it, or at width x height
        (stretched where the proportions differ). Raises ValueError where both are given, or one side alone."""
        if (width is None) != (height is None) or (scale is not None and width is not None):
            raise ValueError(
                f"size of camera {camera.name!r}: got width={width}, height={height}, scale={scale}; "
                "give width and height, or scale, or none of them"
            )
        if scale is not None:
            camera = camera.scaled(scale)
        elif width is not None and height is not None:
            camera = camera.resized(width, height)
        with self._lock:
            if self._moment is None or self._moment.snapshot is not snapshot:
                self._moment = self._gather(snapshot)
            moment = self._moment
        return self._draw(moment, camera)

    def _gather(self, snapshot: Snapshot) -> _Moment:
        """Objects, lights and the actors' shadows of a moment."""
        pose = snapshot.ego.map_from_base
        eye = pose[:3, 3]
        near = [a for a in snapshot.actors if np.hypot(a.xyz[0] - eye[0], a.xyz[1] - eye[1]) < SIGHT]
        self._library.forget_unused({id(a.shape) for a in near}, SPARE_SHAPES)
        found = [self._library.part(a.shape) for a in near]
        parts: list[tuple[Part, NDArray[np.float64]]] = [(self._library.world, np.eye(3, 4))]
        parts += [(part, _pose(actor)) for actor, (part, _) in zip(near, found)]
        instances = [0] + [a.track_id & 0xFFFF for a in near]
        states = [AWAKE] + [_state(a, snapshot.time) for a in near]
        if self._hull is not None:
            parts.append((self._library.part(self._hull)[0], np.ascontiguousarray(pose[:3])))
            instances.append(0)
            states.append(AWAKE)
        geometry = self._library.geometry
        objects = _objects(parts)
        moving = no_shadow(self._air.sun)
        if self._sunny and len(parts) > 1:
            solid = [(part, pose) for part, pose in parts[1:] if len(part.clusters)]
            ranges = np.array([part.clusters[0] for part, _ in solid], np.int64).reshape(-1, 2)
            spheres = np.array([part.spheres[0] for part, _ in solid]).reshape(-1, 4)
            poses = np.array([pose for _, pose in solid]).reshape(-1, 3, 4)
            moving = actor_map(geometry, ranges, spheres, poses, eye, self._air.sun)
        lights, halos = gather(
            [(a, lamps) for a, (_, lamps) in zip(near, found)], self._lamps, pose, snapshot.time, self._air
        )
        stage = Stage(
            objects, np.array(states, np.uint8), self._air.vector(), self._dome, self._textures, self._fixed, moving,
            self._fixed.place(), moving.place(), lights,
        )  # fmt: skip
        return _Moment(snapshot, geometry, stage, np.array(instances, np.uint16), halos)

    def _draw(self, moment: _Moment, camera: CameraSpec) -> CameraImage:
        stage, geometry = moment.stage, moment.geometry
        pose = moment.snapshot.ego.map_from_base @ camera.base_from_camera
        view = View(
            np.ascontiguousarray(pose[:3, 3]), np.ascontiguousarray(pose[:3, :3]), float(camera.fx), float(camera.fy),
            float(camera.cx), float(camera.cy), int(camera.width), int(camera.height),
        )  # fmt: skip
        h, w = view.height, view.width
        order, total = visible(stage.objects, view)
        drawn = Drawn(np.empty((2 * total, 6)), np.empty((2 * total, 3)), np.empty((2 * total, 2), np.int32))
        count = project(stage.objects, order, geometry.corners, view, drawn)
        ids, inverse = np.empty((h, w), np.int32), np.empty((h, w), np.float32)
        corners, spare = np.empty((h + 1, w + 1), np.int32), np.empty((h + 1, w + 1), np.float32)
        open_ = np.empty(((h + 1) // 2, (w + 1) // 2), np.float32)
        light, film = np.empty((h, w, 3), np.float32), np.empty((h, w), np.float32)
        depth, semantic = np.empty((h, w), np.float32), np.empty((h, w), np.uint8)
        instance, rgb = np.empty((h, w), np.uint16), np.empty((h, w, 3), np.uint8)
        threads, grain = self._threads, self._textures.grain
        band = max(BAND, 2 * -(-h // (8 * threads)))
        entries, starts = bands_of(drawn, count, h, band)

        def rows(work) -> None:
            split(work, h, threads, band)

        def see(a: int, b: int) -> None:
            for k in range(a // band, -(-b // band)):
                top, stop = k * band, min(h, (k + 1) * band)
                mine = entries, starts[k], starts[k + 1]
                end = stop + (stop == h)
                fill(drawn, *mine, geometry, stage.objects, view, top, stop, end, ids, inverse, corners, spare)

        def paint(a: int, b: int) -> None:
            ambient(drawn, ids, inverse, view, a // 2, (b + 1) // 2, open_)
            shade(drawn, ids, inverse, open_, geometry, stage, view, a, b, light, film)
            label(
                drawn, ids, inverse, geometry, stage.objects, moment.instances, IGNORE, a, b, depth, semantic, instance
            )

        rows(see)
        rows(paint)
        reflect.halos(moment.halos, inverse, film, stage.air, view, _ground(moment.snapshot), light)
        if self._air.wet > 0.2:
            rows(lambda a, b: reflect.reflect(inverse, film, self._dome, stage.air, grain, view, a, b, light))
        seed = _frame_seed(self._seed, moment.snapshot.time, camera.name)
        look = self._look(light, view, seed)
        rows(lambda a, b: post.finish(light, ids, corners, look[1], look[0], grain, a, b, rgb))
        if self._air.rain > 0:
            post.droplets(rgb, _frame_seed(self._seed, 0.0, camera.name), moment.snapshot.time)
        return CameraImage(rgb, depth, semantic, instance, camera, moment.snapshot)

    def _look(self, light: NDArray[np.float32], view: View, seed: int) -> tuple[post.Look, NDArray[np.float32]]:
        """Exposure and bloom of a picture; rain is drawn into it on the way."""
        dim = self._air
        if dim.rain > 0:
            glow = 0.7 * dim.horizon + 0.012 * dim.lamps
            post.streaks(light, seed, dim.rain, glow[0], glow[1], glow[2], 0.12)
        spill = post.quarter(light)
        mean = post.small(light, spill)
        post.blur(spill, np.empty_like(spill), max(1, view.width // 180), 2)
        night = dim.lamps if dim.sun_rgb.max() == 0 else 0.3 * dim.lamps
        gain = post.exposure(dim.exposure, mean)
        return post.Look(gain, 0.05 + 0.06 * night, 1.3 + 2.6 * night, seed), spill


def _pose(actor: ActorState) -> NDArray[np.float64]:
    c, s = np.cos(actor.yaw), np.sin(actor.yaw)
    x, y, z = actor.xyz
    return np.array([[c, -s, 0.0, x], [s, c, 0.0, y], [0.0, 0.0, 1.0, z]])


def _state(actor: ActorState, time: float) -> int:
    state = BRAKING if actor.braking else 0
    if float(np.hypot(*actor.velocity)) > 0.3 or actor.braking or actor.indicator:
        state |= AWAKE
    if actor.indicator and (time * 1.5) % 1.0 < 0.5:
        state |= BLINK_LEFT if actor.indicator > 0 else BLINK_RIGHT
    return state


def _objects(parts: list[tuple[Part, NDArray[np.float64]]]) -> Objects:
    """One row per cluster; `number` counts parts."""
    counts = [len(part.clusters) for part, _ in parts]
    return Objects(
        np.concatenate([part.clusters for part, _ in parts]),
        np.concatenate([part.spheres for part, _ in parts]),
        np.ascontiguousarray(np.repeat(np.stack([pose for _, pose in parts]), counts, axis=0)),
        np.repeat(np.arange(len(parts), dtype=np.int32), counts).astype(np.int32),
    )


def _ground(snapshot: Snapshot) -> float:
    return float(snapshot.ego.map_from_base[2, 3])


def _frame_seed(seed: int, time: float, name: str) -> int:
    """A frame's own number for noise and rain."""
    value = seed * 1_000_003 + round(time * 1000.0) * 7919
    for letter in name:
        value = value * 31 + ord(letter)
    return value & 0x7FFFFFFF
