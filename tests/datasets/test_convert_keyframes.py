"""nuScenes and Argoverse 2 in bags: TF, points and boxes still agree after the round trip."""

import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.calibration.se3 import apply
from perception_nodes.calibration.tree import TransformTree
from perception_nodes.datasets.boxes_inside import points_in_boxes
from perception_nodes.datasets.convert_keyframes import convert_argoverse2, convert_nuscenes
from perception_nodes.evaluation.recorded_map import TrueMap
from perception_nodes.messages.camera_info import read_camera_info
from perception_nodes.messages.detections import read_detections3d
from perception_nodes.messages.grid import Cells, read_cells
from perception_nodes.messages.header import read_header
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


def test_the_keyframes_drivable_area_lies_under_its_vehicles(shared, tmp_path):
    convert_nuscenes(shared / "data/nuscenes_keyframe", tmp_path / "bag")
    messages = load(tmp_path / "bag")
    grid = read_cells(messages["/ground_truth/map/drivable_area"][0])
    with BagReader(tmp_path / "bag") as bag:
        truth = TrueMap(bag)
    stamp = read_header(messages["/lidar/points"][0])[1]
    # a recorded grid of 90 m around base_link: seven vehicles and the own car stand on the road, most of the rest not
    said = Cells(np.zeros((180, 180), np.int8), 0.5, (-45.0, -45.0), 0.0, "base_link", stamp)
    drivable, known = truth.beside("drivable_area", said)
    assert known.mean() > 0.99 and drivable[88:92, 86:98].all() and drivable.mean() == pytest.approx(0.2, abs=0.05)
    assert (grid.percent >= 50).mean() == pytest.approx(0.193, abs=1e-3)
    boxes = boxes_of(messages).moved("base_link", truth._calibration.lookup("base_link", "lidar"))
    vehicle = [c in ("car", "truck", "bus") for c in boxes.category]
    cells = np.floor((boxes.centre[vehicle][:, :2] + 45) / 0.5).astype(int)
    cells = cells[((cells >= 0) & (cells < 180)).all(1)]
    assert len(cells) >= 5 and drivable[cells[:, 1], cells[:, 0]].all()


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
    with BagReader(tmp_path / "bag") as bag:
        said = Cells(np.zeros((200, 200), np.int8), 0.5, (-50.0, -50.0), 0.0, "base_link", cloud.stamp_ns)
        truth = TrueMap(bag)
        drivable, crossing, divider = (truth.beside(n, said)[0] for n in ("drivable_area", "ped_crossing", "divider"))
    assert drivable[100, 100] and 0.1 < drivable.mean() < 0.6 and (crossing & drivable).sum() > 0.8 * crossing.sum() > 0
    assert (divider & drivable).sum() > 0.7 * divider.sum() > 0
    assert sorted(set(boxes.category)) == ["bus", "car", "pedestrian", "truck"] and len(boxes) == 47 - 6
