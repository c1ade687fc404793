"""What every converter writes: sweeps, labels, pictures, poses and static TF, under the stack's topic names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.calibration.se3 import Matrix, compose
from perception_nodes.classes import BOX_CLASSES, POINT_CLASSES
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.messages.camera_info import CameraModel, camera_info_values
from perception_nodes.messages.class_table import class_table_values
from perception_nodes.messages.detections import Detections3D, attributes_values, detections3d_values
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.image import compressed_image_values, decode_picture
from perception_nodes.messages.map_shapes import MapShapes, map_shapes_values
from perception_nodes.messages.markers import marker_array_values
from perception_nodes.messages.odometry import Odometry, odometry_values
from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout
from perception_nodes.messages.transforms import Transform, tf_values

POINTS = "/lidar/points"
SEGMENTATION = "/ground_truth/segmentation"
BOXES = "/ground_truth/boxes"
MAP_SHAPES = "/ground_truth/map/shapes"
KNOWN = tuple(c.name for c in BOX_CLASSES)
LIDAR_FRAME, BASE_FRAME, MAP_FRAME = "lidar", "base_link", "map"


def write_static(bag: BagWriter, links: Iterable[tuple[str, Matrix]], stamp_ns: int) -> None:
    """/tf_static: base_link <- sensor for each (frame, base_from_sensor)."""
    transforms = [Transform(BASE_FRAME, frame, matrix, stamp_ns) for frame, matrix in links]
    bag.write("/tf_static", make("tf2_msgs/msg/TFMessage", **tf_values(transforms)), stamp_ns)


def write_class_table(bag: BagWriter, stamp_ns: int) -> None:
    """The latched class table of the ground truth's labels."""
    bag.write(f"{SEGMENTATION}/classes", make("std_msgs/msg/String", **class_table_values(POINT_CLASSES)), stamp_ns)


def write_sweep(bag: BagWriter, columns: dict[str, NDArray], stamp_ns: int, frame_id: str = LIDAR_FRAME) -> None:
    """/lidar/points from columns as of `point_cloud2_layout`."""
    bag.write(POINTS, make_point_cloud2(point_cloud2_layout(columns), frame_id, stamp_ns), stamp_ns)


def write_labels(bag: BagWriter, label: NDArray[np.uint8], instance: NDArray[np.uint16], stamp_ns: int) -> None:
    """/ground_truth/segmentation: the sweep's points in its order, label and instance only."""
    layout = point_cloud2_layout({"label": label, "instance": instance})
    bag.write(SEGMENTATION, make_point_cloud2(layout, LIDAR_FRAME, stamp_ns), stamp_ns)


def write_box_classes(bag: BagWriter, stamp_ns: int) -> None:
    """The latched class table of the ground truth's boxes."""
    bag.write(f"{BOXES}/classes", make("std_msgs/msg/String", **class_table_values(BOX_CLASSES)), stamp_ns)


def write_boxes(bag: BagWriter, boxes: Detections3D) -> None:
    """/ground_truth/boxes, their attributes and markers, at the boxes' stamp."""
    stamp = boxes.stamp_ns
    write_detections(bag, BOXES, boxes)
    bag.write(f"{BOXES}/attributes", make("std_msgs/msg/String", **attributes_values(boxes)), stamp)
    markers = make("visualization_msgs/msg/MarkerArray", **marker_array_values(boxes, "ground_truth"))
    bag.write("/ground_truth/markers", markers, stamp)


def write_detections(bag: BagWriter, topic: str, boxes: Detections3D) -> None:
    """A Detection3DArray alone, at the boxes' stamp."""
    message = make("vision_msgs/msg/Detection3DArray", **detections3d_values(boxes))
    bag.write(topic, message, boxes.stamp_ns)


def write_map_shapes(bag: BagWriter, shapes: MapShapes, stamp_ns: int) -> None:
    """The latched true map as polygons and lines."""
    bag.write(MAP_SHAPES, make("std_msgs/msg/String", **map_shapes_values(shapes)), stamp_ns)


def known_boxes(boxes: Detections3D, names: Mapping[str, str]) -> Detections3D:
    """Boxes of the ten classes only, under their names there; names: the data set's category -> class."""
    category = [names.get(c, c) for c in boxes.category]
    return boxes.renamed(category).select(np.array([c in KNOWN for c in category], bool))


def from_origin(pose: Matrix, origin: NDArray[np.float64]) -> Matrix:
    """The pose in a map that begins at `origin` [3] m: float32 viewers lose centimetres at 1 km."""
    return compose(pose[:3, :3], pose[:3, 3] - origin)


def write_camera(bag: BagWriter, name: str, path: Path, k: NDArray[np.float64], stamp_ns: int) -> None:
    """A rectified JPEG file as it is, with the camera_info of its size; raises DatasetError."""
    try:
        jpeg = path.read_bytes()
        height, width = decode_picture(jpeg).shape[:2]
    except (OSError, MessageError) as err:
        raise DatasetError(f"cannot read the picture {path}: {err}") from err
    write_picture(bag, name, jpeg, CameraModel(width, height, k, np.zeros(5), "plumb_bob", f"camera_{name}", stamp_ns))


def write_picture(bag: BagWriter, name: str, jpeg: bytes, camera: CameraModel) -> None:
    """/camera/<name>/image/compressed with its camera_info, both at the camera's stamp."""
    image = compressed_image_values(jpeg, camera.frame_id, camera.stamp_ns)
    info = make("sensor_msgs/msg/CameraInfo", **camera_info_values(camera))
    bag.write(f"/camera/{name}/camera_info", info, camera.stamp_ns)
    bag.write(f"/camera/{name}/image/compressed", make("sensor_msgs/msg/CompressedImage", **image), camera.stamp_ns)


def write_pose(
    bag: BagWriter,
    map_from_base: Matrix,
    stamp_ns: int,
    linear: tuple[float, float, float] = (0.0, 0.0, 0.0),
    angular: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> None:
    """/odometry and /tf: map <- base_link."""
    odometry = Odometry(MAP_FRAME, BASE_FRAME, map_from_base, linear, angular, stamp_ns)
    bag.write("/odometry", make("nav_msgs/msg/Odometry", **odometry_values(odometry)), stamp_ns)
    transform = Transform(MAP_FRAME, BASE_FRAME, map_from_base, stamp_ns)
    bag.write("/tf", make("tf2_msgs/msg/TFMessage", **tf_values([transform])), stamp_ns)
