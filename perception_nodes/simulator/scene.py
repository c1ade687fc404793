"""What the parts of the driving world hand each other: meshes, shapes, the static world, moments of traffic.

Frames: `map` is x east, y north, z up, metres; `base` is a vehicle's x forward, y left, z up with the origin on the
ground under its centre (ego: under the rear axle); angles in radians, counter-clockwise from +x. `map_from_base` takes
points in base to points in map. Meshes are triangle soups: every triangle says its surface (material), its point
class and its colour. One seed gives the same arrays on every run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import IGNORE


class Surface(IntEnum):
    """What a triangle is made of; indexes the material tables of the LiDAR (reflectivity) and the camera (shader)."""

    ASPHALT = 0
    LANE_PAINT = 1  # retro-reflective road paint (marks, crosswalks, stop lines)
    PAVING = 2  # walkway slabs
    KERB = 3
    GRASS = 4
    SOIL = 5
    GRAVEL = 6
    BRICK = 7
    PLASTER = 8
    CONCRETE = 9
    GLASS = 10  # windows: specular, mostly no LiDAR return
    ROOF = 11
    BARK = 12
    LEAVES = 13  # porous: leaf cards or clouds; beams may pass (see `Mesh.porosity`)
    WOOD = 14
    METAL = 15
    RAILING = 16  # porous: fences, grilles
    CAR_PAINT = 17
    CAR_GLASS = 18
    RUBBER = 19
    PLASTIC = 20
    SKIN = 21
    CLOTH = 22
    SIGN = 23  # retro-reflective sheeting
    LAMP = 24  # emits light at night
    HEADLIGHT = 25
    TAILLIGHT = 26
    LICENCE_PLATE = 27  # retro-reflective
    WATER = 28


@dataclass(frozen=True)
class Mesh:
    """Triangle soup.

    vertices float32 [V, 3] m · triangles int32 [T, 3] (counter-clockwise seen from outside) · surface uint8 [T] ·
    label uint8 [T] point class or IGNORE · rgb uint8 [T, 3] base colour · porosity float32 [T], the chance that a
    beam or a view ray that meets the triangle passes through it (0 = solid).
    """

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    surface: NDArray[np.uint8]
    label: NDArray[np.uint8]
    rgb: NDArray[np.uint8]
    porosity: NDArray[np.float32]

    @staticmethod
    def build(
        vertices, triangles, surface: Surface, label: int = IGNORE, rgb=(128, 128, 128), porosity: float = 0.0
    ) -> Mesh:
        """One-material mesh from arrays or lists; scalars are spread over the triangles."""
        v = np.ascontiguousarray(vertices, np.float32).reshape(-1, 3)
        t = np.ascontiguousarray(triangles, np.int32).reshape(-1, 3)
        n = len(t)
        colour = np.broadcast_to(np.asarray(rgb, np.uint8), (n, 3)).copy()
        return Mesh(
            v, t, np.full(n, surface, np.uint8), np.full(n, label, np.uint8), colour, np.full(n, porosity, np.float32)
        )

    @staticmethod
    def join(meshes: list[Mesh]) -> Mesh:
        """All meshes as one; an empty list gives an empty mesh."""
        if not meshes:
            return Mesh.build(np.zeros((0, 3)), np.zeros((0, 3)), Surface.ASPHALT)
        offsets = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
        return Mesh(
            np.concatenate([m.vertices for m in meshes]),
            np.concatenate([m.triangles + np.int32(o) for m, o in zip(meshes, offsets)]).astype(np.int32),
            np.concatenate([m.surface for m in meshes]),
            np.concatenate([m.label for m in meshes]),
            np.concatenate([m.rgb for m in meshes]),
            np.concatenate([m.porosity for m in meshes]),
        )

    def taken(self, keep: NDArray[np.bool_]) -> Mesh:
        """Only the triangles in `keep` bool [T]; all vertices stay."""
        return Mesh(
            self.vertices, self.triangles[keep], self.surface[keep], self.label[keep], self.rgb[keep],
            self.porosity[keep],
        )  # fmt: skip

    def moved(self, xyz=(0.0, 0.0, 0.0), yaw: float = 0.0, scale=1.0) -> Mesh:
        """Scaled (scalar or per axis), turned about z, then shifted."""
        c, s = np.cos(yaw), np.sin(yaw)
        turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        v = (self.vertices * np.asarray(scale)) @ turn.T + np.asarray(xyz)
        return Mesh(v.astype(np.float32), self.triangles, self.surface, self.label, self.rgb, self.porosity)


@dataclass(frozen=True, eq=False)
class Shape:
    """A rigid mesh in an actor's base frame; shapes are shared between actors and moments, so renderers may cache
    acceleration structures by `id(shape)`. A walking person is a cycle of shapes, one per gait phase."""

    name: str
    mesh: Mesh


@dataclass(frozen=True)
class ActorState:
    """One road user (or movable object: cone, barrier) at one moment."""

    track_id: int  # > 0, unique in a drive; also the instance id of its points
    category: str  # one of BOX_CLASSES' names
    shape: Shape
    xyz: tuple[float, float, float]  # base origin in map
    yaw: float
    size: tuple[float, float, float]  # length, width, height of the box; its centre stands size[2] / 2 above xyz
    velocity: tuple[float, float] = (0.0, 0.0)  # map frame, m/s
    yaw_rate: float = 0.0
    braking: bool = False
    indicator: int = 0  # +1 left, -1 right
    box: bool = True  # False: belongs to another track's box (a rider's two-wheeler), no box of its own


@dataclass(frozen=True)
class EgoState:
    """The recording vehicle at one moment; `map_from_base` float64 [4, 4] includes slope, roll and pitch."""

    map_from_base: NDArray[np.float64]
    speed: float
    acceleration: float
    yaw_rate: float


@dataclass(frozen=True)
class Conditions:
    """Light and weather of a drive."""

    daytime: str = "day"  # day | dusk | night
    weather: str = "clear"  # clear | fog | rain | wet (wet road, no rain)
    sun_azimuth: float = 0.8
    sun_elevation: float = 0.7

    DAYTIMES: ClassVar[tuple[str, ...]] = ("day", "dusk", "night")
    WEATHERS: ClassVar[tuple[str, ...]] = ("clear", "fog", "rain", "wet")


@dataclass(frozen=True)
class Snapshot:
    """Everything that moves, at `time` seconds since the start of the drive. `events` are names of classes.EVENTS
    that are under way (empty: none)."""

    time: float
    ego: EgoState
    actors: tuple[ActorState, ...]
    events: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lane:
    """A directed lane. `centre` float64 [P, 3] in driving direction, points at most 2 m apart (z on the surface)."""

    id: int
    centre: NDArray[np.float64]
    width: float
    speed_limit: float  # m/s
    successors: tuple[int, ...] = ()
    left: int | None = None  # neighbour lane in the SAME direction
    right: int | None = None
    opposite: int | None = None  # nearest lane in the other direction
    turn: str = "straight"  # straight | left | right: which way a junction lane goes
    junction: bool = False
    yields_to: tuple[int, ...] = ()  # junction lanes whose traffic goes first
    stop_at: float | None = None  # arc length of the stop line, m


@dataclass(frozen=True)
class Crossing:
    """A pedestrian crossing: walk line float64 [2, 3] from kerb to kerb, lanes that it cuts (id -> arc length, m)."""

    line: NDArray[np.float64]
    width: float
    lanes: dict[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ParkingSpot:
    """Where a parked vehicle's base origin (its centre) may stand."""

    xyz: tuple[float, float, float]
    yaw: float
    length: float
    kind: str = "kerbside"  # kerbside | carpark | yard (for trucks and trailers)


class Ground(Protocol):
    """Height of the ground, vectorised: float64 arrays x, y of one shape -> z of that shape."""

    def __call__(self, x: NDArray[np.float64], y: NDArray[np.float64], /) -> NDArray[np.float64]: ...


@dataclass(frozen=True)
class World:
    """The static world: one mesh, its lanes and paths, its map and lamps. Immutable; a drive moves through it."""

    seed: int
    mesh: Mesh
    lanes: dict[int, Lane]
    crossings: tuple[Crossing, ...]
    walkways: tuple[NDArray[np.float64], ...]  # polylines [P, 3] that people walk along
    parking: tuple[ParkingSpot, ...]
    lamps: NDArray[np.float32]  # [L, 3] positions of street lamps
    map_polygons: dict[str, tuple[NDArray[np.float64], ...]]  # map class -> polygons [P, 2] (areas)
    map_lines: dict[str, tuple[NDArray[np.float64], ...]]  # map class -> polylines [P, 2] (divider)
    extent: tuple[float, float, float, float]  # x_min, y_min, x_max, y_max
    works: tuple[
        tuple[float, float, float, float], ...
    ] = ()  # road works sites: x, y, z, yaw (cones, barriers, diggers go here)
    left_hand: bool = False  # traffic keeps to the left

    ground: Ground | None = None

    def ground_height(self, x, y) -> NDArray[np.float64]:
        """Height of the ground (m, float64) under map points (x, y); broadcasts. Flat where no `ground` is set."""
        x, y = np.broadcast_arrays(np.asarray(x, np.float64), np.asarray(y, np.float64))
        return np.zeros(x.shape) if self.ground is None else self.ground(x, y)
