"""bevfusion-lite: geometry of the lift, pillars, masks, the temporal shift, the session and its refusals."""

import numpy as np
import pytest
import torch

from models.bevfusion.calibration import CameraCalibration
from models.bevfusion.images import ImageGeometry
from models.bevfusion.lite.decode import APART, apart, decode_boxes
from models.bevfusion.lite.depth_bins import FOCAL, DepthBins
from models.bevfusion.lite.fused_build import PRESETS, build_network, config, facts_of, preset_facts
from models.bevfusion.lite.lift import camera_cells, lift_association
from models.bevfusion.lite.past import warped
from models.bevfusion.lite.pillars import PillarEncoder
from models.bevfusion.lite.session import LiteSession
from models.bevfusion.open import open_bev
from models.bevfusion.pool.association import Grid
from models.errors import ModelError
from tests.bevfusion.small import rig, scene

GRID = Grid((-12.8, 12.8, 0.8), (-12.8, 12.8, 0.8), (-5.0, 3.0, 8.0))


@pytest.fixture(scope="module")
def session():
    found = preset_facts("bevfusion-lite-tiny")
    return LiteSession(build_network(found, seed=0), found, runtime="torch", threads=1)


def lively(network):
    """Random running statistics, so that eval mode is not an identity."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.copy_(torch.randn(module.running_mean.shape, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)
    return network


@pytest.mark.parametrize("focal", [80.0, 160.0])
def test_a_frustum_point_lies_where_the_cameras_geometry_says(focal):
    geometry, bins = ImageGeometry((64, 96), 96), DepthBins(2.0, 80.0, 48, 0.5)
    forward = np.array([[0.0, 0, 1, 0.5], [-1, 0, 0, 0.2], [0, -1, 0, -0.3], [0, 0, 0, 1]])
    k = [[focal, 0, 48.0], [0, focal, 32.0], [0, 0, 1]]
    camera = CameraCalibration.build(k, forward, (64, 96))
    cells = camera_cells([camera], geometry, bins, GRID)
    assert cells.shape == (1, 48, 12, 8, 3)
    metres = float(bins.centres()[3]) * focal / FOCAL  # depth is canonical: the same class is nearer at a short focal
    u, v = 7 * 8 + 3.5, 2 * 8 + 3.5
    point = forward @ np.array([(u - 48) / focal * metres, (v - 32) / focal * metres, metres, 1])
    expected = np.floor((point[:3] - (-12.8, -12.8, -5)) / (0.8, 0.8, 8.0))
    np.testing.assert_array_equal(cells[0, 3, 7, 2], expected)


def test_pooling_puts_a_ray_into_the_cells_ahead_of_its_camera():
    geometry, bins = ImageGeometry((64, 96), 96), DepthBins(2.0, 80.0, 48, 0.5)
    camera = rig(1, (64, 96))["camera0"]
    association = lift_association([[camera]], geometry, bins, GRID)
    x = association.cells // 32
    assert len(association) and (x * 0.8 - 12.8 >= -0.8).all()  # all of it in front of the LiDAR


def test_pillars_are_the_same_in_training_code_and_in_the_pass_of_the_session():
    grid = Grid((-12.8, 12.8, 0.4), (-12.8, 12.8, 0.4), (-5.0, 3.0, 8.0))
    encoder = lively(PillarEncoder(grid, 8).eval())
    _, points = scene(points=2000)
    expected = encoder(torch.from_numpy(points), torch.zeros(len(points), dtype=torch.long), 1)
    found = encoder.infer(points).reshape(64, 64, 8)
    np.testing.assert_allclose(found, expected[0].permute(1, 2, 0).detach().numpy(), atol=1e-4)
    assert (found != 0).any(-1).sum() > 500 and not encoder.infer(points[:0]).any()


def test_pillars_of_several_samples_do_not_mix():
    encoder = PillarEncoder(GRID, 4).eval()
    _, points = scene(points=300)
    both = torch.from_numpy(np.concatenate([points[:100], points[100:]]))
    sample = torch.tensor([0] * 100 + [1] * 200)
    together = encoder(both, sample, 2)
    alone = encoder(both[:100], sample[:100], 1)
    torch.testing.assert_close(together[:1], alone)


def test_a_missing_camera_and_a_missing_lidar_are_maps_of_zeros(session):
    images, points = scene(size=(64, 96))
    cameras = rig(3, (64, 96))
    session.reset()
    every = session.step(images, points, cameras)
    fewer = session.step({k: v for k, v in images.items() if k != "camera1"}, points, cameras)
    assert every.masked == () and fewer.masked == ("camera1",)
    assert not np.array_equal(every.map.probability, fewer.map.probability)
    alone = session.step({}, points, cameras)
    same = session.step({}, points, {})
    np.testing.assert_array_equal(alone.map.probability, same.map.probability)
    blind = session.step(images, None, cameras)
    empty = session.step(images, points[:0], cameras)
    np.testing.assert_array_equal(blind.map.probability, empty.map.probability)
    assert blind.used_points == 0 < alone.used_points


def test_the_order_of_the_cameras_does_not_matter(session):
    images, points = scene(size=(64, 96))
    cameras = rig(3, (64, 96))
    one = session.step(images, points, cameras)
    other = session.step(images, points, dict(reversed(cameras.items())))
    np.testing.assert_allclose(one.map.probability, other.map.probability, atol=1e-5)


def test_the_shift_is_off_without_motion_and_forgets_at_a_reset(session):
    images, points = scene(size=(64, 96))
    other = scene(5, size=(64, 96))[1]
    cameras = rig(3, (64, 96))
    session.reset()
    first = session.step(images, points, cameras, np.eye(4)).map.probability  # nothing is kept yet
    np.testing.assert_array_equal(session.step(images, points, cameras).map.probability, first)
    session.step(images, other, cameras)
    with_past = session.step(images, points, cameras, np.eye(4)).map.probability
    assert np.abs(with_past - first).max() > 1e-6 and session.cache_bytes == 2 * 32 * 32 * 4
    session.step(images, other, cameras)
    session.reset()
    np.testing.assert_array_equal(session.step(images, points, cameras, np.eye(4)).map.probability, first)


def test_the_past_moves_against_the_vehicle():
    past = torch.zeros(1, 1, 32, 32)
    past[0, 0, 20, 10] = 1.0
    ahead = np.eye(4)
    ahead[0, 3] = -1.6  # the vehicle went two cells ahead: what was at x is at x - 1.6 m now
    moved = warped(past, ahead, GRID)
    assert moved[0, 0, 18, 10] == pytest.approx(1.0, abs=1e-4) and moved.sum() == pytest.approx(1.0, abs=1e-3)
    turned = np.eye(4)
    turned[:2, :2] = [[0, 1], [-1, 0]]  # the vehicle turned left by 90 degrees: what was ahead is on the right
    x, y = -12.8 + 20.5 * 0.8, -12.8 + 10.5 * 0.8
    cell = (round((y + 12.8) / 0.8 - 0.5), round((-x + 12.8) / 0.8 - 0.5))
    assert warped(past, turned, GRID)[0, 0][cell] == pytest.approx(1.0, abs=1e-3)


def test_the_session_computes_what_the_network_does(session):
    from models.bevfusion.pool import bev_pool

    images, points = scene(3, size=(64, 96))
    cameras = rig(3, (64, 96))
    session.reset()
    answer = session.step(images, points, cameras)
    net, facts = session.network, session.facts
    mean, std = torch.tensor(facts.image["mean"]), torch.tensor(facts.image["std"])
    pictures = torch.stack([session.geometry.picture(i, mean, std) for i in images.values()])
    with torch.inference_mode():
        depth, context = net.lift(pictures)
        association = lift_association([list(cameras.values())], session.geometry, net.lift.bins, net.coarse)
        pooled = bev_pool(depth, context.reshape(-1, net.lift.channels), association)
        cloud = torch.from_numpy(points)
        found = net.bev(net.pillars(cloud, torch.zeros(len(points), dtype=torch.long), 1), pooled, *net.no_past(1))
    np.testing.assert_allclose(answer.map.probability, found.map.sigmoid()[0].numpy(), atol=1e-5)
    boxes = decode_boxes(net.boxes.split(found.boxes), net.coarse, session.classes[0])
    np.testing.assert_allclose(answer.detections.centre, boxes.centre, atol=1e-3)


def test_the_boxes_are_the_peaks_of_the_heatmap_best_first():
    grid = Grid((-12.8, 12.8, 0.8), (-12.8, 12.8, 0.8), (-5.0, 3.0, 8.0))
    torch.manual_seed(0)
    maps = {name: torch.randn(1, n, 32, 32) for name, n in
            {"heatmap": 10, "reg": 2, "height": 1, "dim": 3, "rot": 2, "vel": 2}.items()}  # fmt: skip
    heat = maps["heatmap"]
    peaks = torch.where(torch.nn.functional.max_pool2d(heat, 3, 1, 1) == heat, heat, -99.0).flatten()
    value, best = peaks.topk(200)
    label, x, y = best // 1024, best % 1024 // 32, best % 32
    centre = torch.stack([x, y], 1) + maps["reg"][0][:, x, y].T
    kept = apart((centre * 0.8 - 12.8).numpy(), label.numpy())
    found = decode_boxes(maps, grid, tuple("abcdefghij"))
    np.testing.assert_array_equal(found.label, label.numpy()[kept])
    np.testing.assert_allclose(found.score, value.sigmoid().numpy()[kept], rtol=1e-6)
    np.testing.assert_allclose(found.centre[:, :2], (centre * 0.8 - 12.8).numpy()[kept], atol=1e-4)


def test_pictures_are_filled_into_the_input_as_the_definition_says():
    geometry, mean, std = ImageGeometry((32, 48), 64), np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.3, 0.4])
    rgb = np.random.default_rng(0).integers(0, 256, (40, 64, 3), np.uint8)
    out = np.full((3, 32, 48), 7, np.float32)
    geometry.fill(rgb, mean.astype(np.float32), std.astype(np.float32), out)
    expected = geometry.picture(rgb, torch.tensor(mean).float(), torch.tensor(std).float())
    np.testing.assert_allclose(out, expected, atol=1e-5)
    twice = np.kron(rgb, np.ones((2, 2, 1), np.uint8))  # halved, each area is one value
    geometry.fill(twice, mean.astype(np.float32), std.astype(np.float32), again := np.empty_like(out))
    np.testing.assert_allclose(again, out, atol=1e-6)
    narrow = np.full((64, 16, 3), 255, np.uint8)  # as tall as it must be, 16 columns wide after shrinking to 64 x 64
    ImageGeometry((64, 48), 8).fill(narrow, np.zeros(3, np.float32), np.ones(3, np.float32),
                                    wide := np.full((3, 64, 48), 7, np.float32))  # fmt: skip
    assert (wide[:, :, :16] == 1).all() and (wide[:, :, 16:] == 0).all()


def test_a_peak_becomes_the_box_that_it_says():
    grid = Grid((-12.8, 12.8, 0.8), (-12.8, 12.8, 0.8), (-5.0, 3.0, 8.0))
    maps = {name: torch.zeros(1, n, 32, 32) for name, n in
            {"heatmap": 10, "reg": 2, "height": 1, "dim": 3, "rot": 2, "vel": 2}.items()}  # fmt: skip
    maps["heatmap"] -= 9
    maps["heatmap"][0, 8, 20, 5] = 3.0
    maps["reg"][0, :, 20, 5] = torch.tensor([0.25, 0.75])
    maps["height"][0, 0, 20, 5] = -1.0
    maps["dim"][0, :, 20, 5] = torch.tensor([0.7, 0.6, 1.8]).log()
    maps["rot"][0, :, 20, 5] = torch.tensor([1.0, 0.0])
    maps["vel"][0, :, 20, 5] = torch.tensor([1.5, -0.5])
    found = decode_boxes(maps, grid, tuple("abcdefghij"))
    assert len(found) == 1 and found.classes[found.label[0]] == "i"
    np.testing.assert_allclose(found.centre[0], (-12.8 + 20.25 * 0.8, -12.8 + 5.75 * 0.8, -1.0), atol=1e-5)
    np.testing.assert_allclose(found.size[0], (0.7, 0.6, 1.8), rtol=1e-5)
    np.testing.assert_allclose((found.yaw[0], *found.velocity[0]), (np.pi / 2, 1.5, -0.5), atol=1e-6)


def test_worse_boxes_of_a_class_nearby_are_left_out():
    centre = np.array([[0, 0], [0.5, 0], [0.5, 0], [5, 0]], np.float32)
    assert apart(centre, np.array([0, 0, 8, 0])).tolist() == [0, 2, 3] and len(APART) == 10


def test_presets_build_and_open_by_name_and_wrong_numbers_are_refused():
    assert set(PRESETS) == {"bevfusion-lite", "bevfusion-lite-small", "bevfusion-lite-tiny"}
    found = open_bev("random:bevfusion-lite-tiny", runtime="torch", threads=1)
    assert isinstance(found, LiteSession) and not found.facts.trained and len(found.classes[1]) == 6
    broken = facts_of({**config(), "channels": "many"}, "broken")
    with pytest.raises(ModelError, match="does not fit bevfusion-lite"):
        build_network(broken)
    parameters = sum(p.numel() for p in build_network(preset_facts("bevfusion-lite")).parameters())
    assert parameters * 4 < 20e6  # weights of at most 20 MB


def test_refusals_are_one_sentence(session):
    images, points = scene(size=(64, 96))
    cameras = rig(3, (64, 96))
    with pytest.raises(ValueError, match="nothing to look at"):
        session.step({}, None, cameras)
    with pytest.raises(ValueError, match=r"expected \[N, 5\]"):
        session.step(images, points[:, :4], cameras)
    with pytest.raises(ValueError, match="no calibration"):
        session.step(images, points, {})
    with pytest.raises(ModelError, match="expected 1 or more"):
        LiteSession(session.network, session.facts, threads=0)


def test_pillars_learn_as_a_linear_layer_with_batch_norm_and_a_maximum_does():
    """Output, gradients and running statistics against the plain layers on all points."""
    from models.bevfusion.lite.pillar_kernels import FEATURES, SCALES, describe

    encoder = PillarEncoder(GRID, 4)
    _, points = scene(points=300)
    sample = torch.tensor([0] * 120 + [1] * 180)
    linear, norm = torch.nn.Linear(FEATURES, 4, bias=False), torch.nn.BatchNorm1d(4, eps=1e-3, momentum=0.01)
    linear.load_state_dict(encoder.linear.state_dict())
    low, high, step = encoder._bounds()
    parts, cells = [], []
    for b, part in enumerate((points[:120], points[120:])):
        features, cell = np.empty((len(part), FEATURES), np.float32), np.empty(len(part), np.int64)
        n = describe(part, low, high, step, 32, 32, np.array(SCALES, np.float32), features, cell)
        parts.append(features[:n])
        cells.append(cell[:n] + b * 32 * 32)
    plain = torch.relu(norm(linear(torch.from_numpy(np.concatenate(parts)))))
    cell = torch.from_numpy(np.concatenate(cells))
    expected = torch.zeros(2 * 32 * 32, 4).scatter_reduce(0, cell[:, None].expand_as(plain), plain, "amax")
    found = encoder.train()(torch.from_numpy(points), sample, 2)
    torch.testing.assert_close(found, expected.view(2, 32, 32, 4).permute(0, 3, 1, 2), atol=1e-4, rtol=1e-4)
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    (found * weight).sum().backward()
    (expected * weight.permute(0, 2, 3, 1).reshape(-1, 4)).sum().backward()
    torch.testing.assert_close(encoder.linear.weight.grad, linear.weight.grad, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(encoder.norm.weight.grad, norm.weight.grad, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(encoder.norm.running_var, norm.running_var)
    assert encoder.norm.num_batches_tracked == 1
