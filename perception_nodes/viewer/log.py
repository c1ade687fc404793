"""Messages of the stack -> rerun entities: clouds with labels, cameras, boxes, figures, and the panels of the systems.
rerun is imported when a log is made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from perception_nodes.calibration.source import CalibrationSource
from perception_nodes.classes import POINT_CLASSES
from perception_nodes.messages.image import decode_image
from perception_nodes.messages.point_cloud import decode_point_cloud2
from perception_nodes.streaming.bag_inputs import camera_name
from perception_nodes.viewer.panel import Panel, PanelLog
from perception_nodes.viewer.pictures import palette
from perception_nodes.viewer.space_log import BOXES, MAP_ENTITY, TRUE_BOXES, SpaceLog

INSTALL = "rerun is not installed; type: pip install 'perception_nodes[viz]'"
SHOWN = ("PointCloud2", "Image", "Float64", "Detection3DArray", "OccupancyGrid", "CameraInfo")
PREDICTED, TRUTH, RAW = "world/segmentation", "world/ground_truth", "world/points"


class ViewerError(RuntimeError):
    """The viewer cannot run; the message says what to do."""


def require_rerun() -> Any:
    """The rerun module. Raises ViewerError with what to type where it is not installed."""
    try:
        import rerun
    except ImportError as error:
        raise ViewerError(INSTALL) from error
    return rerun


def is_shown(topic: str, type_name: str, panels: Sequence[Panel] = ()) -> bool:
    """Whether a log shows messages of this topic."""
    drawn = type_name.endswith(SHOWN) or topic.endswith("/tf_static")
    unseen = type_name.endswith("Image") and "/debug/" in topic
    unseen |= type_name.endswith("OccupancyGrid") and topic.startswith("/ground_truth")  # the whole world's map
    return (drawn and not unseen) or any(topic in panel.topics for panel in panels)


class Log:
    """A rerun recording that takes decoded messages by topic; unknown topics are passed over.

    `save`: write an .rrd file; `connect`: stream to a viewer at this url ("rerun+http://127.0.0.1:9876/proxy").
    `panels`: take the messages of their topics. `calibration`: of the bag, with the cameras that the layout shows.
    Raises ViewerError where rerun is not installed.
    """

    def __init__(
        self,
        name: str,
        save: Path | None = None,
        connect: str | None = None,
        panels: Sequence[Panel] = (),
        calibration: CalibrationSource | None = None,
        cameras: Sequence[str] = (),
    ) -> None:
        rerun = self._rr = require_rerun()
        self._colours = palette(POINT_CLASSES)
        self._stream = rerun.RecordingStream(name)
        if save is not None:
            self._stream.save(save, default_blueprint=blueprint(panels, cameras))
        if connect is not None:
            self._stream.connect_grpc(connect, default_blueprint=blueprint(panels, cameras))
        self._space = SpaceLog(rerun, self._stream, calibration)
        self._panels: dict[str, PanelLog] = {}
        for panel in panels:
            self._panels.update(dict.fromkeys(panel.topics, panel.open(rerun, self._stream)))
        self._describe()

    def message(self, topic: str, type_name: str, message: Any, stamp_ns: int) -> None:
        """Log one message (rclpy or rosbags) at `stamp_ns`."""
        self._stream.set_time("stamp", timestamp=np.datetime64(stamp_ns, "ns"))
        if topic in self._panels:
            self._panels[topic].message(topic, message)
        elif type_name.endswith("PointCloud2"):
            self._cloud(topic, message)
        elif type_name.endswith("CompressedImage"):
            kind = "image/png" if bytes(message.data[:4]) == b"\x89PNG" else "image/jpeg"
            image = self._rr.EncodedImage(contents=bytes(message.data), media_type=kind)
            self._stream.log(f"cameras/{camera_name(topic)}", image)
        elif type_name.endswith("msg/Image") and "/debug/" not in topic:
            self._stream.log(f"cameras/{camera_name(topic)}", self._rr.Image(decode_image(message).rgb))
        elif type_name.endswith("Float64"):
            self._stream.log("figures" + topic, self._rr.Scalars(float(message.data)))
        elif type_name.endswith("Detection3DArray"):
            self._space.boxes(topic, message)
        elif type_name.endswith("OccupancyGrid"):
            self._space.layer(topic, message)
        elif type_name.endswith("CameraInfo") or topic.endswith("/tf_static"):
            self._space.calibrate(topic, message)

    def close(self) -> None:
        """Write out what is buffered and end the recording."""
        self._stream.flush()
        self._stream.disconnect()

    def _describe(self) -> None:
        classes = [(i, c.name, c.rgb) for i, c in enumerate(POINT_CLASSES)]
        self._stream.log("world", self._rr.ViewCoordinates.FLU, static=True)
        self._stream.log("world", self._rr.AnnotationContext(classes), static=True)

    def _cloud(self, topic: str, message: Any) -> None:
        cloud = decode_point_cloud2(message)
        keep = cloud.finite
        if "label" not in cloud.source.fields:
            grey = (55 + 200 * np.clip(np.sqrt(np.abs(cloud.intensity)), 0, 1)).astype(np.uint8)[:, None].repeat(3, 1)
            self._space.place(RAW, cloud.frame_id)
            self._stream.log(RAW, self._rr.Points3D(cloud.xyz[keep], colors=grey[keep], radii=0.03))
            return
        label = np.asarray(cloud.source.column("label"), np.uint8)
        points = self._rr.Points3D(
            cloud.xyz[keep], class_ids=label[keep], colors=self._colours[label][keep], radii=0.04
        )
        entity = TRUTH if "ground_truth" in topic else PREDICTED
        self._space.place(entity, cloud.frame_id)
        self._stream.log(entity, points)

    def truth(self, xyz: np.ndarray, label: np.ndarray, stamp_ns: int, frame_id: str) -> None:
        """Ground-truth labels uint8 [N] of points float32 [N, 3] in a frame, for bags that keep labels apart from
        points."""
        self._space.place(TRUTH, frame_id)
        self._stream.set_time("stamp", timestamp=np.datetime64(stamp_ns, "ns"))
        self._stream.log(TRUTH, self._rr.Points3D(xyz, class_ids=label, colors=self._colours[label], radii=0.04))


def blueprint(panels: Sequence[Panel] = (), cameras: Sequence[str] = ()) -> Any:
    """Layout: what was found large (labelled cloud, boxes, map), the truth beside it; cameras, the systems' panels and
    latency below. cameras: a view for each; none: one view for whatever comes."""
    import rerun.blueprint as rrb

    origins = {name: f"cameras/{name}" for name in cameras} or {"cameras": "cameras"}
    pictures = [rrb.Spatial2DView(origin=origin, name=name) for name, origin in origins.items()]
    found = [f"/{entity}" for entity in (PREDICTED, RAW, BOXES, MAP_ENTITY)]
    return rrb.Blueprint(
        rrb.Vertical(
            rrb.Horizontal(
                rrb.Spatial3DView(origin="world", name="found: classes of points, boxes, map", contents=found),
                rrb.Spatial3DView(origin="world", name="ground truth", contents=[f"/{TRUTH}", f"/{TRUE_BOXES}"]),
                *(panel.view(rrb) for panel in panels if panel.view is not None and panel.large),
            ),
            rrb.Horizontal(
                rrb.Grid(*pictures, grid_columns=min(len(pictures), 3)),
                *(panel.view(rrb) for panel in panels if panel.view is not None and not panel.large),
                rrb.TimeSeriesView(origin="figures", name="latency, ms"),
                column_shares=[2, *(1 for panel in panels if panel.view is not None and not panel.large), 1],
            ),
            row_shares=[3, 2 if len(pictures) > 3 else 1],
        ),
        collapse_panels=True,
    )
