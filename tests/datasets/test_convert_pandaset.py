"""PandaSet in a bag: points, classes, boxes and cameras agree through the bag's own transforms."""

import json
import shutil

import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.calibration.se3 import apply
from perception_nodes.classes import IGNORE, POINT_CLASSES
from perception_nodes.datasets.boxes_inside import points_in_boxes
from perception_nodes.datasets.convert_pandaset import LANES, convert_pandaset
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.evaluation.recorded_boxes import TRUTH, boxes_by_stamp
from perception_nodes.evaluation.recorded_poses import RecordedPoses
from perception_nodes.messages.cloud_fields import read_layout
from perception_nodes.messages.map_shapes import read_map_shapes
from perception_nodes.messages.point_cloud import decode_point_cloud2
from perception_nodes.streaming.bag_calibration import bag_calibration
from perception_nodes.streaming.bag_inputs import camera_topics


@pytest.fixture
def two_frames(shared, tmp_path):
    source, folder = shared / "data/pandaset_002", tmp_path / "pandaset"
    for number in ("20", "45"):  # standing and moving
        (folder / "frames" / number).mkdir(parents=True)
        for file in (source / "frames" / number).iterdir():
            shutil.copyfile(file, folder / "frames" / number / file.name)
    for name in ("calibration.json", "classes.json", "lanes.json"):
        shutil.copyfile(source / name, folder / name)
    return folder


def test_boxes_points_classes_and_cameras_agree_in_the_bag(two_frames, tmp_path):
    done = convert_pandaset(two_frames, tmp_path / "bag")
    assert (done.sweeps, done.pictures, done.labels) == (2, 12, 2)
    with BagReader(tmp_path / "bag") as bag:
        topics = camera_topics(bag)
        calibration, poses = bag_calibration(bag, topics), RecordedPoses(bag)
        assert sorted(topics) == ["back", "front", "front_left", "front_right", "left", "right"]
        assert calibration.missing("base_link", ["lidar"], topics) == {}
        boxes = boxes_by_stamp(bag, TRUTH)
        read = lambda topic: [bag.decode(m.raw, m.type) for m in bag.messages([topic])]  # noqa: E731
        clouds = [decode_point_cloud2(m) for m in read("/lidar/points")]
        labels = [np.asarray(read_layout(m).column("label"), np.uint8) for m in read("/ground_truth/segmentation")]
        lanes = read_map_shapes(read(LANES)[0])
        base_from_lidar = calibration.lookup("base_link", "lidar")
        camera = calibration.cameras()["front"]
        camera_from_base = calibration.lookup("camera_front", "base_link")
    assert [len(line) > 10 for line in lanes.lines["lane"]] == [True] * 3
    names = [c.name for c in POINT_CLASSES]
    for cloud, label in zip(clouds, labels):
        assert len(label) == len(cloud) and 0.3 < (label != IGNORE).mean() < 1 and -0.11 < cloud.time.min() < -0.09
        xyz, true = apply(base_from_lidar, cloud.xyz.astype(np.float64)), boxes[cloud.stamp_ns]
        inside = points_in_boxes(xyz, true.centre, true.size, true.yaw)
        assert np.abs(inside - true.points).sum() < 0.05 * true.points.sum()  # boxes stand upright in the world
        cars = xyz[label == names.index("car")]
        car = np.array([c == "car" for c in true.category])
        assert points_in_boxes(cars, true.centre[car], true.size[car], true.yaw[car]).sum() > 0.9 * len(cars)
        road = xyz[(label == names.index("road")) & (np.abs(xyz[:, :2]).max(1) < 8)]
        assert -0.6 < np.median(road[:, 2]) < -0.2  # the vehicle frame is 0.3 m above the road; the road has a camber
        ahead = apply(camera_from_base, xyz)
        pixels, depth = camera.project(ahead)
        seen = (depth > 0) & (pixels >= 0).all(1) & (pixels < (960, 540)).all(1)
        assert 5_000 < seen.sum() < 40_000
    assert len(poses) == 14
    moved = [np.linalg.norm(b.velocity[np.isfinite(b.velocity).all(1)], axis=1) for b in boxes.values()]
    assert all((speed < 25).all() and (speed > 3).any() for speed in moved)


def test_a_folder_that_is_none_is_named(two_frames, tmp_path):
    with pytest.raises(DatasetError, match=r"expected calibration.json"):
        convert_pandaset(tmp_path, tmp_path / "bag")
    classes = json.loads((two_frames / "classes.json").read_text())
    (two_frames / "classes.json").write_text(json.dumps({k: v for k, v in classes.items() if "semantic" not in k}))
    with pytest.raises(DatasetError, match="semantic_to_semantickitti"):
        convert_pandaset(two_frames, tmp_path / "bag")
    (two_frames / "classes.json").write_text(json.dumps(classes))
    (two_frames / "frames/45/LIDAR.npz").write_bytes(b"PK")
    with pytest.raises(DatasetError, match="cannot read the sweep"):
        convert_pandaset(two_frames, tmp_path / "bag")
    assert not (tmp_path / "bag").exists()
