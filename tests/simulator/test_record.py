"""A recorded drive holds every topic, aligned and readable, and the same drive is the same bag."""

import hashlib

import numpy as np
import pytest

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.classes import BOX_CLASSES, MAP_CLASSES, POINT_CLASSES
from perception_nodes.messages.camera_info import read_camera_info
from perception_nodes.messages.class_table import read_class_table
from perception_nodes.messages.clock import read_events
from perception_nodes.messages.detections import read_detections3d
from perception_nodes.messages.grid import read_cells, read_grid
from perception_nodes.messages.image import decode_image
from perception_nodes.messages.map_shapes import read_map_shapes
from perception_nodes.messages.odometry import read_odometry
from perception_nodes.messages.point_cloud import decode_point_cloud2
from perception_nodes.messages.transforms import read_transforms
from perception_nodes.simulator.drive import Drive
from perception_nodes.simulator.record import START_NS, simulate
from perception_nodes.simulator.rigs import rig
from perception_nodes.simulator.topics import frame_boxes

PER_FRAME = (
    "/tf", "/odometry", "/lidar/points", "/ground_truth/segmentation", "/ground_truth/boxes",
    "/ground_truth/boxes/attributes", "/ground_truth/markers", "/ground_truth/events",
    "/camera/front/image/compressed", "/camera/front/camera_info",
)  # fmt: skip


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    out = tmp_path_factory.mktemp("bags") / "drive"
    return simulate("suburb_day", "vlp16", 4, 0.3, out, image_width=160, quiet=True)


@pytest.fixture(scope="module")
def messages(bag):
    found: dict[str, list] = {}
    with BagReader(bag) as reader:
        for topic, type_name, stamp, raw in reader.messages():
            found.setdefault(topic, []).append((stamp, reader.decode(raw, type_name)))
    return found


def test_every_topic_is_there_once_a_frame(messages):
    for topic in PER_FRAME:
        stamps = [stamp for stamp, _ in messages[topic]]
        assert stamps == [START_NS + i * 10**8 for i in range(3)], topic
    assert len(messages["/tf_static"]) == 1


def test_ground_truth_labels_align_with_the_points(messages):
    for (_, cloud), (_, truth) in zip(messages["/lidar/points"], messages["/ground_truth/segmentation"]):
        points = decode_point_cloud2(cloud)
        assert truth.width * truth.height == cloud.width * cloud.height == len(points.xyz) > 5000
        assert [f.name for f in cloud.fields] == ["x", "y", "z", "intensity", "ring", "time"]
        assert [f.name for f in truth.fields] == ["label", "instance"]
        assert truth.header.stamp == cloud.header.stamp and truth.header.frame_id == cloud.header.frame_id == "lidar"
        labels = np.asarray(truth.data).reshape(-1, truth.point_step)[:, 0]
        assert set(labels) <= set(range(len(POINT_CLASSES))) | {255}
        assert points.intensity.min() >= 0 and points.intensity.max() <= 1


def test_transforms_are_the_rigs_and_the_drives(messages):
    links = {(t.parent, t.child): t.parent_from_child for t in read_transforms(messages["/tf_static"][0][1])}
    it = rig("vlp16")
    assert np.allclose(links["base_link", "lidar"], it.lidar.base_from_lidar, atol=1e-9)
    assert np.allclose(links["base_link", "camera_front"], it.cameras[0].base_from_camera, atol=1e-9)
    (moving,) = read_transforms(messages["/tf"][0][1])
    odometry = read_odometry(messages["/odometry"][0][1])
    assert (moving.parent, moving.child) == ("map", "base_link")
    assert np.allclose(moving.parent_from_child, odometry.parent_from_child)


def test_pictures_and_their_calibration_agree(messages):
    image = decode_image(messages["/camera/front/image/compressed"][0][1])
    model = read_camera_info(messages["/camera/front/camera_info"][0][1])
    assert image.size == (model.width, model.height) == (160, 90)
    assert image.frame_id == model.frame_id == "camera_front"
    assert model.k[0, 0] == pytest.approx(910.0 / 8) and not model.distorted


def test_boxes_map_events_and_class_tables_can_be_read(messages):
    boxes = read_detections3d(messages["/ground_truth/boxes"][0][1], messages["/ground_truth/boxes/attributes"][0][1])
    assert len(boxes) > 0 and set(boxes.category) <= {c.name for c in BOX_CLASSES}
    read_events(messages["/ground_truth/events"][0][1])
    table = read_class_table(messages["/ground_truth/segmentation/classes"][0][1])
    assert [table[i].name for i in range(19)] == [c.name for c in POINT_CLASSES]
    shapes = read_map_shapes(messages["/ground_truth/map/shapes"][0][1])
    assert shapes.frame_id == "map" and set(shapes.classes()) == {c.name for c in MAP_CLASSES}
    for info in MAP_CLASSES:
        (_, message) = messages[f"/ground_truth/map/{info.name}"][0]
        grid, cells = read_grid(message), read_cells(message)
        assert grid.frame_id == "map"
        drawn = shapes.mask(info.name, grid.mask.shape, grid.resolution, cells.frame_from_grid)
        assert (drawn != grid.mask).sum() <= 0.01 * grid.mask.sum()  # points are rounded to 1 mm in the message
    assert messages["/ground_truth/markers"][0][1].markers


def test_boxes_in_base_stand_where_they_are_in_the_map():
    with Drive("suburb_day", "vlp16", 4, cameras=False, seconds=0.1) as drive:
        frame = next(drive)
    boxes = frame_boxes(frame, 0)
    ego = frame.snapshot.ego.map_from_base
    back = boxes.centre @ ego[:3, :3].T + ego[:3, 3]
    assert np.allclose(back, [b.centre for b in frame.boxes], atol=1e-6)
    speed = np.linalg.norm(boxes.velocity, axis=1)
    assert np.allclose(speed, [np.hypot(*b.velocity) for b in frame.boxes])


def test_a_nuscenes_bag_has_each_picture_at_its_moment_with_tf_and_exact_calibration(tmp_path):
    path = simulate("suburb_day", "nuscenes", 4, 0.2, tmp_path / "drive", image_width=64, quiet=True)
    stamps: dict[str, list[int]] = {}
    links, order = {}, []
    with BagReader(path) as reader:
        for topic, type_name, stamp, raw in reader.messages():
            stamps.setdefault(topic, []).append(stamp)
            order.append(stamp)
            if topic == "/tf_static":
                message = reader.decode(raw, type_name)
                links = {t.child: t.parent_from_child for t in read_transforms(message)}
    assert order == sorted(order)
    sweeps = stamps["/lidar/points"]
    assert sweeps == [START_NS + i * 50_000_000 for i in range(4)]
    it = rig("nuscenes", 4)
    for spec in it.cameras:
        shots = stamps[f"/camera/{spec.name}/image/compressed"]
        assert shots == [START_NS + i * 50_000_000 - round(spec.delay * 1e9) for i in (0, 2)]
        assert shots == stamps[f"/camera/{spec.name}/camera_info"] and set(shots) <= set(stamps["/tf"])
        assert np.allclose(links[f"camera_{spec.name}"], spec.base_from_camera, atol=1e-9)
    assert np.allclose(links["lidar"], it.lidar.base_from_lidar, atol=1e-9)
    assert not np.allclose(links["lidar"], rig("nuscenes").lidar.base_from_lidar, atol=1e-4)
    assert stamps["/tf_static"][0] <= order[0] and set(sweeps) <= set(stamps["/tf"])


def test_the_same_drive_is_the_same_bag(tmp_path):
    digests = set()
    for name, threads in (("a", 1), ("b", 2)):
        path = simulate("random", "vlp16", 9, 0.2, tmp_path / name, cameras=False, threads=threads, quiet=True)
        hasher = hashlib.sha256()
        with BagReader(path) as reader:
            for topic, _, stamp, raw in reader.messages():
                hasher.update(topic.encode() + str(stamp).encode() + bytes(raw))
        digests.add(hasher.hexdigest())
    assert len(digests) == 1


def test_nothing_is_left_where_a_drive_cannot_be_made(tmp_path):
    with pytest.raises(KeyError, match="suburb_day"):
        simulate("moonbase", out=tmp_path / "x", quiet=True)
    with pytest.raises(ValueError, match=r"0\.1 s"):
        simulate("suburb_day", seconds=0.0, out=tmp_path / "x", quiet=True)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there").mkdir()
    with pytest.raises(BagError, match="exists"):
        simulate("suburb_day", "vlp16", 4, 0.1, tmp_path / "there", cameras=False, quiet=True)
    assert [p.name for p in tmp_path.iterdir()] == ["there"]
