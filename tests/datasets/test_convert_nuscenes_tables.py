"""nuScenes' official table layout in a bag: poses, points, boxes, velocities, map and tokens, known by hand."""

import json

import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.calibration.se3 import apply, invert
from perception_nodes.datasets.boxes_inside import points_in_boxes
from perception_nodes.datasets.convert_nuscenes_tables import RACKS, TOKENS, convert_nuscenes_scene
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.datasets.nuscenes_tables import BOX_CLASS_OF, NuScenesTables
from perception_nodes.evaluation.nuscenes_protocol import CLASS_RANGE_M
from perception_nodes.evaluation.recorded_boxes import TRUTH, boxes_by_stamp
from perception_nodes.evaluation.recorded_poses import RecordedPoses
from perception_nodes.messages.map_shapes import read_map_shapes
from perception_nodes.messages.point_cloud import decode_point_cloud2
from perception_nodes.streaming.bag_calibration import bag_calibration
from perception_nodes.streaming.bag_inputs import camera_topics
from tests.datasets.nuscenesmaker import CAR_VELOCITY, CAR_YAW, ORIGIN, TIMES, YAW, car_centre, ego_pose, make_tables


def test_a_scene_in_a_bag(tmp_path):
    done = convert_nuscenes_scene(make_tables(tmp_path / "data"), tmp_path / "bag")
    assert (done.sweeps, done.pictures, done.poses) == (3, 3, 6) and done.remarks == ("3 boxes on 2 keyframes",)
    with BagReader(tmp_path / "bag") as bag:
        read = lambda topic: [bag.decode(m.raw, m.type) for m in bag.messages([topic])]  # noqa: E731
        calibration, poses = bag_calibration(bag, camera_topics(bag)), RecordedPoses(bag)
        boxes, racks = boxes_by_stamp(bag, TRUTH), boxes_by_stamp(bag, RACKS)
        clouds = [decode_point_cloud2(m) for m in read("/lidar/points")]
        tokens, shapes = [m.data for m in read(TOKENS)], read_map_shapes(read("/ground_truth/map/shapes")[0])
        assert bag.note_table("map_origin")["location"] == "tiny-town"
    first, last = TIMES[0] * 1000, TIMES[2] * 1000
    assert sorted(boxes) == [first, last] and tokens == ["s0", "s1"] and len(racks[first]) == 1
    assert calibration.missing("base_link", ["lidar"], ["front"]) == {}
    assert calibration.camera("front", (160, 90)).k[0, 0] == 120  # the size is that of the picture's file
    # the LiDAR looks ahead, and its points lie in the car's box
    base_from_lidar = calibration.lookup("base_link", "lidar")
    assert np.allclose(base_from_lidar, [[1, 0, 0, 0.9], [0, 1, 0, 0], [0, 0, 1, 1.8], [0, 0, 0, 1]], atol=1e-6)
    for cloud in (clouds[0], clouds[2]):
        true = boxes[cloud.stamp_ns].select(np.array([c == "car" for c in boxes[cloud.stamp_ns].category]))
        xyz = apply(base_from_lidar, cloud.xyz.astype(np.float64))
        assert points_in_boxes(xyz, true.centre, true.size, true.yaw).tolist() == [9]
        assert cloud.intensity[0] == pytest.approx(0.2) and cloud.ring.max() == 8
    # poses and boxes, by hand
    assert np.allclose(poses.at(last)[:3, 3], ego_pose(TIMES[2])[:3, 3] - ego_pose(TIMES[0] - 20_000)[:3, 3])
    car, walker = boxes[first].category.index("car"), boxes[first].category.index("pedestrian")
    base_from_map = invert(ego_pose(TIMES[0]))
    assert np.allclose(boxes[first].centre[car], apply(base_from_map, car_centre(TIMES[0])[None])[0], atol=1e-6)
    assert boxes[first].yaw[car] == pytest.approx(CAR_YAW - YAW) and boxes[first].size[car].tolist() == [4.5, 2.0, 1.6]
    expected = base_from_map[:2, :2] @ CAR_VELOCITY
    assert np.allclose(boxes[first].velocity[car], expected, atol=1e-3)
    assert np.isnan(boxes[first].velocity[walker]).all()  # one annotation alone
    assert boxes[first].attribute == ("vehicle.moving", "") and boxes[first].points.tolist() == [10, 10]
    assert boxes[first].visibility.tolist() == [0.9, 0.2]
    # the map: what is near, with its hole
    assert len(shapes.polygons["drivable_area"]) == len(shapes.lines["divider"]) == 1 and not shapes.polygons["walkway"]
    assert np.allclose(shapes.polygons["drivable_area"][0][1].mean(0), 0, atol=0.1)
    assert np.allclose(shapes.polygons["drivable_area"][0][0][0] + ORIGIN[:2], (390, 1090), atol=0.1)


def test_absent_sweeps_and_map_are_remarks(tmp_path):
    root = make_tables(tmp_path / "data")
    for file in (root / "sweeps").rglob("*.*"):
        file.unlink()
    (root / "maps/expansion/tiny-town.json").unlink()
    done = convert_nuscenes_scene(root, tmp_path / "bag", "scene-0001")
    assert (done.sweeps, done.pictures) == (2, 2)
    assert "2 of 6 files are absent" in done.remarks[1] and "map expansion pack" in done.remarks[2]


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DatasetError, match="v1.0-mini, v1.0-trainval"):
        NuScenesTables(tmp_path)
    root = make_tables(tmp_path / "data")
    with pytest.raises(DatasetError, match="no scene scene-9999: choose one of scene-0001"):
        convert_nuscenes_scene(root, tmp_path / "bag", "scene-9999")

    def broken(name, change, words):
        path = root / "v1.0-mini" / f"{name}.json"
        kept = path.read_text()
        path.write_text(change(kept))
        with pytest.raises(DatasetError, match=words):
            convert_nuscenes_scene(root, tmp_path / "bag")
        path.write_text(kept)

    broken("ego_pose", lambda text: "{", "not JSON")
    broken("ego_pose", lambda text: "{}", "a list of rows")
    broken("ego_pose", lambda text: "[]", "KeyError")
    broken("category", lambda text: json.dumps([]), "annotations of sample")
    broken("sample_annotation", lambda text: text.replace("sample_token", "x"), "lacks 'sample_token'")
    for file in (root / "samples/LIDAR_TOP").iterdir():
        file.write_bytes(b"12345")
    with pytest.raises(DatasetError, match="take 20 each"):
        convert_nuscenes_scene(root, tmp_path / "bag")
    assert set(BOX_CLASS_OF.values()) == set(CLASS_RANGE_M)
