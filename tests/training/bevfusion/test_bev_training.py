"""Training of bevfusion-lite: frames of the world, augmentation, targets, losses, steps, resuming, scores, release."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.bevfusion.lite.decode import decode_boxes
from models.bevfusion.lite.network import LiteOutputs
from models.bevfusion.pool.association import Grid
from models.errors import ModelError
from models.facts import load_network
from training.bevfusion.augment import BevAugment, augmented, moved_masks
from training.bevfusion.evaluate import main as evaluate
from training.bevfusion.frames import BOX_NAMES, Moment, read_world, world_path, worlds_in, write_world
from training.bevfusion.generate import map_around
from training.bevfusion.loss import LossWeights, heat_loss, lite_loss, map_loss
from training.bevfusion.paste import PasteConfig, pasted
from training.bevfusion.scores import score
from training.bevfusion.targets import box_targets, draw, gaussian_radius
from training.bevfusion.trainer import BevTrainConfig, BevTrainer, answer
from training.common.loop import Limits, train
from training.common.trainee import OptimiserConfig

GRID = Grid((-12.8, 12.8, 0.8), (-12.8, 12.8, 0.8), (-5.0, 3.0, 8.0))
STILL = BevAugment(turn=0.0, scale=(1.0, 1.0), shift=0.0, mirror=0.0, keep=1.0)
SMALL = BevTrainConfig(
    steps=3, channels=8, edge=12.8, batch=2, validation_worlds=1, augment=STILL,
    optimiser=OptimiserConfig(lr=5e-3, warmup=0.0, clip=35.0),
)  # fmt: skip


def moment(seed=0, points=400):
    """A car ahead on the left that drives away, a person on the right; a road of 10 m along x."""
    rng = np.random.default_rng(seed)
    cloud = rng.uniform((-12, -12, -2, 0, 0), (12, 12, 1, 255, 0.05), (points, 5)).astype(np.float32)
    boxes = np.array([[8.1, 3.3, -1.0, 4.5, 1.9, 1.6, 0.3, 5.0, 1.0], [2.0, -6.0, -1, 0.6, 0.7, 1.8, -2.0, 0, 0]])
    masks = np.zeros((6, 200, 200), np.uint8)
    masks[0, :, 90:110] = 1
    return Moment(cloud, boxes.astype(np.float32), np.array([0, 8]), np.array([30, 4]), masks)


@pytest.fixture
def frames(tmp_path):
    for split, seed in (("train", 1), ("train", 2), ("val", 900_000), ("test", 950_000)):
        write_world(world_path(tmp_path / "frames", split, seed), [moment(seed), moment(seed + 1)], {"seed": seed})
    return tmp_path / "frames"


def test_a_world_comes_back_as_it_was_written(frames):
    (path, _) = worlds_in(frames, "train")
    first, _ = read_world(path)
    np.testing.assert_allclose(first.points[:, :3], moment(1).points[:, :3], atol=0.003)
    np.testing.assert_allclose(first.points[:, 4], moment(1).points[:, 4], atol=6e-4)
    np.testing.assert_array_equal(first.boxes, moment(1).boxes)
    np.testing.assert_array_equal(first.masks, moment(1).masks)
    assert first.count.tolist() == [30, 4] and not list(frames.rglob("*.part"))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ModelError, match="delete it and generate it again"):
        read_world(path)
    with pytest.raises(ModelError, match="training.bevfusion.generate --split train"):
        worlds_in(frames / "none", "train")


def test_augmentation_moves_points_boxes_and_map_alike():
    how = BevAugment(turn=40.0, scale=(0.9, 1.1), shift=0.5, mirror=1.0, keep=1.0)
    one = moment()
    front = one.boxes[0, :2] + 2.25 * np.array([np.cos(0.3), np.sin(0.3)])  # middle of the car's front
    marked = replace(one, points=np.array([[*front, -1.0, 7, 0.0], [*one.boxes[1, :2], -1, 8, 0]], np.float32))
    for seed in range(5):
        moved = augmented(marked, how, np.random.default_rng(seed))
        box = moved.boxes[0]
        expected = box[:2] + box[3] / 2 * np.array([np.cos(box[6]), np.sin(box[6])])
        np.testing.assert_allclose(moved.points[0, :2], expected, atol=1e-4)
        np.testing.assert_allclose(moved.points[1, :2], moved.boxes[1, :2], atol=1e-4)
        ratio = box[3] / one.boxes[0, 3]
        np.testing.assert_allclose(np.hypot(*box[7:9]), ratio * np.hypot(5, 1), rtol=1e-5)
        heading = math.atan2(1.0, 5.0) - 0.3  # of the velocity, seen from the car; mirrored
        got = math.atan2(box[8], box[7]) - box[6]
        assert math.remainder(got + heading, 2 * math.pi) == pytest.approx(0, abs=1e-4)
        assert set(np.unique(moved.masks)) <= {0, 1, 255}


def test_the_map_turns_as_the_points_do():
    masks = np.zeros((1, 200, 200), np.uint8)
    masks[0, 160, 100] = 1  # 30 m ahead
    quarter = np.array([[0.0, -1], [1, 0]])  # to the left
    moved = moved_masks(masks, quarter, np.zeros(2))
    assert moved.sum() == 1 and moved[0, 99, 160] == 1
    shifted = moved_masks(masks, np.eye(2), np.array([5.0, 0]))
    assert shifted[0, 170, 100] == 1 and (shifted[0, :10] == 255).all()


def test_the_map_around_the_vehicle_is_read_in_its_axes():
    from perception_nodes.simulator.map_masks import MapMasks

    mask = np.zeros((400, 400), bool)
    mask[300, 200] = True  # x 0.25 m, y 50.25 m of the map
    masks = MapMasks({name: mask for name in ("drivable_area", "ped_crossing", "walkway", "stop_line", "carpark_area",
                                              "divider")}, (-100.0, -100.0), 0.5)  # fmt: skip
    pose = np.eye(4)
    pose[:2, :2], pose[:2, 3] = [[0, -1], [1, 0]], (0.25, 20.0)  # looks along the map's y
    found = map_around(masks, pose)
    assert found.shape == (6, 200, 200) and found[0].sum() == 1 and found[0, 160, 100] == 1


def test_targets_mark_the_cell_and_hold_what_the_decoder_gives_back():
    one = moment()
    targets = box_targets([one], GRID)
    assert targets.heat.shape == (1, 10, 32, 32) and (targets.heat == 1).sum() == 2
    assert targets.heat[0, 0, int((8.1 + 12.8) / 0.8), int((3.3 + 12.8) / 0.8)] == 1
    maps = torch.full((1, 20, 32, 32), -9.0)
    maps[:, :10] = torch.logit(targets.heat.clamp(1e-4, 1 - 1e-4))
    maps[:, 10:].permute(0, 2, 3, 1).reshape(-1, 10)
    flat = torch.zeros(32 * 32, 10)
    flat[targets.place] = targets.values
    maps[:, 10:] = flat.view(1, 32, 32, 10).permute(0, 3, 1, 2)
    split = dict(zip(("heatmap", "reg", "height", "dim", "rot", "vel"), maps.split((10, 2, 1, 3, 2, 2), 1)))
    found = decode_boxes(split, GRID, BOX_NAMES)
    order = np.argsort(found.label)
    centre = np.column_stack([found.centre, found.size, found.yaw, found.velocity])[order][:2]
    np.testing.assert_allclose(centre, one.boxes, atol=1e-4)
    hidden = replace(one, count=np.array([0, 4]))
    assert len(box_targets([hidden], GRID).place) == 1


def test_the_gaussians_radius_follows_the_boxes_size():
    assert gaussian_radius(1, 1) == 2 and gaussian_radius(20, 10) > gaussian_radius(10, 5) > 2
    heat = np.zeros((9, 9), np.float32)
    draw(heat, 0, 4, 2)
    assert heat[0, 4] == 1 and heat[0, 5] == heat[1, 4] > heat[1, 5] > 0 and heat[3, 4] == 0


def test_the_losses_are_zero_for_what_is_right_and_leave_unknown_cells_out():
    targets = box_targets([moment()], GRID)
    right = torch.where(targets.heat == 1, 12.0, -12.0)
    assert heat_loss(right, targets.heat) < 0.01 < heat_loss(-right, targets.heat)
    masks = torch.zeros(1, 6, 8, 8, dtype=torch.uint8)
    masks[:, :, :, 4:] = 255
    logits = torch.full((1, 6, 8, 8), -12.0)
    logits[..., 4:] = 12.0
    assert map_loss(logits, masks) < 1e-6 and map_loss(-logits, masks) > 10
    outputs = LiteOutputs(torch.zeros(1, 20, 32, 32, requires_grad=True), torch.zeros(1, 6, 8, 8), torch.zeros(1))
    loss, parts = lite_loss(outputs, 10, targets, masks, LossWeights())
    assert set(parts) == {"heat", "box", "map"} and float(loss.detach()) == pytest.approx(sum(parts.values()), rel=1e-5)


def test_training_goes_down_resumes_where_it_stopped_and_is_scored_and_released(frames, tmp_path):
    settings = replace(SMALL, steps=30)
    whole = BevTrainer(settings, frames)
    before = {k: v.clone() for k, v in whole.network.state_dict().items()}
    losses = train(whole, tmp_path / "whole", Limits())
    assert len(losses) == 30 and losses[-1]["heat"] < losses[0]["heat"] and losses[-1]["map"] < losses[0]["map"]
    after = whole.network.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before if k.startswith("lift."))  # cameras are not trained
    halted = BevTrainer(settings, frames)
    for i in range(15):
        halted.step(i / 30)
    (tmp_path / "half").mkdir()
    halted.save(tmp_path / "half")
    resumed = BevTrainer(settings, frames)
    resumed.resume(tmp_path / "half")
    for i in range(15, 30):
        resumed.step(i / 30)
    for key, value in resumed.network.state_dict().items():
        torch.testing.assert_close(value, after[key], msg=key)
    checkpoint = tmp_path / "whole" / "bevfusion-lite.checkpoint.safetensors"
    assert evaluate([str(checkpoint), "--frames", str(frames), "--out", str(tmp_path / "models")]) == 0
    network, facts = load_network(tmp_path / "models" / "bevfusion-lite")
    assert facts.trained and set(facts.metrics["lidar"]) == {"map", "nds", "map_miou"}
    assert facts.network["sensors"] == ["lidar"] and facts.network["temporal"] is False
    text = (tmp_path / "models" / "bevfusion-lite" / "CARD.md").read_text()
    assert "Only the LiDAR branch" in text and "| lidar |" in text
    one = [moment()]
    found = score(lambda m: answer(network, [m]), network, [one, one], [("day", "rain"), ("night", "rain")])
    assert found["frames"] == 2 and found["boxes"]["car"] == 2
    parts = {name: (row["frames"], row["boxes"]) for name, row in found["conditions"].items()}
    assert parts == {"day": (1, 4 // 2), "night": (1, 2), "rain": (2, 4)}
    assert found["by_range"]["0-10 m"]["boxes"] == 4


def test_an_unknown_checkpoint_is_one_sentence(frames, tmp_path, capsys):
    assert evaluate([str(tmp_path / "other.checkpoint.safetensors"), "--frames", str(frames)]) == 2
    assert "is not known here; known: bevfusion-lite" in capsys.readouterr().err


@pytest.mark.slow  # compiles the world's LiDAR
def test_a_drawn_moment_holds_points_on_its_boxes():
    from training.bevfusion.generate import drawn

    (one,) = drawn(3, 1)
    assert set(np.unique((one.points[:, 4] * 1000).round())) == {0, 100} and len(one.boxes)
    for box, count in zip(one.boxes, one.count):
        c, s = np.cos(box[6]), np.sin(box[6])
        local = (one.points[one.points[:, 4] == 0][:, :3] - box[:3]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        inside = (np.abs(local) <= box[3:6] / 2 + 0.15).all(1).sum()
        assert inside >= 0.5 * count


def test_objects_are_pasted_with_their_points_onto_the_ground_and_touch_nobody():
    rng = np.random.default_rng(0)
    ground = np.zeros((4000, 5))
    ground[:, :2], ground[:, 2:4] = rng.uniform(-12, 12, (4000, 2)), (-2.0, 9.0)
    empty = Moment(ground.astype(np.float32), np.zeros((0, 9), np.float32), np.zeros(0, int), np.zeros(0, int),
                   np.zeros((6, 200, 200), np.uint8))  # fmt: skip
    boxes = np.array(
        [[8, 3, -0.5, 8, 2.5, 3, 0.5, 2, 0], [8.5, 3, -0.5, 8, 2.5, 3, 0, 0, 0], [-5, 0, 0, 8, 2, 3, 0, 0, 0]]
    )
    on = np.array([[8, 3, -0.5, 7, 0.0], [7.8, 3, 0.5, 7, 0.1], [-5, 0, 0, 6, 0.0]])
    donor = Moment(np.concatenate([on, ground]).astype(np.float32), boxes.astype(np.float32), np.array([1, 1, 1]),
                   np.array([30, 30, 2]), empty.masks)  # fmt: skip
    how = PasteConfig(chance=1.0, most=8, common=1.0)
    found = pasted(empty, donor, how, np.random.default_rng(1))
    assert found.count.tolist() == [30]  # the second touches the first, the third has 2 points
    assert found.boxes[0, 2] == pytest.approx(-0.5) and found.boxes[0, 2] - 1.5 == pytest.approx(-2.0)
    assert sorted(found.points[found.points[:, 3] == 7][:, 4]) == [0.0, pytest.approx(0.1)]
    lower = replace(empty, points=(empty.points - np.float32([0, 0, 1, 0, 0])))
    moved = pasted(lower, donor, how, np.random.default_rng(1))
    assert moved.boxes[0, 2] == pytest.approx(-1.5)  # stands on the other ground
    assert pasted(found, donor, how, rng) is found  # no room left for another
    none = pasted(empty, donor, replace(how, most=0), rng)
    assert none is empty


def test_moments_with_rare_classes_are_drawn_more_often(frames):
    bus = replace(moment(9), label=np.array([3, 8]))
    write_world(world_path(frames, "train", 3), [bus, moment(1)], {"seed": 3})
    trainer = BevTrainer(SMALL, frames)
    places, weights = trainer._draws
    assert len(places) == 6 and weights.sum() == pytest.approx(1.0)
    assert weights[4] > 1.3 * weights[5] == pytest.approx(1.3 * weights[0])
