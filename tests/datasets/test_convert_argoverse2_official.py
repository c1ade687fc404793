"""Argoverse 2's official layout (feather files) in a bag, on a tiny generated log whose answer is known by hand."""

import json

import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.calibration.se3 import apply, from_euler, to_quaternion
from perception_nodes.datasets.boxes_inside import points_in_boxes
from perception_nodes.datasets.convert_keyframes import convert_argoverse2
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.evaluation.recorded_boxes import TRUTH, boxes_by_stamp
from perception_nodes.evaluation.recorded_poses import RecordedPoses
from perception_nodes.messages.image import encode_jpeg
from perception_nodes.messages.map_shapes import read_map_shapes
from perception_nodes.messages.point_cloud import decode_point_cloud2
from perception_nodes.streaming.bag_calibration import bag_calibration
from perception_nodes.streaming.bag_inputs import camera_topics

feather = pytest.importorskip("pyarrow.feather", reason="pyarrow is absent; type: pip install pyarrow")
pa = pytest.importorskip("pyarrow")

STAMPS = [315_973_157_900_000_000 + i * 100_000_000 for i in range(3)]
CAR_CITY, CAR_SPEED = np.array([1020.0, 505.0, 0.8]), np.array([3.0, 0.0])
BASE_FROM_CAMERA = np.array([[0, 0, 1, 1.6], [-1, 0, 0, 0], [0, -1, 0, 1.4], [0, 0, 0, 1.0]])


def city_from_base(i):
    return from_euler(0, 0, 0.5, (1000.0 + 0.4 * i, 500.0, 0.0))


def table(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    feather.write_feather(pa.table({k: [row[k] for row in rows] for k in rows[0]}), path)


def pose(matrix, **more):
    names = ("qx", "qy", "qz", "qw", "tx_m", "ty_m", "tz_m")
    return {**dict(zip(names, [*to_quaternion(matrix), *matrix[:3, 3]])), **more}


@pytest.fixture
def log(tmp_path):
    folder, rng = tmp_path / "log", np.random.default_rng(0)
    boxes = []
    for i, stamp in enumerate(STAMPS):
        place = np.append(CAR_CITY[:2] + CAR_SPEED * 0.1 * i, CAR_CITY[2])
        base_from_city = np.linalg.inv(city_from_base(i))
        centre = apply(base_from_city, place[None])[0]
        xyz = centre + rng.uniform(-0.4, 0.4, (20, 3))
        sweep = pa.table({
            **{c: pa.array(xyz[:, j].astype(np.float16)) for j, c in enumerate("xyz")},
            "intensity": pa.array(np.full(20, 51, np.uint8)), "laser_number": pa.array(np.arange(20, dtype=np.uint8)),
            "offset_ns": pa.array(np.arange(20, dtype=np.int32) * 1000),
        })  # fmt: skip
        (folder / "sensors/lidar").mkdir(parents=True, exist_ok=True)
        feather.write_feather(sweep, folder / f"sensors/lidar/{stamp}.feather")
        matrix = from_euler(0, 0, -0.5, centre)
        common = {"timestamp_ns": stamp, "length_m": 4.5, "width_m": 1.9, "height_m": 1.6, "num_interior_pts": 20}
        boxes.append(pose(matrix, track_uuid="car", category="REGULAR_VEHICLE", **common))
        boxes.append(pose(from_euler(0, 0, 0, (5, 5, 1)), track_uuid="sign", category="SIGN", **common))
        picture = folder / f"sensors/cameras/ring_front_center/{stamp - 20_000_000}.jpg"
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(encode_jpeg(np.full((60, 80, 3), 99, np.uint8)))
    table(folder / "annotations.feather", boxes)
    poses = [pose(city_from_base(i), timestamp_ns=s) for i, s in enumerate(STAMPS)]
    table(folder / "city_SE3_egovehicle.feather", poses[::-1])  # in no order
    mounts = [pose(BASE_FROM_CAMERA, sensor_name="ring_front_center")]
    mounts.append(pose(from_euler(0, 0, 0, (1.35, 0, 1.64)), sensor_name="up_lidar"))
    table(folder / "calibration/egovehicle_SE3_sensor.feather", mounts)
    lens = {"sensor_name": "ring_front_center", "fx_px": 70.0, "fy_px": 71.0, "cx_px": 40.0, "cy_px": 30.0, "k1": -0.2}
    table(folder / "calibration/intrinsics.feather", [lens])
    xyz = lambda rows: [{"x": x, "y": y, "z": 0.0} for x, y in rows]  # noqa: E731
    lane = {"left_lane_mark_type": "SOLID_WHITE", "left_lane_boundary": xyz([(990, 502), (1030, 502)]),
            "right_lane_mark_type": "NONE", "right_lane_boundary": xyz([(990, 498), (1030, 498)])}  # fmt: skip
    crossing = {"edge1": xyz([(1005, 495), (1005, 505)]), "edge2": xyz([(1008, 495), (1008, 505)])}
    content = {
        "drivable_areas": {"1": {"area_boundary": xyz([(990, 490), (1030, 490), (1030, 510), (990, 510)])}},
        "pedestrian_crossings": {"2": crossing},
        "lane_segments": {"3": lane, "4": lane},
    }  # fmt: skip
    (folder / "map").mkdir()
    (folder / "map/log_map_archive_x.json").write_text(json.dumps(content))
    return folder


def test_a_log_in_a_bag(log, tmp_path):
    done = convert_argoverse2(log, tmp_path / "bag")
    assert (done.sweeps, done.pictures, done.poses, done.remarks) == (3, 3, 6, ())
    with BagReader(tmp_path / "bag") as bag:
        read = lambda topic: [bag.decode(m.raw, m.type) for m in bag.messages([topic])]  # noqa: E731
        calibration, poses = bag_calibration(bag, camera_topics(bag)), RecordedPoses(bag)
        boxes, clouds = boxes_by_stamp(bag, TRUTH), [decode_point_cloud2(m) for m in read("/lidar/points")]
        shapes = read_map_shapes(read("/ground_truth/map/shapes")[0])
    assert sorted(boxes) == STAMPS and calibration.missing("base_link", ["lidar"], ["ring_front_center"]) == {}
    assert calibration.camera("ring_front_center", (80, 60)).k[1, 1] == 71
    assert np.allclose(calibration.lookup("base_link", "camera_ring_front_center"), BASE_FROM_CAMERA)
    assert np.allclose(calibration.lookup("base_link", "lidar")[:3, 3], (1.35, 0, 1.64))
    for cloud in clouds:
        assert cloud.frame_id == "base_link"
        true = boxes[cloud.stamp_ns]
        assert true.category == ("car",)  # the sign has no counterpart
        assert points_in_boxes(cloud.xyz, true.centre, true.size, true.yaw).tolist() == [20] == true.points.tolist()
        turn = city_from_base(0)[:2, :2].T
        assert np.allclose(true.velocity[0], turn @ CAR_SPEED, atol=1e-3)
        assert cloud.intensity[0] == pytest.approx(0.2) and cloud.time.max() == pytest.approx(19e-6)
    middle = poses.at(STAMPS[1] - 20_000_000)  # of the second picture: between two poses
    assert middle[0, 3] - poses.at(STAMPS[0])[0, 3] == pytest.approx(0.4 * 0.8, abs=1e-6)
    assert len(shapes.lines["divider"]) == 1  # painted, and only once
    to_map = poses.at(STAMPS[0])[:2, 3] - city_from_base(0)[:2, 3]
    assert np.allclose(shapes.polygons["drivable_area"][0][0].mean(0), (1010, 500) + to_map, atol=0.01)
    ring = shapes.polygons["ped_crossing"][0][0]
    area = 0.5 * abs(np.dot(ring[:, 0], np.roll(ring[:, 1], 1)) - np.dot(ring[:, 1], np.roll(ring[:, 0], 1)))
    assert area == pytest.approx(30)  # 3 x 10 m, not a bow tie


def test_a_test_log_without_annotations_has_no_boxes(log, tmp_path):
    (log / "annotations.feather").unlink()
    (log / "map/log_map_archive_x.json").unlink()
    assert convert_argoverse2(log, tmp_path / "bag").remarks == ("the log has no map",)
    with BagReader(tmp_path / "bag") as bag:
        assert [len(b) for b in boxes_by_stamp(bag, TRUTH).values()] == [0, 0, 0]


def test_what_cannot_be_read_is_named(log, tmp_path):
    (log / "calibration/intrinsics.feather").write_bytes(b"not arrow")
    with pytest.raises(DatasetError, match="cannot read .*intrinsics.feather"):
        convert_argoverse2(log, tmp_path / "bag")
    table(log / "calibration/intrinsics.feather", [{"sensor_name": "ring_front_center"}])
    with pytest.raises(DatasetError, match="fx_px, fy_px, cx_px, cy_px is missing"):
        convert_argoverse2(log, tmp_path / "bag")
    (log / "calibration/intrinsics.feather").unlink()
    with pytest.raises(DatasetError, match="intrinsics.feather was expected"):
        convert_argoverse2(log, tmp_path / "bag")
    assert not (tmp_path / "bag").exists()
