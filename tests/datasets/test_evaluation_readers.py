"""nuScenes and Argoverse 2: points, boxes and cameras in our frames, held to the data sets' own point counts."""

import json
import shutil

import numpy as np
import pytest

from perception_nodes.calibration.se3 import apply
from perception_nodes.classes import BOX_CLASSES
from perception_nodes.datasets.argoverse2 import BOX_CLASS_OF, open_argoverse_log
from perception_nodes.datasets.boxes_inside import points_in_boxes
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.datasets.nuscenes import read_nuscenes_keyframe


def test_points_in_boxes_by_hand():
    xyz = np.array([[0, 0, 0], [2, 0, 0], [2.01, 0, 0], [0, 1, 0.5], [0, 1.01, 0], [0, 0, -0.51]])
    boxes = (np.zeros((2, 3)), np.array([[4, 2, 1.0]] * 2), np.array([0, np.pi / 2]))
    assert points_in_boxes(xyz, *boxes).tolist() == [3, 3]
    assert points_in_boxes(np.array([[0, 1.9, 0]]), *boxes).tolist() == [0, 1]


def test_every_nuscenes_box_holds_its_published_number_of_points(shared):
    frame = read_nuscenes_keyframe(shared / "data/nuscenes_keyframe")
    assert len(frame.xyz) == 34_688 and len(frame.boxes) == 69 and frame.ring.max() == 31
    assert 0 <= frame.intensity.min() and 0.9 < frame.intensity.max() <= 1.0
    points, boxes = frame.upright_boxes()
    assert np.array_equal(points_in_boxes(points, boxes.centre, boxes.size, boxes.yaw), boxes.points)
    plain = points_in_boxes(frame.xyz, frame.boxes.centre, frame.boxes.size, frame.boxes.yaw)
    assert (plain == frame.boxes.points).sum() == 61  # in the LiDAR's leaning axes: the README's figure
    assert np.isnan(frame.boxes.velocity).any(axis=1).sum() == 2
    names = [c.name for c in BOX_CLASSES]
    assert sum(c not in names for c in frame.boxes.category) == 1


def test_the_nuscenes_lidar_looks_ahead_and_cameras_see_their_points(shared):
    frame = read_nuscenes_keyframe(shared / "data/nuscenes_keyframe/scene-0061_ca9a282c")
    assert frame.base_from_lidar[0, 0] > 0.99 and frame.base_from_lidar[2, 3] == pytest.approx(1.84023)
    seen = {}
    for name, camera in frame.cameras.items():
        q = apply(camera.camera_from_lidar, frame.xyz.astype(np.float64))
        ahead = q[q[:, 2] > 0]
        uv = (ahead @ camera.k.T)[:, :2] / ahead[:, 2:]
        seen[name] = int(((uv >= 0) & (uv < (camera.width, camera.height))).all(axis=1).sum())
    assert seen == {"front": 3067, "front_right": 3079, "back_right": 3379, "back": 4826, "back_left": 4097,
                    "front_left": 3704}  # fmt: skip
    assert frame.cameras["front"].rgb().shape == (900, 1600, 3)
    assert frame.drivable.shape == (200, 200) and frame.drivable.mean() == pytest.approx(0.193, abs=1e-3)
    assert frame.drivable[99:101, 99:101].all()


def test_every_argoverse_box_holds_its_published_number_of_points(shared):
    log = open_argoverse_log(shared / "data/argoverse2")
    (sweep,) = log.sweeps()
    assert len(log) == 1 and len(sweep.xyz) == 100_660 and len(np.unique(sweep.ring)) == 64
    boxes = sweep.boxes
    counts = points_in_boxes(sweep.xyz, boxes.centre, boxes.size, boxes.yaw)
    assert np.array_equal(counts, boxes.points) and counts.sum() == 17_972
    assert 0 <= sweep.time.min() and sweep.time.max() < 0.11 and sweep.intensity.max() <= 1
    assert set(BOX_CLASS_OF.values()) <= {c.name for c in BOX_CLASSES}
    speed = np.linalg.norm(boxes.velocity, axis=1)
    walking = speed[[c == "PEDESTRIAN" for c in boxes.category]]
    standing = speed[[c in ("BOLLARD", "SIGN") for c in boxes.category]]
    assert np.isfinite(speed).all() and walking.max() < 3.0 and standing.max() < 0.5


def test_broken_keyframes_and_logs_are_named(shared, tmp_path):
    with pytest.raises(DatasetError, match="holds nothing"):
        read_nuscenes_keyframe(tmp_path)
    with pytest.raises(DatasetError, match="annotations.json and sweeps"):
        open_argoverse_log(tmp_path)
    source = shared / "data/nuscenes_keyframe/scene-0061_ca9a282c"
    shutil.copytree(source, tmp_path / "k")
    sample = json.loads((source / "sample.json").read_text())

    def refused(content, words):
        (tmp_path / "k/sample.json").chmod(0o644)
        (tmp_path / "k/sample.json").write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(DatasetError, match=words):
            read_nuscenes_keyframe(tmp_path / "k")

    (tmp_path / "k").chmod(0o755)
    refused("{", "not JSON")
    refused({"format": "other"}, "not of the format")
    refused({k: v for k, v in sample.items() if k != "boxes"}, "KeyError 'boxes'")
    refused({**sample, "lidar": {**sample["lidar"], "ego_to_global": [[1] * 4] * 4}}, "not a rigid transform")
    refused({**sample, "lidar": {**sample["lidar"], "file": "gone.bin"}}, "cannot read the sweep")
