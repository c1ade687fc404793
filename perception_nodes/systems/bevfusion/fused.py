"""A BEV network with what a stream needs around it: past sweeps, the vehicle's motion, its frame, undistortion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from perception_nodes.calibration.se3 import Matrix, apply, invert
from perception_nodes.messages.detections import Detections3D
from perception_nodes.messages.point_cloud import PointCloud
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.inputs import Note
from perception_nodes.systems.bevfusion.config import Frames
from perception_nodes.systems.bevfusion.place import Place, fixed_from_cloud, place_of
from perception_nodes.systems.bevfusion.sweeps import SweepBuffer
from perception_nodes.systems.bevfusion.undistort import Undistorter
from perception_nodes.systems.inputs import POINTS
from perception_nodes.systems.system import Moment

if TYPE_CHECKING:
    from models.bevfusion.calibration import CameraCalibration
    from models.bevfusion.results import BevMap


class BevNetwork(Protocol):
    """What is asked of a network's session (`models.bevfusion.open.open_bev`).

    past_sweeps: used beside the newest · repeats_first: without a past the newest takes its place · temporal: it keeps
    the last BEV and takes `motion` · uses_cameras, uses_points: what it looks at · classes: (of boxes, of maps).
    """

    facts: Any
    past_sweeps: int
    repeats_first: bool
    temporal: bool

    @property
    def uses_cameras(self) -> bool: ...

    @property
    def uses_points(self) -> bool: ...

    @property
    def classes(self) -> tuple[tuple[str, ...], tuple[str, ...]]: ...

    def step(self, *args: Any, **kwargs: Any) -> Any:
        """images, points, calibration, and `motion` where temporal; see `models.bevfusion.session`."""

    def reset(self) -> None:
        """Forgets the past."""


@dataclass(frozen=True, eq=False)
class Fused:
    """What was found at one moment, in `frame_id` at the sweep's stamp.

    boxes: best first, none for a network without object head · layers: None for one without map head · cameras: used ·
    masked: camera -> why it was not · points: used · motion: the past was brought along by the vehicle's motion ·
    notes: to count and to report.
    """

    boxes: Detections3D
    layers: BevMap | None
    cameras: tuple[str, ...]
    masked: Mapping[str, str]
    points: int
    motion: bool
    notes: tuple[Note, ...] = ()


class FusedSession:
    """One stream's state around a network."""

    def __init__(self, network: BevNetwork, frames: Frames) -> None:
        self.network, self.frames = network, frames
        self._sweeps = SweepBuffer(network.past_sweeps, network.repeats_first)
        self._undistorter = Undistorter()
        self._calibration: dict[str, CameraCalibration] = {}  # also of cameras whose picture is missing now
        self._told = False  # that pictures are not used

    @property
    def facts(self) -> Any:
        """Of the network."""
        return self.network.facts

    def reset(self) -> None:
        """Forgets past sweeps and the network's past."""
        self._sweeps.clear()
        self.network.reset()

    def step(self, moment: Moment) -> Fused:
        """Boxes and map of one sweep with its pictures. A missing camera keeps its place in the network's tables.

        Raises:
            CalibrationError: the LiDAR's place on the vehicle is missing.
        """
        cloud: PointCloud = moment.values[POINTS]
        assert moment.calibration is not None
        place = place_of(moment.calibration, cloud.frame_id, self.frames.base, moment.stamp_ns)
        notes: list[Note] = []
        pose = self._pose(moment, cloud.frame_id, place, notes)
        points, motion = self._sweeps.add(self._points(cloud, place), moment.stamp_ns * 1e-9, pose)
        images, calibration = self._views(moment, place)
        masked = {**moment.masked, **self._unused(moment, notes)}
        lacking = self._lacking(len(images), len(cloud))
        if lacking:
            notes.append(Note("nothing_seen", Level.WARN, lacking, POINTS))
            return self._empty(moment, place, notes)
        kept = points if self.network.uses_points else None
        if self.network.temporal:
            answer = self.network.step(images, kept, calibration, motion)
        else:
            answer = self.network.step(images, kept, calibration)
        return Fused(
            self._boxes(answer.detections, place, moment.stamp_ns),
            shifted(answer.map, place.shift),
            tuple(images),
            masked,
            answer.used_points,
            motion is not None,
            tuple(notes),
        )

    def _pose(self, moment: Moment, frame: str, place: Place, notes: list[Note]) -> Matrix | None:
        """fixed_from_level; None with a note where it is needed and unknown."""
        needed = self.network.past_sweeps or self.network.temporal
        if not needed or not any(self.frames.fixed):
            return None
        assert moment.calibration is not None
        pose, reason = fixed_from_cloud(moment.calibration, frame, self.frames.fixed, moment.stamp_ns)
        if pose is None:
            text = f"the vehicle's motion is unknown, so earlier sweeps are not used: {reason}"
            notes.append(Note("no_motion", Level.WARN, text, POINTS))
            return None
        return pose @ invert(place.level_from_cloud)

    @staticmethod
    def _points(cloud: PointCloud, place: Place) -> NDArray[np.float32]:
        """float32 [P, 4] of the finite points in level axes; intensity 0 to 255, 0 where it is not finite."""
        keep = cloud.finite
        intensity = np.nan_to_num(cloud.intensity[keep], nan=0.0, posinf=0.0, neginf=0.0) * np.float32(255)
        xyz = apply(place.level_from_cloud, cloud.xyz[keep].astype(np.float64))
        return np.column_stack([xyz, intensity]).astype(np.float32)

    def _views(self, moment: Moment, place: Place) -> tuple[dict[str, NDArray[np.uint8]], dict[str, CameraCalibration]]:
        from models.bevfusion.calibration import CameraCalibration  # torch

        images: dict[str, NDArray[np.uint8]] = {}
        for name, placed in moment.placed.items() if self.network.uses_cameras else ():
            model = placed.model
            images[name] = self._undistorter.picture(name, model, moment.values[name].rgb)
            level_from_camera = place.level_from_cloud @ invert(placed.camera_from_cloud)
            size = (model.height, model.width)
            self._calibration[name] = CameraCalibration.build(model.k, level_from_camera, size)
        return images, self._calibration

    def _unused(self, moment: Moment, notes: list[Note]) -> dict[str, str]:
        """Camera -> why it is not used, where the network is trained without cameras; said once in the log."""
        if self.network.uses_cameras or not moment.placed:
            return {}
        text = f"{self.facts.name} is trained without cameras: the pictures are not used"
        notes.append(Note("unused_views", Level.OK, text, POINTS, len(moment.placed), log=not self._told))
        self._told = True
        return dict.fromkeys(moment.placed, text)

    def _lacking(self, images: int, points: int) -> str:
        """Why there is nothing to look at, or ""."""
        uses = self.network
        if (images and uses.uses_cameras) or (points and uses.uses_points):
            return ""
        if not uses.uses_points:
            return "no camera gave a usable picture and this network uses cameras alone: the answer is empty"
        return "the cloud is empty and no camera gave a usable picture: the answer is empty"

    def _empty(self, moment: Moment, place: Place, notes: list[Note]) -> Fused:
        boxes = Detections3D.build(place.frame_id, moment.stamp_ns, [], [], [], [])
        return Fused(boxes, None, (), dict(moment.masked), 0, False, tuple(notes))

    @staticmethod
    def _boxes(found: Any, place: Place, stamp_ns: int) -> Detections3D:
        if found is None:
            return Detections3D.build(place.frame_id, stamp_ns, [], [], [], [])
        names = [found.classes[i] for i in found.label]
        centre = found.centre.astype(np.float64) + place.shift
        return Detections3D.build(
            place.frame_id, stamp_ns, centre, found.size, found.yaw, names, velocity=found.velocity, score=found.score
        )


def shifted(layers: BevMap | None, shift: NDArray[np.float64]) -> BevMap | None:
    """The same layers in a frame that is `shift` m away."""
    if layers is None:
        return None
    from models.bevfusion.results import BevMap  # torch

    origin = (layers.origin[0] + float(shift[0]), layers.origin[1] + float(shift[1]))
    return BevMap(layers.probability, layers.classes, origin, layers.cell)
