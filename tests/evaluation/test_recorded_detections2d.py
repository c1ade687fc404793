"""True 3D boxes seen through a camera, and recorded 2D boxes of a bag scored against them."""

import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.recorded_detections2d import (
    OUTPUT,
    TRUTH,
    evaluate_detections2d,
    evaluate_recorded,
    picture_box,
    seen_by,
)
from perception_nodes.evaluation.scorer import Recording
from perception_nodes.messages.camera_info import CameraModel, camera_info_values
from perception_nodes.messages.detections import Detections3D, attributes_values, detections3d_values
from perception_nodes.messages.detections2d import Detections2D, detections2d_values
from perception_nodes.messages.transforms import Transform, tf_values

START, STEP = 10**9, 10**8
CAMERA = CameraModel(
    400, 200, np.array([[200.0, 0, 199.5], [0, 200.0, 99.5], [0, 0, 1]]), np.zeros(5), "plumb_bob", "camera_front"
)
CAMERA_FROM_BASE = np.array([[0, -1, 0, 0], [0, 0, -1, 1.0], [1, 0, 0, 0], [0, 0, 0, 1]], float)  # 1 m above ground


def boxes(stamp, *rows):
    """rows (category, x, y, visibility): boxes of 2 m with their middle 1 m above ground."""
    n = len(rows)
    return Detections3D.build(
        "base_link", stamp, [(x, y, 1.0) for _, x, y, _ in rows], np.full((n, 3), 2.0), np.zeros(n),
        [c for c, *_ in rows], track=range(n), visibility=[v for *_, v in rows],
    )  # fmt: skip


def test_a_box_ahead_is_seen_where_the_pinhole_puts_its_near_face():
    seen = seen_by(CAMERA, boxes(START, ("car", 11, 0, 1.0), ("barrier", 9, 0, 1.0)), CAMERA_FROM_BASE)
    # near face at 10 m, one metre to each side: 20 px about the middle of the picture
    assert np.allclose(seen.box, [[180, 80, 220, 120]]) and seen.label.tolist() == [0] and seen.track.tolist() == [0]


def test_boxes_behind_beside_and_across_the_camera():
    seen = seen_by(CAMERA, boxes(START, ("bus", -5, 0, 1.0), ("car", 11, 30, 1.0)), CAMERA_FROM_BASE)
    assert len(seen.box) == 0
    across = seen_by(CAMERA, boxes(START, ("bus", 0.5, 2, 1.0)), CAMERA_FROM_BASE)
    assert across.box[0, 0] == 0 and across.box[0, 3] == 200  # fills the left side down to the lower edge
    assert picture_box(np.full((8, 3), -1.0), CAMERA) is None


def written(folder, found, truth, frame="camera_front"):
    with BagWriter(folder / "truth") as bag:
        link = Transform("base_link", "camera_front", np.linalg.inv(CAMERA_FROM_BASE), START)
        bag.write("/tf_static", make("tf2_msgs/msg/TFMessage", **tf_values([link])), START)
        for true in truth:
            stamp = true.stamp_ns
            info = camera_info_values(CAMERA)
            info["header"] = {"frame_id": "camera_front", "stamp": {"sec": stamp // 10**9, "nanosec": stamp % 10**9}}
            bag.write("/camera/front/camera_info", make("sensor_msgs/msg/CameraInfo", **info), stamp)
            bag.write(TRUTH, make("vision_msgs/msg/Detection3DArray", **detections3d_values(true)), stamp)
            bag.write(f"{TRUTH}/attributes", make("std_msgs/msg/String", **attributes_values(true)), stamp)
    with BagWriter(folder / "out") as bag:
        for stamp, rows in found.items():
            box, category, score = zip(*rows) if rows else ((), (), ())
            said = Detections2D.build(frame, stamp, (400, 200), box, category, score)
            bag.write(OUTPUT, make("vision_msgs/msg/Detection2DArray", **detections2d_values(said)), stamp)
    return BagReader(folder / "out"), BagReader(folder / "truth")


def test_recorded_boxes_are_scored_against_what_the_camera_could_see(tmp_path):
    truth, found = [], {}
    for i in range(6):
        stamp = START + i * STEP
        truth.append(boxes(stamp, ("car", 11, 0, 1.0), ("pedestrian", 11, 4, 0.1)))  # the person is hidden
        rows = [((180, 80, 220, 120), "car", 0.9)]
        found[stamp] = rows if i < 3 else []
    out = evaluate_detections2d(*written(tmp_path, found, truth))
    assert out["boxes"] == {"car": 6, "truck": 0, "bus": 0, "two-wheeler": 0, "person": 0}
    assert out["map"] == out["map50"] == round(51 / 101, 4) and out["pictures"] == 6
    assert out["by_motion"]["slow"]["boxes"] == 6 and out["cameras"] == ["camera_front"]


def test_pictures_beside_the_stamps_of_the_truth_are_scored_with_the_nearest_one(tmp_path):
    truth = [boxes(START + i * STEP, ("car", 11, 0, 1.0)) for i in range(4)]
    found = {START + i * STEP + 20_000_000: [((180, 80, 220, 120), "car", 0.9)] for i in range(4)}
    out = evaluate_detections2d(*written(tmp_path, found, truth))
    assert (out["pictures"], out["boxes"]["car"], out["stamps_apart_ms"]) == (4, 4, 20.0)


def test_pictures_far_from_every_truth_give_no_score_and_no_error(tmp_path):
    found = {START + 400_000_000: [((180, 80, 220, 120), "car", 0.9)]}
    out, truth = written(tmp_path, found, [boxes(START, ("car", 11, 0, 1.0))])
    scored = evaluate_recorded(Recording(out, truth, tmp_path, 1))
    assert scored.metrics is None and "no true boxes within 60 ms" in scored.pictures[0][1]


def test_bags_that_do_not_belong_together_are_told_apart(tmp_path):
    truth = [boxes(START, ("car", 11, 0, 1.0))]
    with pytest.raises(EvaluationError, match="Give the bag that was replayed"):
        (tmp_path / "a").mkdir()
        evaluate_detections2d(*written(tmp_path / "a", {START + 60 * 10**9: []}, truth))
    with pytest.raises(EvaluationError, match="no camera_info of the camera 'camera_rear'"):
        (tmp_path / "b").mkdir()
        evaluate_detections2d(*written(tmp_path / "b", {START: []}, truth, frame="camera_rear"))
    with pytest.raises(EvaluationError, match="classes without ground truth: tram"):
        (tmp_path / "c").mkdir()
        evaluate_detections2d(*written(tmp_path / "c", {START: [((0, 0, 9, 9), "tram", 0.5)]}, truth))
