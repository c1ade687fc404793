"""Sessions of small random models: every combination of sensors and heads, masks, frames, refusals."""

import math

import numpy as np
import pytest
import torch

from models.bevfusion.build import build_network
from models.bevfusion.calibration import CameraCalibration, matrices_of
from models.bevfusion.geometry import depth_images
from models.bevfusion.images import ImageGeometry
from models.bevfusion.network import CameraInput, LidarInput
from models.bevfusion.results import NEW, OLD, bev_map, detections
from models.bevfusion.session import BevFusionSession
from models.bevfusion.voxelise import VoxelGrid, voxelise
from tests.bevfusion.small import facts, rig, scene

COMBINATIONS = [
    ("camera", "lidar", "object"), ("camera", "lidar", "map"), ("camera", "lidar", "object", "map"),
    ("camera", "object"), ("camera", "map"), ("lidar", "object"), ("lidar", "map"),
]  # fmt: skip


def session(*parts, **options):
    found = facts(*parts)
    return BevFusionSession(build_network(found, seed=0), found, runtime="torch", **options)


@pytest.mark.parametrize("parts", COMBINATIONS, ids="-".join)
def test_every_combination_of_sensors_and_heads_answers(parts):
    found = session(*parts)
    images, points = scene()
    answer = found.step(images, points, rig())
    assert not found.facts.trained and answer.masked == ()
    assert (answer.detections is not None) == ("object" in parts)
    assert (answer.map is not None) == ("map" in parts)
    if answer.detections is not None:
        assert answer.detections.classes[0] == "car" and len(answer.detections.classes) == 10
        assert (np.diff(answer.detections.score) <= 0).all()
    if answer.map is not None:
        assert answer.map.classes[0] == "drivable_area" and answer.map.probability.shape[0] == 6
        assert 0 <= answer.map.probability.min() <= answer.map.probability.max() <= 1
    again = session(*parts).step(images, points, rig())
    if answer.map is not None:
        np.testing.assert_array_equal(again.map.probability, answer.map.probability)


def test_the_session_computes_what_the_network_does():
    found = session("camera", "lidar", "object", "map", x_forward=False)
    images, points = scene(1)
    cameras = rig()
    answer = found.step(images, points, cameras)
    network, geometry = found.network, found.geometry
    matrices = matrices_of(cameras, geometry, False)
    pictures = torch.stack(
        [
            geometry.picture(i, torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225]))
            for i in images.values()
        ]
    )
    low, high = np.float32(found.facts.point_range[:3]), np.float32(found.facts.point_range[3:])
    inside = points[((points[:, :3] > low) & (points[:, :3] < high)).all(1)]
    depth = depth_images([torch.from_numpy(inside)], matrices, geometry.size)
    feats, coords = voxelise(inside, VoxelGrid((*low.tolist(), *high.tolist()), (0.1, 0.1, 0.2), 10, 5000))
    maps = network.lidar.maps(np.column_stack([coords, np.zeros(len(coords), np.int32)]))
    with torch.inference_mode():
        expected = network(CameraInput(pictures[None], matrices, depth), LidarInput(torch.from_numpy(feats), maps))
        ((boxes, scores, labels),) = network.objects.decode(expected.objects)
    assert answer.used_points == len(inside)
    np.testing.assert_allclose(answer.map.probability, expected.map[0].numpy(), atol=1e-4)
    order = scores.argsort(descending=True)
    np.testing.assert_allclose(answer.detections.score, scores[order].numpy(), atol=1e-4)
    np.testing.assert_allclose(answer.detections.centre[0, :2], boxes[order[0], :2].numpy(), atol=1e-3)


def test_a_missing_camera_is_masked_and_adds_nothing():
    images, points = scene()
    found = session("camera", "map")
    whole = found.step(images, None, rig())
    builds = found.network.camera.transform.pool.builds
    part = {k: v for k, v in images.items() if k != "camera1"}
    masked = found.step(part, None, rig())
    assert masked.masked == ("camera1",) and found.network.camera.transform.pool.builds == builds == 1
    two = {k: v for k, v in rig().items() if k != "camera1"}
    alone = session("camera", "map").step(part, None, two)
    np.testing.assert_allclose(masked.map.probability, alone.map.probability, atol=1e-5)
    again = found.step(images, None, rig())
    np.testing.assert_allclose(again.map.probability, whole.map.probability, atol=1e-6)


def test_a_moved_camera_leaves_nothing_behind_in_the_pooled_map():
    images, _ = scene()
    found = session("camera", "map")
    found.step(images, None, rig(3))
    moved = dict(zip(images, list(rig(4).values())[:3]))
    expected = session("camera", "map").step(images, None, moved)
    np.testing.assert_array_equal(found.step(images, None, moved).map.probability, expected.map.probability)


def test_a_fused_model_goes_on_with_one_sensor():
    images, points = scene()
    found = session("camera", "lidar", "object")
    assert found.step({}, points, rig()).masked == ("camera0", "camera1", "camera2")
    assert found.step({}, points, {}).masked == ()
    assert found.step(images, None, rig()).used_points == 0
    with pytest.raises(ValueError, match="nothing to look at: it needs an image or points"):
        found.step({}, None, rig())


def test_turning_the_points_frame_turns_the_answer():
    _, points = scene()
    turned = points.copy()
    turned[:, 0], turned[:, 1] = points[:, 1], -points[:, 0]  # the same scene with x forward
    theirs = session("lidar", "object", "map", x_forward=False).step({}, points, {})
    ours = session("lidar", "object", "map", x_forward=True).step({}, turned, {})
    np.testing.assert_allclose(ours.detections.score, theirs.detections.score, atol=1e-6)
    np.testing.assert_allclose(ours.detections.centre[:, 0], theirs.detections.centre[:, 1], atol=1e-4)
    np.testing.assert_allclose(ours.detections.centre[:, 1], -theirs.detections.centre[:, 0], atol=1e-4)
    heading = np.exp(1j * (ours.detections.yaw - theirs.detections.yaw))
    np.testing.assert_allclose(heading, np.exp(-0.5j * math.pi), atol=1e-4)
    assert theirs.map.origin == (-12.0, -10.0) and ours.map.origin == (-10.0, -12.0)
    np.testing.assert_allclose(ours.map.probability[:, 3, 5], theirs.map.probability[:, -6, 3], atol=1e-6)


def test_cameras_see_the_same_in_either_frame():
    turn = np.eye(4)
    turn[:2, :2] = [[0, -1], [1, 0]]
    cameras = rig()
    theirs = {k: CameraCalibration.build(c.intrinsics, turn @ c.points_from_camera, c.size) for k, c in cameras.items()}
    geometry = ImageGeometry((64, 96), 120)
    a, b = matrices_of(cameras, geometry, True), matrices_of(theirs, geometry, False)
    torch.testing.assert_close(a.lidar_from_camera, b.lidar_from_camera)
    torch.testing.assert_close(a.raw_from_lidar, b.raw_from_lidar)


def test_boxes_become_the_houses_boxes():
    row = torch.tensor([[1.0, 2.0, -1.0, 2.0, 4.0, 1.5, -math.pi / 2, 3.0, 0.5]])  # heads along +x of the network
    score, label = torch.tensor([0.5]), torch.tensor([3])
    old = detections(row, score, label, ("a", "b", "c", "d"), OLD, x_forward=False)
    np.testing.assert_allclose(old.centre, [[1, 2, -0.25]])
    np.testing.assert_allclose(old.size, [[4, 2, 1.5]])
    np.testing.assert_allclose(old.yaw, [0.0], atol=1e-6)
    forward = detections(row, score, label, ("a", "b", "c", "d"), OLD, x_forward=True)
    np.testing.assert_allclose(forward.centre, [[2, -1, -0.25]])
    np.testing.assert_allclose(forward.velocity, [[0.5, -3.0]])
    np.testing.assert_allclose(forward.yaw, [-math.pi / 2], atol=1e-6)
    new = detections(row, score, label, ("a", "b", "c", "d"), NEW, x_forward=False)
    np.testing.assert_allclose(new.size, [[2, 4, 1.5]])
    np.testing.assert_allclose(new.yaw, [-math.pi / 2], atol=1e-6)
    with pytest.raises(ValueError, match="convention"):
        detections(row, score, label, ("a",), "kitti", x_forward=False)


def test_a_map_turns_with_its_frame():
    plain = np.zeros((1, 4, 2), np.float32)
    plain[0, 3, 0] = 1.0  # x 3.5 (right), y -0.5 (behind)
    found = bev_map(plain, ("road",), [[0.0, 4.0, 1.0], [-1.0, 1.0, 1.0]], x_forward=True)
    assert found.probability.shape == (1, 2, 4) and found.origin == (-1.0, -4.0)
    row, column = np.argwhere(found.probability[0])[0]
    assert (found.origin[0] + row + 0.5, found.origin[1] + column + 0.5) == (-0.5, -3.5)


def test_the_released_crop_of_a_nuscenes_picture():
    geometry = ImageGeometry((256, 704), 768)
    expected = np.array([[0.48, 0, 0, -32], [0, 0.48, 0, -176], [0, 0, 1, 0], [0, 0, 0, 1]])
    np.testing.assert_allclose(geometry.matrix(900, 1600), expected, atol=1e-6)
    image = np.zeros((900, 1600, 3), np.uint8)
    image[-1, :, 0] = image[-2, :, 0] = 255
    picture = geometry.picture(image, torch.zeros(3), torch.ones(3))
    assert picture.shape == (3, 256, 704) and picture[0, -1].min() > 0.8 and picture[1].max() == 0


@pytest.mark.parametrize("size", [(480, 640), (256, 704), (1080, 1920), (300, 2000)])
def test_any_picture_fills_the_networks_picture(size):
    geometry = ImageGeometry((256, 704), 768)
    white = geometry.picture(np.full((*size, 3), 255, np.uint8), torch.zeros(3), torch.ones(3))
    assert white.shape == (3, 256, 704) and white.min() == 1.0


def test_contradictions_are_refused_by_one_sentence():
    images, points = scene()
    found = session("camera", "lidar", "object")
    with pytest.raises(ValueError, match="camera0: its image is 90 x 160 px .* its calibration says 900 x 1600"):
        found.step(images, points, rig(size=(900, 1600)))
    with pytest.raises(ValueError, match="camera2 has an image but no calibration"):
        found.step(images, points, rig(2))
    with pytest.raises(ValueError, match="expected uint8"):
        found.step({"camera0": images["camera0"][..., 0]}, points, rig())
    with pytest.raises(ValueError, match=r"expected \[N, 5\]"):
        found.step(images, points[:, :4], rig())


def test_a_calibration_that_is_none_is_refused():
    k = np.diag([100.0, 100.0, 1.0])
    with pytest.raises(ValueError, match="not a rigid motion"):
        CameraCalibration.build(k, np.diag([2.0, 1, 1, 1]), (90, 160))
    with pytest.raises(ValueError, match="focal"):
        CameraCalibration.build(np.zeros((3, 3)), np.eye(4), (90, 160))
    with pytest.raises(ValueError, match="shape"):
        CameraCalibration.build(np.eye(4), np.eye(4), (90, 160))


def test_stray_points_do_no_harm():
    _, points = scene()
    found = session("lidar", "map")
    plain = found.step({}, points, {}).map.probability
    stray = np.array([[np.nan, 0, 0, 1, 0], [np.inf, 0, 0, 1, 0], [1e6, 0, 0, 1, 0]], np.float32)
    np.testing.assert_array_equal(found.step({}, np.concatenate([points, stray]), {}).map.probability, plain)
    assert found.step({}, stray, {}).used_points == 0
