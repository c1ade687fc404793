"""KITTI raw in its official layout becomes a bag whose geometry, stamps and points are the source's."""

import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.calibration.se3 import apply
from perception_nodes.calibration.tree import TransformTree
from perception_nodes.datasets.convert import convert_kitti_raw
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.datasets.kitti_raw import open_drive
from perception_nodes.messages.camera_info import read_camera_info
from perception_nodes.messages.detections import read_detections3d
from perception_nodes.messages.image import decode_image
from perception_nodes.messages.odometry import read_odometry
from perception_nodes.messages.point_cloud import decode_point_cloud2
from tests.datasets.kittimaker import TRACKLETS, kitti_raw, points

START = 1_317_042_145_000_000_000  # 2011-09-26 13:02:25 UTC


def read(bag, topic):
    return [(m.stamp_ns, bag.decode(m.raw, m.type)) for m in bag.messages([topic])]


def test_every_folder_level_is_recognised(tmp_path):
    date = kitti_raw(tmp_path)
    for src in (tmp_path, date, date / "2011_09_26_drive_0001_sync"):
        assert open_drive(src).name == "2011_09_26_drive_0001_sync"


def test_a_drive_becomes_a_bag(tmp_path):
    kitti_raw(tmp_path / "src")
    done = convert_kitti_raw(tmp_path / "src", tmp_path / "bag")
    assert (done.sweeps, done.pictures, done.poses, done.remarks) == (3, 6, 3, ())
    with BagReader(tmp_path / "bag") as bag:
        for i, (stamp, msg) in enumerate(read(bag, "/lidar/points")):
            cloud = decode_point_cloud2(msg)
            assert stamp == cloud.stamp_ns == START + i * 100_000_000
            assert np.array_equal(np.c_[cloud.xyz, cloud.intensity], points(i))
        pictures = read(bag, "/camera/left/image/compressed")
        assert [s for s, _ in pictures] == [START + i * 100_000_000 + 7 for i in range(3)]  # exact to the ns
        decoded = decode_image(pictures[1][1])
        assert decoded.frame_id == "camera_left" and abs(int(decoded.rgb[10, 10, 0]) - 50) <= 2
        model = read_camera_info(read(bag, "/camera/left/camera_info")[0][1])
        assert model.k[0].tolist() == [40, 0, 30.5] and (model.width, model.height) == (62, 38)
        tree = TransformTree()
        tree.add_message(read(bag, "/tf_static")[0][1])
        assert tree.frames() == ["base_link", "camera_left", "camera_right", "lidar"]
        # P_rect's fourth column: camera 0 stands 0.1 m right of the left camera, 0.4 m left of the right one.
        left, right = (tree.lookup(f"camera_{n}", "lidar")[:3, 3] for n in ("left", "right"))
        np.testing.assert_allclose(left, [0.1, -0.08, -0.27], atol=1e-12)
        np.testing.assert_allclose(right, [-0.4, -0.08, -0.27], atol=1e-12)
        ego = [read_odometry(m) for _, m in read(bag, "/odometry")]
        np.testing.assert_allclose(
            [o.parent_from_child[:3, 3] for o in ego], [[0, 0, 0], [1, 0, 0], [2, 0, 0]], atol=1e-4
        )
        assert ego[0].linear == (10.0, 0.0, 0.0) and ego[0].angular[2] == pytest.approx(0.1)


def test_lidar_alone_is_a_bag_too(tmp_path):
    import shutil

    date = kitti_raw(tmp_path / "src", oxts=False, right=False)
    shutil.rmtree(date / "2011_09_26_drive_0001_sync/image_02")
    done = convert_kitti_raw(date, tmp_path / "bag", storage="sqlite3", compression="zstd")
    assert done.pictures == 0 and len(done.remarks) == 2 and "LiDAR alone" in done.remarks[0]
    with BagReader(tmp_path / "bag") as bag:
        assert set(bag.topics()) == {"/lidar/points", "/tf_static"}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda d, v: (d / "calib_velo_to_cam.txt").unlink(), "no calib_velo_to_cam.txt; .*calib.zip"),
        (lambda d, v: (d / "calib_velo_to_cam.txt").write_text("R: 1 2 3\n"), "R has 3 numbers; 9 numbers were"),
        (lambda d, v: (d / "calib_velo_to_cam.txt").write_text("T: 1 2 3\n"), "entry R is absent"),
        (lambda d, v: (d / "calib_velo_to_cam.txt").write_text("R: " + "1 " * 9 + "\nT: 0 0 0"), "not a rotation"),
        (lambda d, v: (d / "calib_cam_to_cam.txt").unlink(), "cannot read the calibration"),
        (lambda d, v: (v / "velodyne_points/timestamps.txt").unlink(), "cannot read the stamps"),
        (lambda d, v: (v / "velodyne_points/timestamps.txt").write_text("2011-09-26 13:00:00.0\n"), "has 1 lines"),
        (lambda d, v: (v / "velodyne_points/timestamps.txt").write_text("a\nb\nc\n"), "'a' is not a stamp"),
        (lambda d, v: (v / "velodyne_points/data/0000000001.bin").write_bytes(b"x" * 17), "17 bytes"),
        (lambda d, v: (v / "image_02/data/0000000001.png").write_bytes(b"\x89PNG"), "cannot read the picture"),
        (lambda d, v: (v / "oxts/data/0000000001.txt").write_text("1 2 3"), "holds 3 values"),
    ],
)
def test_a_broken_drive_is_named_and_leaves_no_bag(tmp_path, spoil, words):
    date = kitti_raw(tmp_path / "src")
    spoil(date, date / "2011_09_26_drive_0001_sync")
    with pytest.raises(DatasetError, match=words):
        convert_kitti_raw(tmp_path / "src", tmp_path / "out" / "bag")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_the_wrong_folder_says_what_it_holds_and_what_was_expected(tmp_path):
    with pytest.raises(DatasetError, match="there is no folder"):
        convert_kitti_raw(tmp_path / "none", tmp_path / "bag")
    (tmp_path / "photos").mkdir()
    with pytest.raises(DatasetError, match="holds photos; a KITTI raw folder holds DATE/calib_cam_to_cam.txt"):
        convert_kitti_raw(tmp_path, tmp_path / "bag")
    (tmp_path / "2011_09_26/2011_09_26_drive_0001_extract").mkdir(parents=True)
    with pytest.raises(DatasetError, match="unsynchronised"):
        convert_kitti_raw(tmp_path, tmp_path / "bag")


def test_several_drives_are_listed_until_one_is_chosen(tmp_path):
    import shutil

    date = kitti_raw(tmp_path, frames=1, oxts=False, right=False)
    shutil.copytree(date / "2011_09_26_drive_0001_sync", date / "2011_09_26_drive_0005_sync")
    with pytest.raises(DatasetError, match="2 drives; choose one by its name: .*0001_sync, .*0005_sync"):
        open_drive(tmp_path)
    assert open_drive(tmp_path, "0005").name.endswith("0005_sync")


def test_the_real_drive_converts_whole_and_projects_onto_its_pictures(shared, tmp_path):
    done = convert_kitti_raw(shared / "data/kitti_raw", tmp_path / "bag")
    assert (done.sweeps, done.pictures) == (36, 36)
    with BagReader(tmp_path / "bag") as bag:
        assert bag.duration_s == pytest.approx(3.5)
        first = next(bag.messages(["/lidar/points"]))
        cloud = decode_point_cloud2(bag.decode(first.raw, first.type))
        assert 111_732 <= len(cloud) <= 114_278 and cloud.finite.all() and 0 <= cloud.intensity.min() <= 1
        tree = TransformTree()
        tree.add_message(read(bag, "/tf_static")[0][1])
        model = read_camera_info(read(bag, "/camera/left/camera_info")[0][1])
        pixels, depth = model.project(apply(tree.lookup("camera_left", "lidar"), cloud.xyz.astype(np.float64)))
        inside = (depth > 0) & (pixels >= 0).all(axis=1) & (pixels < (model.width, model.height)).all(axis=1)
        assert 15_187 <= inside.sum() <= 16_974  # the data's own check: points of a sweep inside the image
        camera = tree.lookup("base_link", "camera_left")[:3, 3]
        assert 0.9 < camera[0] < 1.2 and abs(camera[1]) < 0.15 and 1.6 < camera[2] < 1.72


def test_tracklets_become_boxes_that_stand_on_their_bottom(tmp_path):
    drive = kitti_raw(tmp_path / "src") / "2011_09_26_drive_0001_sync"
    (drive / "tracklet_labels.xml").write_text(TRACKLETS)
    convert_kitti_raw(drive, tmp_path / "bag")
    with BagReader(tmp_path / "bag") as bag:
        boxes = [read_detections3d(m) for _, m in read(bag, "/ground_truth/boxes")]
        assert [b.category for b in boxes] == [(), ("car",), ("car",)] and boxes[1].track == ("1",)
        np.testing.assert_allclose(boxes[2].centre, [[11, 1, -0.7]])
        np.testing.assert_allclose(boxes[2].size, [[5, 1.8, 2]])
        assert boxes[1].yaw[0] == pytest.approx(0.5) and boxes[1].stamp_ns == START + 100_000_000
        assert "/ground_truth/boxes/classes" in bag.topics() and "/ground_truth/markers" in bag.topics()
    for text in ("<a>", TRACKLETS.replace("<h>2</h>", "<h>tall</h>"), TRACKLETS.replace("<h>2</h>", "")):
        (drive / "tracklet_labels.xml").write_text(text)
        with pytest.raises(DatasetError, match="cannot read the tracklets"):
            convert_kitti_raw(drive, tmp_path / "other")
