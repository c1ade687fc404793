"""Sensor rigs: which LiDARs and cameras a vehicle carries, where they sit and what its own body looks like to them.

Frames: `base` is x forward, y left, z up, on the ground under the rear axle. A LiDAR's frame is x forward, y left, z up
for EVERY rig (nuScenes' own files have LIDAR_TOP x right, y forward; its reader turns them). A camera's frame is
optical: x right, y down, z into the picture. Intrinsics and mounts are nominal values of the published vehicles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.beams import BeamTable, hdl32e, hdl64e, vlp16
from perception_nodes.simulator.hull import car_hull
from perception_nodes.simulator.scene import Mesh

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LidarSpec:
    """One LiDAR: beams, mount and the constants of its sensor model (see `lidar.py`).

    base_from_lidar float64 [4, 4] · min_range, max_range m: firings outside give no point · power: k of
    p(return) = 1 - exp(-k rho cos / r^2), m^2 · range_noise m, 1 sigma · intensity_gain: recorded intensity of a
    diffuse surface of reflectivity 1 · intensity_levels: quantisation · intensity_falloff m: where intensity has
    halved · speckle: log spread of intensity from point to point · divergence rad, full beam width (mixed pixels) ·
    dead_sector: (from, to) azimuth, rad, that reports nothing, or None · own_echo: share of the echoes off the own hull
    that reach the file · compensated: sweeps are corrected for the vehicle's own motion, to their stamp, as the data
    set's that this sensor imitates.
    """

    name: str
    beams: BeamTable
    base_from_lidar: Matrix
    min_range: float = 0.5
    max_range: float = 120.0
    power: float = 150_000.0
    range_noise: float = 0.015
    intensity_gain: float = 1.0
    intensity_levels: int = 255
    intensity_falloff: float = 1000.0
    speckle: float = 0.18
    divergence: float = 0.003
    dead_sector: tuple[float, float] | None = None
    own_echo: float = 1.0
    compensated: bool = False

    def mounted(
        self, height: float | None = None, roll: float = 0.0, pitch: float = 0.0, yaw: float = 0.0
    ) -> LidarSpec:
        """The same sensor at another height above ground (m) and turned by small angles (rad, about its own origin)."""
        turned = np.array(self.base_from_lidar)
        turned[:3, :3] = turned[:3, :3] @ rotation(roll, pitch, yaw)
        if height is not None:
            turned[2, 3] = height
        return replace(self, base_from_lidar=turned)


@dataclass(frozen=True, eq=False)
class CameraSpec:
    """One pinhole camera without distortion: size and intrinsics in pixels (pixel centres at +0.5 are NOT assumed: the
    principal point is in OpenCV's convention, pixel (0, 0) centred on 0), base_from_camera float64 [4, 4] optical.
    `delay`: s before the stamp of a sweep at which it fires (all rows at once)."""

    name: str
    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    base_from_camera: Matrix
    delay: float = 0.0

    @property
    def intrinsics(self) -> Matrix:
        """Camera matrix K, float64 [3, 3]."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    def scaled(self, factor: float) -> CameraSpec:
        """The same view at `factor` times the size (rounded to whole pixels)."""
        return self.resized(max(1, round(self.width * factor)), max(1, round(self.height * factor)))

    def resized(self, width: int, height: int) -> CameraSpec:
        """The same view stretched to width x height pixels; intrinsics follow each axis apart."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=(self.cx + 0.5) * sx - 0.5,
            cy=(self.cy + 0.5) * sy - 0.5,
        )

    def cropped(self, left: int, top: int, width: int, height: int) -> CameraSpec:
        """The part of the picture that starts at pixel (left, top)."""
        return replace(self, width=width, height=height, cx=self.cx - left, cy=self.cy - top)


@dataclass(frozen=True, eq=False)
class Rig:
    """A vehicle's sensors. `hull` is its own body in base frame: LiDAR beams that meet it give points without a class
    (or none, under `min_range`), and cameras outside it see it. `size` is length, width, height; `rear_overhang` is how
    far the body reaches behind base's origin, m. `camera_rate`: pictures a second of each camera, None: one with every
    sweep. `key_rate`: annotated frames a second, None: all. `mount_angle`, `mount_shift`: by how much the sensors of
    one such vehicle are turned (rad) and moved (m) against the nominal mounts, 1 sigma."""

    name: str
    lidars: tuple[LidarSpec, ...]
    cameras: tuple[CameraSpec, ...]
    hull: Mesh
    size: tuple[float, float, float]
    rear_overhang: float
    camera_rate: float | None = None
    key_rate: float | None = None
    mount_angle: float = 0.0
    mount_shift: float = 0.0

    @property
    def rate(self) -> float:
        """Sweeps a second of the main LiDAR (10 where there is none)."""
        return round(1.0 / self.lidar.beams.period, 6) if self.lidars else 10.0

    @property
    def lidar(self) -> LidarSpec:
        """The main (first) LiDAR."""
        return self.lidars[0]

    def body_in_view(self) -> Mesh:
        """The own body as cameras on it may see it. Where a camera sits below the roof, behind a windscreen, what
        reaches up to it is left out: such a camera sees the bonnet, and looks through the glass."""
        eye = min((float(c.base_from_camera[2, 3]) for c in self.cameras), default=np.inf)
        top = self.hull.vertices[self.hull.triangles, 2].max(1)
        if not len(top) or eye > top.max():
            return self.hull
        return self.hull.taken(top < eye - 0.03)

    def camera(self, name: str) -> CameraSpec:
        """Camera by name; KeyError names the known ones."""
        for spec in self.cameras:
            if spec.name == name:
                return spec
        raise KeyError(f"rig {self.name!r} has no camera {name!r}; it has: {', '.join(c.name for c in self.cameras)}")

    def with_cameras(self, names: tuple[str, ...]) -> Rig:
        """The same rig with only these cameras, in this order."""
        return replace(self, cameras=tuple(self.camera(name) for name in names))

    def mounted(self, seed: int) -> Rig:
        """One vehicle of this kind: mounts that differ from the nominal ones by `mount_angle` and `mount_shift`, drawn
        from the seed. Its poses are exact: they are what TF says."""
        if self.mount_angle == 0.0 and self.mount_shift == 0.0:
            return self
        return self.jittered(np.random.default_rng((seed, 0x216)), self.mount_angle, self.mount_shift)

    def jittered(self, rng: np.random.Generator, angle: float = np.radians(0.5), shift: float = 0.02) -> Rig:
        """The same rig, each camera and LiDAR turned (1 sigma `angle` rad per axis) and moved (`shift` m)."""

        def moved(pose: Matrix) -> Matrix:
            out = np.array(pose)
            out[:3, :3] = out[:3, :3] @ rotation(*rng.normal(0.0, angle, 3))
            out[:3, 3] += rng.normal(0.0, shift, 3)
            return out

        lidars = tuple(replace(s, base_from_lidar=moved(s.base_from_lidar)) for s in self.lidars)
        cameras = tuple(replace(s, base_from_camera=moved(s.base_from_camera)) for s in self.cameras)
        return replace(self, lidars=lidars, cameras=cameras)


def rotation(roll: float, pitch: float, yaw: float) -> Matrix:
    """Rz(yaw) Ry(pitch) Rx(roll), float64 [3, 3]; positive pitch lowers the nose."""
    cr, sr, cp, sp, cy, sy = np.cos(roll), np.sin(roll), np.cos(pitch), np.sin(pitch), np.cos(yaw), np.sin(yaw)
    rx = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    ry = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    rz = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return rz @ ry @ rx


def pose(xyz: tuple[float, float, float], roll: float = 0.0, pitch: float = 0.0, yaw: float = 0.0) -> Matrix:
    """Pose of a sensor whose frame is x forward, y left, z up; angles in rad."""
    out = np.eye(4)
    out[:3, :3] = rotation(roll, pitch, yaw)
    out[:3, 3] = xyz
    return out


BODY_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])


def optical(xyz: tuple[float, float, float], yaw_deg: float = 0.0, pitch_deg: float = 0.0) -> Matrix:
    """Pose of a camera's optical frame that looks along `yaw_deg` (left positive), `pitch_deg` down, in base."""
    return pose(xyz, pitch=np.radians(pitch_deg), yaw=np.radians(yaw_deg)) @ BODY_FROM_OPTICAL


def nuscenes() -> Rig:
    """The nuScenes vehicle (a Renault Zoe): six 1600 x 900 cameras all round, one HDL-32E 1.84 m above ground.

    The LiDAR turns 20 times a second from the left (94 degrees) clockwise. Each camera fires 12 times a second, 1.5 ms
    after the beams have passed its axis; two frames a second are annotated. Sweeps are compensated for motion.
    """
    rows = (  # name, focal length px, principal point px, place m, yaw and pitch degrees, ms before the sweep's end
        ("front", 1266.4, 816.0, 491.5, (1.70, 0.02, 1.51), 0.3, 0.3, 35.5),
        ("front_right", 1260.8, 808.0, 495.3, (1.55, -0.49, 1.50), -56.4, 0.8, 27.6),
        ("back_right", 1259.5, 807.3, 501.2, (1.01, -0.48, 1.56), -110.8, 0.9, 20.1),
        ("back", 809.2, 829.2, 481.8, (0.03, 0.0, 1.58), 179.9, -1.0, 10.4),
        ("back_left", 1256.7, 792.1, 492.8, (1.04, 0.48, 1.59), 108.6, 0.9, 0.5),
        ("front_left", 1272.6, 826.6, 479.8, (1.52, 0.49, 1.51), 55.2, -0.1, 43.1),
    )
    cameras = tuple(
        CameraSpec(n, 1600, 900, f, f, cx, cy, optical(t, yaw, pitch), ms / 1e3)
        for n, f, cx, cy, t, yaw, pitch, ms in rows
    )
    lidar = LidarSpec(
        "lidar",
        replace(hdl32e(), start=np.radians(94.0)),
        pose((0.94, 0.0, 1.84)),
        min_range=0.4,
        max_range=105.0,
        power=100_000.0,
        range_noise=0.015,
        intensity_gain=0.22,
        speckle=0.6,
        compensated=True,
    )
    size, rear = (4.08, 1.73, 1.46), 0.65
    hull = car_hull(size, rear, hatchback=True)
    return Rig(
        "nuscenes", (lidar,), cameras, hull, size, rear, camera_rate=12.0, key_rate=2.0,
        mount_angle=np.radians(0.5), mount_shift=0.01,
    )  # fmt: skip


def kitti() -> Rig:
    """The KITTI vehicle (a Volkswagen Passat estate): two 1242 x 375 colour cameras 0.53 m apart, one HDL-64E."""
    left = CameraSpec("left", 1242, 375, 721.54, 721.54, 609.56, 172.85, optical((1.03, 0.06, 1.65)))
    right = replace(left, name="right", base_from_camera=optical((1.03, -0.47, 1.65)))
    lidar = LidarSpec(
        "lidar",
        hdl64e(),
        pose((0.76, 0.0, 1.73)),
        min_range=1.3,
        max_range=80.0,
        power=300_000.0,
        range_noise=0.02,
        intensity_gain=1.2,
        intensity_levels=100,
        intensity_falloff=58.0,
        own_echo=0.02,  # KITTI's sweeps hold hardly any
        compensated=True,  # as those of the odometry benchmark and SemanticKITTI
    )
    size, rear = (4.77, 1.82, 1.51), 1.11
    # The sweeps' shadows on the road say that the roof stands lower under the sensor than the brochure's height.
    hull = car_hull((size[0], size[1], 1.30), rear, estate=True)
    return Rig("kitti", (lidar,), (left, right), hull, size, rear)


def vlp16_rig() -> Rig:
    """A small test vehicle: one 1280 x 720 camera and one VLP-16 on a mast, 1.95 m above ground."""
    front = CameraSpec("front", 1280, 720, 910.0, 910.0, 639.5, 359.5, optical((1.6, 0.0, 1.45), pitch_deg=1.0))
    lidar = LidarSpec("lidar", vlp16(), pose((1.0, 0.0, 1.95)), min_range=0.5, max_range=100.0, intensity_gain=0.4)
    size, rear = (4.2, 1.78, 1.48), 0.75
    return Rig("vlp16", (lidar,), (front,), car_hull(size, rear), size, rear)


RIGS = {"nuscenes": nuscenes, "kitti": kitti, "vlp16": vlp16_rig}


def rig(name: str, seed: int | None = None) -> Rig:
    """Rig by name: with its nominal mounts, or with a seed one vehicle of its kind (`Rig.mounted`). KeyError names the
    known ones."""
    if name not in RIGS:
        raise KeyError(f"no rig {name!r}; known: {', '.join(RIGS)}")
    nominal = RIGS[name]()
    return nominal if seed is None else nominal.mounted(seed)
