"""The camera overlay of a report: points fall on the pixels worked out by hand; what is missing is said by name."""

import json

import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.calibration.rig_file import CameraMount, RigFile
from perception_nodes.calibration.se3 import BODY_FROM_OPTICAL, compose
from perception_nodes.classes import POINT_CLASSES
from perception_nodes.evaluation.camera_overlay import CameraOverlay, OverlayError
from perception_nodes.evaluation.recorded import OUTPUT, POINTS, TRUTH
from perception_nodes.messages.camera_info import CameraModel, camera_info_values
from perception_nodes.messages.image import image_values
from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout
from perception_nodes.messages.transforms import Transform, tf_values
from perception_nodes.streaming.bag_calibration import bag_calibration, camera_info_topic
from perception_nodes.systems.evaluate import evaluate
from perception_nodes.viewer.camera_overlay import draw_points

START_NS = 1_700_000_000_000_000_000
SIZE = (120, 80)  # width, height
CAMERA = CameraModel(
    *SIZE, np.array([[100.0, 0, 60], [0, 100, 40], [0, 0, 1]]), np.zeros(5), "plumb_bob", "front_optical"
)
BASE_CAMERA = BODY_FROM_OPTICAL @ compose(np.eye(3), (0.0, 0.0, 0.0))
BASE_LIDAR = compose(np.eye(3), (0.0, 0.0, 1.0))  # a metre above the camera
RED = np.array([[255, 0, 0]], np.uint8)


def write_bag(path, info=True, tf=True, images=10, delay_ns=0, sweeps=False, **changes):
    """A bag of grey pictures at 10 Hz, picture i of brightness 10 i; `sweeps`: with labelled clouds."""
    with BagWriter(path) as bag:
        if sweeps:
            write_sweeps(bag, POINTS, TRUTH)
        if tf:
            links = [Transform("base_link", "front_optical", BASE_CAMERA), Transform("base_link", "lidar", BASE_LIDAR)]
            bag.write("/tf_static", make("tf2_msgs/msg/TFMessage", **tf_values(links)), START_NS + delay_ns)
        for i in range(images):
            stamp = START_NS + i * 10**8
            if info:
                values = {**camera_info_values(CAMERA), **changes}
                bag.write("/camera/front/camera_info", make("sensor_msgs/msg/CameraInfo", **values), stamp + delay_ns)
            rgb = np.full((SIZE[1], SIZE[0], 3), 10 * i, np.uint8)
            image = make("sensor_msgs/msg/Image", **image_values(rgb, "front_optical", stamp))
            bag.write("/camera/front/image_raw", image, stamp + delay_ns)
    return BagReader(path)


def write_sweeps(bag, points_topic, labels_topic):
    """Four sweeps of one car, ten metres ahead."""
    rows = [{"id": i, "name": c.name} for i, c in enumerate(POINT_CLASSES)]
    bag.write(f"{labels_topic}/classes", make("std_msgs/msg/String", data=json.dumps({"classes": rows})), START_NS)
    xyz, car = np.full((50, 3), (10, 0, 0), np.float32), [c.name for c in POINT_CLASSES].index("car")
    for i in range(4):
        stamp = START_NS + i * 10**8
        columns = {"xyz": xyz, "label": np.full(50, car, np.uint8), "score": np.ones(50, np.float32)}
        for topic in {points_topic, labels_topic}:
            bag.write(topic, make_point_cloud2(point_cloud2_layout(columns), "lidar", stamp), stamp)


def evaluated(tmp_path, **changes):
    """The results folder of an evaluation of perfect labels."""
    write_bag(tmp_path / "truth", sweeps=True, **changes).close()
    with BagWriter(tmp_path / "out") as bag:
        write_sweeps(bag, OUTPUT, OUTPUT)
    return evaluate(tmp_path / "out", tmp_path / "truth", root=tmp_path / "results")


def test_a_report_shows_the_labels_on_the_cameras_pictures(tmp_path):
    folder = evaluated(tmp_path)
    assert len(list((folder / "pictures").glob("sweep_*_front.jpg"))) == 4
    page = (folder / "report.html").read_text()
    assert page.count("<figure>") == 8 and page.count("the same labels on the camera front, +0 ms") >= 4


def test_a_report_says_once_what_the_cameras_picture_lacks(tmp_path):
    folder = evaluated(tmp_path, info=False)
    page = (folder / "report.html").read_text()
    assert page.count("<figure>") == 4 and page.count("has no calibration: no CameraInfo has come") == 1


@pytest.mark.parametrize("delay_ns", [0, 40 * 10**9])
def test_a_point_falls_on_its_pixel_of_the_nearest_picture(tmp_path, delay_ns):
    overlay = CameraOverlay(write_bag(tmp_path / "bag", delay_ns=delay_ns))
    # 10 m ahead, 2 m to the left, at the LiDAR's height: 1 m above the camera
    picture, apart_ns = overlay.draw(START_NS + 420_000_000, "lidar", np.array([[10, 2, 0]], np.float32), RED)
    assert overlay.camera == "front" and apart_ns == -20_000_000
    assert picture.shape == (80, 120, 3)
    row, column = np.unravel_index(np.argmax(picture[..., 0]), picture.shape[:2])
    assert abs(column - (60 - 100 * 2 / 10)) <= 2 and abs(row - (40 - 100 * 1 / 10)) <= 2
    assert (picture[70, 100] == 40).all()  # the fifth picture


def test_points_behind_beside_and_too_near_are_not_drawn(tmp_path):
    overlay = CameraOverlay(write_bag(tmp_path / "bag"))
    xyz = np.array([[-10, 0, 0], [10, 50, 0], [0.2, 0, -1], [500, 0, 0], [np.nan, 0, 0]], np.float32)
    picture, _ = overlay.draw(START_NS, "lidar", xyz, np.repeat(RED, 5, 0))
    assert not picture.any()


def test_nearer_points_lie_on_top_and_are_larger():
    rgb = np.zeros((50, 50, 3), np.uint8)
    pixels, depth = np.array([[25.0, 25], [25, 25], [5, 5]]), np.array([2.0, 40, 40])
    picture = draw_points(rgb, pixels, depth, np.array([[0, 200, 0], [200, 0, 0], [200, 0, 0]], np.uint8))
    assert picture[25, 25].tolist() == [0, 150, 0]
    assert (picture[..., 1] > 0).sum() > (picture[..., 0] > 0).sum() > 0


def test_a_distorted_camera_is_undistorted_before_the_points_are_drawn(tmp_path):
    bag = write_bag(tmp_path / "bag", d=np.array([0.4, 0.1, 0, 0, 0]))
    picture, _ = CameraOverlay(bag).draw(START_NS + 9 * 10**8, "lidar", np.array([[10, 2, 0]], np.float32), RED)
    row, column = np.unravel_index(np.argmax(picture[..., 0].astype(int) - picture[..., 1]), picture.shape[:2])
    assert abs(column - 40) <= 2 and abs(row - 30) <= 2
    assert (picture[0, 0] == 0).all() and (picture[40, 60] == 90).all()  # the corners come from beyond the picture


@pytest.mark.parametrize(
    ("changes", "frame", "words"),
    [
        ({"info": False}, "lidar", r"camera 'front' has no calibration: no CameraInfo"),
        ({"k": np.zeros(9)}, "lidar", "uncalibrated"),
        ({"tf": False}, "lidar", "not in the TF tree"),
        ({}, "velodyne", "'velodyne' is not in the TF tree"),
    ],
)
def test_what_is_missing_is_said(tmp_path, changes, frame, words):
    overlay = CameraOverlay(write_bag(tmp_path / "bag", **changes))
    with pytest.raises(OverlayError, match=words):
        overlay.draw(START_NS, frame, np.zeros((1, 3), np.float32), RED)


def test_no_picture_near_the_sweep_and_no_such_camera_are_said(tmp_path):
    bag = write_bag(tmp_path / "bag")
    with pytest.raises(OverlayError, match="within 0.25 s"):
        CameraOverlay(bag).draw(START_NS + 3 * 10**9, "lidar", np.zeros((1, 3), np.float32), RED)
    with pytest.raises(OverlayError, match=r"'rear'.*its cameras: front"):
        CameraOverlay(bag, "rear")


def test_a_rig_stands_in_for_a_bag_without_calibration(tmp_path):
    rig = RigFile("r", "lidar", (), (CameraMount("front", "/c", BASE_CAMERA, CAMERA),))
    overlay = CameraOverlay(write_bag(tmp_path / "bag", info=False, tf=False), rig=rig)
    picture, _ = overlay.draw(START_NS, "lidar", np.array([[10, 0, 0]], np.float32), RED)
    assert picture[40, 60, 0] > 100


def test_the_camera_info_beside_a_topic_is_found(tmp_path):
    reader = write_bag(tmp_path / "bag")
    for topic in ("/camera/front/image_raw", "/camera/front/image/compressed", "/camera/front/camera/x/y"):
        assert camera_info_topic(reader, topic) == "/camera/front/camera_info"
    assert camera_info_topic(reader, "/camera/rear/image_raw") == ""
    source = bag_calibration(reader, {"front": "/camera/front/image_raw", "rear": "/camera/rear/image_raw"})
    assert list(source.cameras()) == ["front"] and source.lookup("base_link", "lidar")[2, 3] == 1.0
