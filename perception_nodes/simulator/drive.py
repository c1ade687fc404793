"""A drive through the world: traffic moves, sensors look, a frame for each turn of the rig's LiDAR.

    with Drive("suburb_day", "kitti", seed=3, seconds=10) as drive:
        for frame in drive:
            frame.sweep, frame.images["left"].rgb, frame.boxes, frame.events

Cameras have a rate of their own and fire before the sweep ends, each at its own moment (`rigs`): a frame of the
nuscenes rig comes every 50 ms, twelve of twenty have pictures, two of twenty are key frames. Only the two frames being
computed are kept, so memory does not grow with the drive. The same arguments give the same frames for any number of
threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from perception_nodes.simulator.lidar import LidarSensor, Sweep
from perception_nodes.simulator.moments import between
from perception_nodes.simulator.rigs import CameraSpec, Rig
from perception_nodes.simulator.rigs import rig as rig_by_name
from perception_nodes.simulator.scenarios import Scenario, scenario_by_name
from perception_nodes.simulator.scene import Snapshot, World
from perception_nodes.simulator.traffic import Traffic
from perception_nodes.simulator.world import build_world

if TYPE_CHECKING:
    from perception_nodes.simulator.camera import CameraImage
    from perception_nodes.simulator.truth import Box

SETTLE = 1.0  # s of traffic before the first frame, so that nobody starts from a standstill


@dataclass(frozen=True, eq=False)
class Frame:
    """One moment of a drive. `time` s since the first frame (its stamp) · sweep that ended then, or None · images by
    camera name (none where the cameras do not fire; each knows its own moment) · boxes of what is around · names of the
    events under way · key: one of the frames that the rig's data set annotates, which always has pictures."""

    index: int
    time: float
    snapshot: Snapshot
    sweep: Sweep | None
    images: dict[str, CameraImage] = field(default_factory=dict)
    boxes: tuple[Box, ...] = ()
    events: tuple[str, ...] = ()
    key: bool = True

    def image_time(self, camera: str) -> float:
        """When a camera took its picture, s since the first frame (a little before `time`)."""
        return self.time + self.images[camera].snapshot.time - self.snapshot.time


class Drive:
    """Iterator over Frames, endless unless `seconds` says otherwise.

    `rig`: a name stands for one vehicle of that kind, drawn from the seed (`Rig.mounted`); a Rig is taken as it is ·
    `cameras` is True (all of the rig), False or a tuple of names · images come at `image_scale` times the rig's size,
    or `image_width` px wide in their own proportions, or stretched to `image_size` (width, height) px, and at most
    `camera_rate` times a second (None: the rig's own rate) · `compensate`: sweeps corrected for motion, None: as the
    rig's data set has them · `world`: one built before, instead of the scenario's own. The static world's acceleration
    structures are built once per drive. `rate`: frames a second.
    """

    def __init__(
        self,
        scenario: Scenario | str,
        rig: Rig | str = "kitti",
        seed: int = 0,
        *,
        seconds: float | None = None,
        image_scale: float = 1.0,
        image_size: tuple[int, int] | None = None,
        image_width: int | None = None,
        cameras: bool | tuple[str, ...] = True,
        lidar: bool = True,
        boxes: bool = True,
        compensate: bool | None = None,
        camera_rate: float | None = None,
        threads: int | None = None,
        world: World | None = None,
    ) -> None:
        self.scenario = scenario_by_name(scenario, seed) if isinstance(scenario, str) else scenario
        self.rig = rig_by_name(rig, seed) if isinstance(rig, str) else rig
        self.seed = seed
        self.rate = self.rig.rate
        self._camera_rate = min(self.rate, self.rig.camera_rate or self.rate, camera_rate or self.rate)
        self.frames = None if seconds is None else max(0, round(seconds * self.rate))
        conditions = self.scenario.conditions
        self.world = world if world is not None else build_world(seed, self.scenario.style)
        self._traffic = Traffic(self.world, seed, self.scenario, conditions)
        self._boxes = boxes
        self._lidar = None
        if lidar and self.rig.lidars:
            self._lidar = LidarSensor(
                self.world, self.rig.lidar, conditions, seed, hull=self.rig.hull, compensate=compensate, threads=threads
            )
        self.cameras = _sized(_chosen(self.rig, cameras), image_scale, image_size, image_width)
        self._renderer = None
        if self.cameras:
            from perception_nodes.simulator.camera import CameraRenderer

            body = self.rig.body_in_view()
            self._renderer = CameraRenderer(self.world, conditions, seed, hull=body, threads=threads)
        self._line = None
        if threads != 1:  # one worker each, which keeps the order of the frames
            self._line = tuple(
                ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("traffic", "lidar", "camera")
            )
        self._index = self._begun = 0
        self._waiting: deque[tuple[Future, Future, Future]] = deque()  # begun: moments, sweep and boxes, images
        self._closed = False
        self._traffic.step(SETTLE)

    @property
    def compensated(self) -> bool:
        """Whether its sweeps are corrected for the vehicle's motion."""
        return self._lidar is not None and self._lidar.compensate

    @property
    def lead(self) -> float:
        """Longest time by which a picture's stamp is earlier than its frame's, s."""
        return max((spec.delay for spec in self.cameras), default=0.0)

    def is_key(self, index: int) -> bool:
        """Whether frame `index` is one that the rig's data set would annotate."""
        return _falls(index, self.rate, self.rig.key_rate or self.rate)

    def __enter__(self) -> Drive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the sensors; iteration ends."""
        for worker in self._line or ():
            worker.shutdown(cancel_futures=True)
        self._closed, self._lidar, self._renderer, self._line = True, None, None, None
        self._waiting.clear()

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        if self._closed or (self.frames is not None and self._index >= self.frames):
            raise StopIteration
        index, self._index = self._index, self._index + 1
        if self._line is None:
            before, after = self._advance()
            sweep, boxes = self._scan(before, after)
            images = self._look(index, before, after)
        else:
            self._begin()
            moments, scan, look = self._waiting.popleft()
            (_, after), (sweep, boxes), images = moments.result(), scan.result(), look.result()
            self._begin()
        return Frame(index, index / self.rate, after, sweep, images, boxes, after.events, self.is_key(index))

    def _begin(self) -> None:
        """Computes two frames at a time: the single-threaded part of one sensor runs while the other sensor computes,
        and both run while the last frame is sent."""
        assert self._line is not None
        traffic, lidar, camera = self._line
        while len(self._waiting) < 2 and (self.frames is None or self._begun < self.frames):
            moments = traffic.submit(self._advance)
            scan = lidar.submit(lambda at: self._scan(*at.result()), moments)
            look = camera.submit(lambda index, at: self._look(index, *at.result()), self._begun, moments)
            self._begun += 1
            self._waiting.append((moments, scan, look))

    def _advance(self) -> tuple[Snapshot, Snapshot]:
        """The moments at which the next frame begins and ends."""
        before = self._traffic.snapshot()
        self._traffic.step(1.0 / self.rate)
        return before, self._traffic.snapshot()

    def _look(self, index: int, before: Snapshot, after: Snapshot) -> dict[str, CameraImage]:
        """Every camera's picture, drawn at the moment at which it fires."""
        if self._renderer is None or not _falls(index, self.rate, self._camera_rate):
            return {}
        moments = {d: between(before, after, after.time - d) for d in {spec.delay for spec in self.cameras}}
        return {spec.name: self._renderer.render(moments[spec.delay], spec) for spec in self.cameras}

    def _scan(self, before: Snapshot, after: Snapshot) -> tuple[Sweep | None, tuple[Box, ...]]:
        sweep = self._lidar.sweep(before, after) if self._lidar is not None else None
        return sweep, self._truth(after, sweep) if self._boxes else ()

    def _truth(self, after: Snapshot, sweep: Sweep | None) -> tuple[Box, ...]:
        """Boxes around the ego, with the points that the sweep has on each."""
        from perception_nodes.simulator.truth import boxes

        return tuple(boxes(after, sweep))


def _falls(index: int, rate: float, wanted: float) -> bool:
    """Whether one of `wanted` events a second, spread evenly over `rate` frames a second, falls on frame `index`; the
    first falls on frame 0."""
    share = wanted / rate
    return int(index * share + 1e-9) > int((index - 1) * share + 1e-9) if index > 0 else True


def _chosen(rig: Rig, cameras: bool | tuple[str, ...]) -> tuple[CameraSpec, ...]:
    if cameras is True:
        return rig.cameras
    return tuple(rig.camera(name) for name in cameras) if cameras else ()


def _sized(
    cameras: tuple[CameraSpec, ...], scale: float, size: tuple[int, int] | None, width: int | None
) -> tuple[CameraSpec, ...]:
    if size is not None:
        return tuple(spec.resized(*size) for spec in cameras)
    if width is not None:
        return tuple(spec.scaled(width / spec.width) for spec in cameras)
    return cameras if scale == 1.0 else tuple(spec.scaled(scale) for spec in cameras)
