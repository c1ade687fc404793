"""A spinning LiDAR in the driving world: sweeps with labels, as the real sensor's driver would publish them.

    sensor = LidarSensor(world, rig("kitti").lidar, conditions, seed=3, hull=rig("kitti").hull)
    sweep = sensor.sweep(before, after)          # two moments of traffic, about one turn apart

The turn ends at `after.time`, which is the sweep's stamp. Points are in the sensor's frame (x forward, y left, z up) AT
THEIR OWN MOMENT of firing, not corrected for motion, as drivers give them; or, where `compensate` or (left out) the
spec says so, in the sensor's frame at the stamp, corrected for the motion of the sensor alone, as in nuScenes and
SemanticKITTI. Everything is a function of world, spec, conditions, seed and the two moments; the number of threads
changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.instances import Instances, ShapePool, place_actors
from perception_nodes.simulator.materials import draw_materials
from perception_nodes.simulator.motion import sensor_poses
from perception_nodes.simulator.points import gather_points, move_points
from perception_nodes.simulator.raycast import NOTHING, cast_columns, packed
from perception_nodes.simulator.render.noise import textures
from perception_nodes.simulator.returns import EGO, receive
from perception_nodes.simulator.rigs import LidarSpec
from perception_nodes.simulator.scene import Conditions, Mesh, Snapshot, World
from perception_nodes.simulator.threads import default_threads, split


@dataclass(frozen=True, eq=False)
class Sweep:
    """One turn, points in firing order (column by column).

    xyz float32 [N, 3] m, sensor frame (see module) · intensity float32 [N] 0..1 · ring uint16 [N] · time float32 [N] s
    relative to `stamp`, negative · label uint8 [N] point class or IGNORE · instance uint16 [N] track id or 0 ·
    stamp s since the start of the drive · map_from_sensor float64 [4, 4] at the stamp · rays: firings of the turn.
    """

    xyz: NDArray[np.float32]
    intensity: NDArray[np.float32]
    ring: NDArray[np.uint16]
    time: NDArray[np.float32]
    label: NDArray[np.uint8]
    instance: NDArray[np.uint16]
    stamp: float
    map_from_sensor: NDArray[np.float64]
    rays: int

    def __len__(self) -> int:
        return len(self.xyz)


class LidarSensor:
    """One LiDAR in one world. `hull` is the vehicle's own body (base frame), `threads` None: as many as the machine
    offers. `spread` scales how much this seed's materials differ from the nominal ones."""

    def __init__(
        self,
        world: World,
        spec: LidarSpec,
        conditions: Conditions | None = None,
        seed: int = 0,
        *,
        hull: Mesh | None = None,
        compensate: bool | None = None,
        threads: int | None = None,
        spread: float = 1.0,
    ) -> None:
        self.spec = spec
        self.compensate = spec.compensated if compensate is None else compensate
        self.threads = default_threads() if threads is None else max(1, threads)
        self._static = packed(world.mesh)
        self._seed = seed
        self._pool = ShapePool()
        conditions = conditions or Conditions()
        rng = np.random.default_rng((seed, 0x11DA))
        self._materials = draw_materials(conditions, seed, spread)
        self._gain = spec.intensity_gain * float(np.exp(rng.normal() * 0.12 * spread))
        table = spec.beams
        shape = (table.columns, table.rings)
        self._rays = table.directions().astype(np.float32).reshape(*shape, 3)
        self._heights = table.height.astype(np.float32)
        self._response = self._draw_response(rng, spread)
        self._times = table.times().reshape(shape)
        self._column_times = self._times.mean(1)
        self._stamps = self._times.astype(np.float32)
        self._blind = np.zeros(shape, bool) if spec.dead_sector is None else self._in_sector(*spec.dead_sector)
        self._limits, self._ego, self._ego_cosine = self._look_at_hull(hull)
        self._distance, self._cosine = np.empty(shape, np.float32), np.empty(shape, np.float32)
        self._triangle, self._actor = np.empty(shape, np.int32), np.empty(shape, np.int16)
        self._range, self._intensity = np.empty(shape, np.float32), np.empty(shape, np.float32)
        self._label, self._owner = np.empty(shape, np.uint8), np.empty(shape, np.int16)

    def sweep(self, before: Snapshot, after: Snapshot) -> Sweep:
        """The turn that ends at `after`. Motion between the moments is taken as steady; where the turn is longer than
        the step from `before` to `after`, it is continued backwards."""
        spec, dt = self.spec, after.time - before.time
        fraction = 1.0 + self._column_times / dt if dt > 0 else np.ones(len(self._column_times))
        start = 1.0 - spec.beams.period / dt if dt > 0 else 1.0
        origin, turn = sensor_poses(before.ego.map_from_base, after.ego.map_from_base, spec.base_from_lidar, fraction)
        actors = place_actors(self._pool, before, after, start)
        seed = _mix(self._seed, int(round(after.time * 1e6)))
        self._cast(origin, turn, actors, seed)
        self._receive(actors, origin, turn, seed)
        return self._gather(actors, origin, turn, after)

    def firings(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(range m, intensity 0..1), float32 [columns, rings]: every firing of the last sweep; 0 m: no return."""
        lost = self._blind | (self._range <= 0)
        return np.where(lost, np.float32(0), self._range), np.where(lost, np.float32(0), self._intensity)

    def _draw_response(self, rng: np.random.Generator, spread: float) -> NDArray[np.float32]:
        """How each laser records intensity, float32 [B, 2]: gain, and what is taken off (weak echoes read 0), as the
        rings of KITTI's sweeps differ."""
        rings = self.spec.beams.rings
        gain = np.exp(rng.normal(0.0, 0.1 * spread, rings))
        offset = np.abs(rng.normal(0.0, 0.06 * spread, rings)) * self._gain
        return np.stack((gain, offset), 1).astype(np.float32)

    def _look_at_hull(self, hull: Mesh | None) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
        """The own body never moves against the sensor: where each beam meets it is found once."""
        limits = np.full(self._rays.shape[:2], self.spec.max_range * 1.02, np.float32)
        if hull is None or len(hull.triangles) == 0:
            return limits, np.zeros(limits.shape, bool), np.zeros(limits.shape, np.float32)
        body, columns = packed(hull), len(limits)
        mount = self.spec.base_from_lidar.astype(np.float32)
        distance, cosine = np.empty_like(limits), np.empty_like(limits)
        triangle, actor = np.empty(limits.shape, np.int32), np.empty(limits.shape, np.int16)
        origins, turns = np.tile(mount[:3, 3], (columns, 1)), np.tile(mount[:3, :3], (columns, 1, 1))
        nobody = place_actors(ShapePool(), _STILL, _STILL)
        cast_columns(
            0, columns, origins, turns, np.zeros(columns, np.float32), self._rays, self._heights, limits, np.uint64(0),
            (body.bounds, body.meta, body.corners, body.porosity), nobody.arrays(), 0,
            distance, triangle, actor, cosine,
        )  # fmt: skip
        return distance, actor != NOTHING, cosine

    def _cast(self, origin, turn, actors: Instances, seed) -> None:
        """Closest hits of all firings into this sensor's buffers."""
        s = self._static
        origins, turns = origin.astype(np.float32), turn.astype(np.float32)
        period = self.spec.beams.period
        moments = (1.0 + self._column_times / period).astype(np.float32)
        tree, moving = (s.bounds, s.meta, s.corners, s.porosity), actors.arrays()

        def work(first: int, last: int) -> None:
            cast_columns(
                first, last, origins, turns, moments, self._rays, self._heights, self._limits, seed, tree,
                moving, len(actors), self._distance, self._triangle, self._actor, self._cosine,
            )  # fmt: skip

        split(work, len(origins), self.threads)
        own = self._ego & (self._actor == NOTHING)
        self._actor[own] = EGO
        self._cosine[own] = self._ego_cosine[own]

    def _receive(self, actors: Instances, origin, turn, seed) -> None:
        """Returns of all firings into this sensor's buffers."""
        spec, m, s = self.spec, self._materials, self._static
        footprint = min(0.9, spec.divergence * spec.beams.columns / (2 * np.pi))
        constants = np.array(
            [
                spec.power, spec.min_range, spec.max_range, spec.range_noise, self._gain, spec.intensity_levels,
                footprint, m.attenuation, m.clutter, m.clutter_scale, spec.intensity_falloff, spec.speckle,
                spec.own_echo, spec.divergence,
            ],
            np.float32,
        )  # fmt: skip
        static = (s.surface, s.label, s.shade)
        shapes = (actors.shapes.surface, actors.shapes.label, actors.shapes.shade)
        view = origin.astype(np.float32), turn.astype(np.float32), self._rays, self._heights
        noise, object_seed = textures(), _mix(self._seed, 1)
        worn = noise.grain, noise.fractal

        def work(first: int, last: int) -> None:
            receive(
                first, last, self._distance, self._triangle, self._actor, self._cosine, actors.track, static, shapes,
                m.table, constants, self._response, view, worn, seed, object_seed, self._range, self._intensity,
                self._label, self._owner,
            )  # fmt: skip

        split(work, len(self._distance), self.threads)

    def _gather(self, actors: Instances, origin, turn, after: Snapshot) -> Sweep:
        """The firings that came back, as arrays."""
        n = int(np.count_nonzero(self._range))
        xyz, ring, label = np.empty((n, 3), np.float32), np.empty(n, np.uint16), np.empty(n, np.uint8)
        intensity, time = np.empty(n, np.float32), np.empty(n, np.float32)
        instance, column = np.empty(n, np.uint16), np.empty(n, np.int32)
        n = gather_points(
            self._range, self._blind, self._rays, self._heights, self._intensity, self._stamps, self._label,
            self._owner, actors.track, xyz, intensity, ring, time, label, instance, column,
        )  # fmt: skip
        now = after.ego.map_from_base @ self.spec.base_from_lidar
        points = xyz[:n]
        if self.compensate:
            turns, shifts = now[:3, :3].T @ turn, (origin - now[:3, 3]) @ now[:3, :3]  # sensor now from sensor then
            move_points(points, column, turns.astype(np.float32), shifts.astype(np.float32))
        return Sweep(
            points, intensity[:n], ring[:n], time[:n], label[:n], instance[:n], after.time, now, self._range.size
        )

    def _in_sector(self, start: float, end: float) -> NDArray[np.bool_]:
        """Firings whose azimuth lies between two angles (rad, counter-clockwise from start to end)."""
        azimuth = np.arctan2(self._rays[..., 1], self._rays[..., 0])
        return (azimuth - start) % (2 * np.pi) < (end - start) % (2 * np.pi)


def _mix(seed: int, number: int) -> np.uint64:
    """One 64-bit seed from two integers."""
    return np.random.SeedSequence((seed & 0xFFFFFFFFFFFF, number & 0xFFFFFFFFFFFF)).generate_state(1, np.uint64)[0]


_STILL = Snapshot(0.0, None, ())  # type: ignore[arg-type]  # nobody moves, and nobody asks for the ego
