"""nuScenes and Argoverse 2 in bags: TF, points and boxes still agree after the round trip."""

import numpy as np

from perception_nodes.bags.reader import BagReader
from perception_nodes.calibration.se3 import apply
from perception_nodes.calibration.tree import TransformTree
from perception_nodes.datasets.boxes_inside import points_in_boxes
from perception_nodes.datasets.convert_keyframes import convert_argoverse2, convert_nuscenes
from perception_nodes.messages.camera_info import read_camera_info
from perception_nodes.messages.detections import read_detections3d
from perception_nodes.messages.point_cloud import decode_point_cloud2
from perception_nodes.messages.transforms import read_transforms


def load(path):
    with BagReader(path) as bag:
        return {t: [bag.decode(m.raw, m.type) for m in bag.messages([t])] for t in bag.topics()}


def boxes_of(messages):
    return read_detections3d(messages["/ground_truth/boxes"][0], messages["/ground_truth/boxes/attributes"][0])


def test_a_nuscenes_keyframe_in_a_bag(shared, tmp_path):
    done = convert_nuscenes(shared / "data/nuscenes_keyframe", tmp_path / "bag")
    assert (done.sweeps, done.pictures) == (1, 6)
    messages = load(tmp_path / "bag")
    cloud, boxes = decode_point_cloud2(messages["/lidar/points"][0]), boxes_of(messages)
    assert len(cloud) == 34_688 and cloud.ring.max() == 31 and len(boxes) == 68  # one box is of no known class
    inside = points_in_boxes(cloud.xyz, boxes.centre, boxes.size, boxes.yaw)
    assert (inside == boxes.points).sum() >= 60
    tree = TransformTree()
    tree.add_message(messages["/tf_static"][0])
    poses = {t.stamp_ns: t for m in messages["/tf"] for t in read_transforms(m)}
    assert len(poses) == 7  # the sweep's and each camera's stamp: the ego moves between them
    model = read_camera_info(messages["/camera/front/camera_info"][0])
    tree.add(poses[cloud.stamp_ns])
    points = apply(tree.lookup("map", "lidar"), cloud.xyz.astype(np.float64))
    tree.add(poses[model.stamp_ns])
    pixels, depth = model.project(apply(tree.lookup("camera_front", "map"), points))
    assert ((depth > 0) & (pixels >= 0).all(axis=1) & (pixels < (1600, 900)).all(axis=1)).sum() == 3067


def test_an_argoverse_log_in_a_bag(shared, tmp_path):
    done = convert_argoverse2(shared / "data/argoverse2", tmp_path / "bag")
    assert done.sweeps == 1 and "no pictures" in done.remarks[0]
    messages = load(tmp_path / "bag")
    cloud, boxes = decode_point_cloud2(messages["/lidar/points"][0]), boxes_of(messages)
    assert cloud.frame_id == "base_link"
    tree = TransformTree()
    tree.add_message(messages["/tf_static"][0])
    np.testing.assert_allclose(tree.lookup("base_link", "lidar")[:3, 3], (1.35, 0, 1.64))
    assert len(cloud) == 100_660 and 0.1 < cloud.time.max() < 0.11
    assert np.array_equal(points_in_boxes(cloud.xyz, boxes.centre, boxes.size, boxes.yaw), boxes.points)
    assert sorted(set(boxes.category)) == ["bus", "car", "pedestrian", "truck"] and len(boxes) == 47 - 6
