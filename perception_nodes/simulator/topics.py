"""A drive as ROS messages, in plain values: the same for a bag (rosbags) and for live topics (rclpy).

`opening` gives what is latched (TF of the rig, class tables, map), `frame_messages` what belongs to one frame. Frames
are map -> base_link -> lidar, base_link -> camera_<name>; the stamp of a frame is the end of its sweep. A picture is
stamped with the moment at which its camera fired, and TF and odometry are sent for that moment too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import BOX_CLASSES, EVENTS, POINT_CLASSES, ClassInfo
from perception_nodes.messages.camera_info import CameraModel, camera_info_values
from perception_nodes.messages.class_table import class_table_values
from perception_nodes.messages.clock import events_values
from perception_nodes.messages.cloud_layout import point_cloud2_layout, point_cloud2_values
from perception_nodes.messages.detections import Detections3D, attributes_values, detections3d_values
from perception_nodes.messages.grid import Grid, grid_values
from perception_nodes.messages.image import compressed_image_values, encode_jpeg
from perception_nodes.messages.map_shapes import map_shapes_values
from perception_nodes.messages.markers import marker_array_values
from perception_nodes.messages.odometry import Odometry, odometry_values
from perception_nodes.messages.transforms import Transform, tf_values
from perception_nodes.simulator.map_masks import rasterise, shapes_of

if TYPE_CHECKING:
    from perception_nodes.simulator.camera import CameraImage
    from perception_nodes.simulator.drive import Drive, Frame
    from perception_nodes.simulator.lidar import Sweep
    from perception_nodes.simulator.scene import EgoState

MAP, BASE, LIDAR = "map", "base_link", "lidar"
BOXES = "/ground_truth/boxes"
MAP_SHAPES = "/ground_truth/map/shapes"


class Outgoing(NamedTuple):
    """One message: `values` fit `bags.typestore.make` and `messages.assign.fill`."""

    topic: str
    type_name: str
    values: dict[str, Any]
    stamp_ns: int


def camera_frame(name: str) -> str:
    """TF frame of a camera (optical)."""
    return f"camera_{name}"


def opening(drive: Drive, start_ns: int, truth: bool = True) -> Iterator[Outgoing]:
    """Latched messages, stamped before the first picture of the frame at `start_ns`."""
    rig = drive.rig
    start_ns -= round(drive.lead * 1e9)
    links = [Transform(BASE, LIDAR, rig.lidar.base_from_lidar, start_ns)]
    links += [Transform(BASE, camera_frame(c.name), c.base_from_camera, start_ns) for c in drive.cameras]
    yield Outgoing("/tf_static", "tf2_msgs/msg/TFMessage", tf_values(links), start_ns)
    if not truth:
        return
    events = tuple(ClassInfo(name, (200, 200, 200)) for name in EVENTS)
    for topic, classes in (
        ("/ground_truth/segmentation", POINT_CLASSES),
        (BOXES, BOX_CLASSES),
        ("/ground_truth/events", events),
    ):
        yield Outgoing(f"{topic}/classes", "std_msgs/msg/String", class_table_values(classes), start_ns)
    shapes = map_shapes_values(shapes_of(drive.world, MAP))
    yield Outgoing(MAP_SHAPES, "std_msgs/msg/String", shapes, start_ns)
    masks = rasterise(drive.world)
    for name, mask in masks.masks.items():
        grid = Grid(mask, masks.resolution, masks.origin, 0.0, MAP, start_ns)
        yield Outgoing(f"/ground_truth/map/{name}", "nav_msgs/msg/OccupancyGrid", grid_values(grid), start_ns)


def frame_messages(
    drive: Drive, frame: Frame, start_ns: int, jpeg_quality: int = 90, truth: bool = True
) -> Iterator[Outgoing]:
    """Everything of one frame in the order of its stamps, TF before what it places."""
    images = sorted(frame.images.values(), key=lambda image: image.snapshot.time)
    stamp = start_ns + round(frame.time * 1e9)
    placed = None
    for image in images:
        moment = start_ns + round(frame.image_time(image.camera.name) * 1e9)
        if moment != placed:
            yield from _pose_messages(image.snapshot.ego, moment)
            placed = moment
        yield from _image_messages(image, moment, jpeg_quality)
    if placed != stamp:
        yield from _pose_messages(frame.snapshot.ego, stamp)
    if frame.sweep is not None:
        yield Outgoing("/lidar/points", "sensor_msgs/msg/PointCloud2", sweep_values(frame.sweep, stamp), stamp)
    if truth:
        yield from _truth_messages(frame, stamp)


def _pose_messages(ego: EgoState, stamp: int) -> Iterator[Outgoing]:
    """TF and odometry of a moment."""
    pose = [Transform(MAP, BASE, ego.map_from_base, stamp)]
    yield Outgoing("/tf", "tf2_msgs/msg/TFMessage", tf_values(pose), stamp)
    odometry = Odometry(MAP, BASE, ego.map_from_base, (ego.speed, 0.0, 0.0), (0.0, 0.0, ego.yaw_rate), stamp)
    yield Outgoing("/odometry", "nav_msgs/msg/Odometry", odometry_values(odometry), stamp)


def _image_messages(image: CameraImage, stamp: int, jpeg_quality: int) -> Iterator[Outgoing]:
    """A picture and its calibration."""
    spec = image.camera
    name, topic = camera_frame(spec.name), f"/camera/{spec.name}"
    jpeg = compressed_image_values(encode_jpeg(image.rgb, jpeg_quality), name, stamp)
    yield Outgoing(f"{topic}/image/compressed", "sensor_msgs/msg/CompressedImage", jpeg, stamp)
    model = CameraModel(spec.width, spec.height, spec.intrinsics, np.zeros(5), "plumb_bob", name, stamp)
    yield Outgoing(f"{topic}/camera_info", "sensor_msgs/msg/CameraInfo", camera_info_values(model), stamp)


def _truth_messages(frame: Frame, stamp: int) -> Iterator[Outgoing]:
    if frame.sweep is not None:
        columns: dict[str, NDArray] = {"label": frame.sweep.label, "instance": frame.sweep.instance}
        values = point_cloud2_values(point_cloud2_layout(columns), LIDAR, stamp)
        yield Outgoing("/ground_truth/segmentation", "sensor_msgs/msg/PointCloud2", values, stamp)
    boxes = frame_boxes(frame, stamp)
    yield Outgoing(BOXES, "vision_msgs/msg/Detection3DArray", detections3d_values(boxes), stamp)
    yield Outgoing(f"{BOXES}/attributes", "std_msgs/msg/String", attributes_values(boxes), stamp)
    markers = marker_array_values(boxes, "ground_truth")
    yield Outgoing("/ground_truth/markers", "visualization_msgs/msg/MarkerArray", markers, stamp)
    yield Outgoing("/ground_truth/events", "std_msgs/msg/String", events_values(frame.events), stamp)


def sweep_values(sweep: Sweep, stamp_ns: int) -> dict[str, Any]:
    """sensor_msgs/PointCloud2 of a sweep: x y z intensity float32, ring uint16, time float32."""
    columns: dict[str, NDArray] = {
        "xyz": sweep.xyz,
        "intensity": sweep.intensity,
        "ring": sweep.ring,
        "time": sweep.time,
    }
    return point_cloud2_values(point_cloud2_layout(columns), LIDAR, stamp_ns)


def frame_boxes(frame: Frame, stamp_ns: int) -> Detections3D:
    """The frame's boxes in base_link. They stand upright in the map; base's slope (2 degrees) is left out of yaw."""
    base_from_map = np.linalg.inv(frame.snapshot.ego.map_from_base)
    heading = np.arctan2(frame.snapshot.ego.map_from_base[1, 0], frame.snapshot.ego.map_from_base[0, 0])
    boxes = frame.boxes
    centre = np.array([b.centre for b in boxes], np.float64).reshape(-1, 3) @ base_from_map[:3, :3].T
    velocity = np.array([b.velocity for b in boxes], np.float64).reshape(-1, 2)
    c, s = np.cos(heading), np.sin(heading)
    return Detections3D.build(
        BASE,
        stamp_ns,
        centre + base_from_map[:3, 3],
        np.array([b.size for b in boxes], np.float64).reshape(-1, 3),
        np.array([b.yaw for b in boxes], np.float64) - heading,
        [b.category for b in boxes],
        velocity=velocity @ np.array([[c, -s], [s, c]]),
        track=[b.track_id for b in boxes],
        points=[b.points for b in boxes],
        visibility=[b.visibility for b in boxes],
    )
