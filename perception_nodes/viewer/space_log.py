"""Boxes, map layers and the places of sensors in rerun: in space, and the boxes' edges upon the cameras' pictures."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.source import CalibrationSource
from perception_nodes.messages.detections import Detections3D, read_detections3d
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.grid import Cells, read_cells
from perception_nodes.streaming.bag_inputs import camera_name
from perception_nodes.viewer.box_outlines import box_edges
from perception_nodes.viewer.box_pictures import class_colours
from perception_nodes.viewer.scene_picture import layers_below

BASE = "base_link"
BOXES, TRUE_BOXES, MAP_ENTITY = "world/boxes", "world/true_boxes", "world/map"
SURE = 0.3  # a recording for scoring holds boxes of every score; those below this one would fill the view
REACH_M, PIXELS = 50.0, 400  # of the map layers' picture on the ground
BELOW_M = 0.1  # the layers lie this far below the ground, so that the points stand out


class SpaceLog:
    """Takes Detection3DArray and OccupancyGrid messages at the time that the stream stands at.

    Entities below `world` are in base_link where the calibration knows their frames; else all in their own.

    Args:
        rr, stream: the rerun module, its stream. calibration: of a bag; None: from what comes (`calibrate`).
    """

    def __init__(self, rr: Any, stream: Any, calibration: CalibrationSource | None) -> None:
        self._rr, self._stream = rr, stream
        self._feeds = calibration is None
        self._calibration = CalibrationSource() if calibration is None else calibration
        self._placed: dict[str, str] = {}  # entity -> frame
        self._layers: dict[str, Cells] = {}
        self._complete = 0  # layers of the last moment

    def calibrate(self, topic: str, message: Any) -> None:
        """A TFMessage of /tf_static, or a CameraInfo; passed over where the calibration of a bag was given, or where it
        cannot be used."""
        if not self._feeds:
            return
        with contextlib.suppress(MessageError, CalibrationError):
            if hasattr(message, "transforms"):
                self._calibration.add_tf_static(message)
            else:
                self._calibration.add_camera_info(camera_name(topic.rpartition("/")[0]), message)

    def place(self, entity: str, frame: str) -> None:
        """Puts an entity whose data is in `frame` where that frame is on the vehicle."""
        if self._placed.get(entity) == frame:
            return
        base_from_frame = self._lookup(BASE, frame)
        if base_from_frame is not None:
            self._placed[entity] = frame
            pose = self._rr.Transform3D(translation=base_from_frame[:3, 3], mat3x3=base_from_frame[:3, :3])
            self._stream.log(entity, pose, static=True)

    def boxes(self, topic: str, message: Any) -> None:
        """A Detection3DArray, found or true: boxes in space; found ones on the pictures, too."""
        boxes = read_detections3d(message)
        boxes = boxes.select(boxes.score >= SURE)
        entity = TRUE_BOXES if topic.startswith("/ground_truth") else BOXES
        self.place(entity, boxes.frame_id)
        turns = np.column_stack([np.zeros((len(boxes), 2)), np.sin(boxes.yaw / 2), np.cos(boxes.yaw / 2)])
        labels = [f"{name} {score:.2f}" for name, score in zip(boxes.category, boxes.score)]
        colours = class_colours(boxes)
        shown = self._rr.Boxes3D(
            centers=boxes.centre, half_sizes=boxes.size / 2, quaternions=turns, labels=labels, show_labels=False,
            colors=colours,
        )  # fmt: skip
        self._stream.log(entity, shown)
        if entity == BOXES:
            self._on_pictures(boxes, colours)

    def layer(self, topic: str, message: Any) -> None:
        """An OccupancyGrid of a map class; the layers of one stamp become one picture on the ground."""
        cells = read_cells(message)
        if any(held.stamp_ns != cells.stamp_ns for held in self._layers.values()):
            self._complete = len(self._layers)
            self._layers = {}
        self._layers[topic.rsplit("/", 1)[-1]] = cells
        if len(self._layers) < self._complete:
            return
        self.place(MAP_ENTITY, cells.frame_id)
        half, height = REACH_M, -BELOW_M
        corners = [(half, half, height), (half, -half, height), (-half, -half, height), (-half, half, height)]
        ground = self._rr.Mesh3D(
            vertex_positions=corners,
            vertex_texcoords=[(0, 0), (1, 0), (1, 1), (0, 1)],
            triangle_indices=[(0, 2, 1), (0, 3, 2)],
            albedo_texture=layers_below(self._layers, PIXELS, REACH_M),
        )
        self._stream.log(MAP_ENTITY, ground)

    def _on_pictures(self, boxes: Detections3D, colours: NDArray[np.uint8]) -> None:
        """The boxes' edges on every picture whose camera is known, for pictures of the size of its CameraInfo."""
        for name, model in self._calibration.cameras().items():
            camera_from_boxes = self._lookup(model.frame_id, boxes.frame_id)
            if camera_from_boxes is not None:
                segments, box = box_edges(boxes, camera_from_boxes, model)
                lines = self._rr.LineStrips2D(segments, colors=colours[box], radii=1.0)
                self._stream.log(f"cameras/{name}/boxes3d", lines)

    def _lookup(self, target: str, source: str) -> NDArray[np.float64] | None:
        try:
            return self._calibration.lookup(target, source)
        except CalibrationError:
            return None
