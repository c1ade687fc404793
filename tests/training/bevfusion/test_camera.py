"""Pre-training of the camera branch: pictures on disk, views, targets, losses, a training that learns and resumes,
scores, release, real pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.bevfusion.lite.build import PIXELS
from models.bevfusion.lite.camera_heads import Boxes2D, CameraOutputs
from models.bevfusion.lite.depth_bins import FOCAL, DepthBins
from models.facts import ModelError, load_facts
from perception_nodes.messages.detections import Detections3D
from perception_nodes.simulator.rigs import CameraSpec
from training.bevfusion.camera import trainer as camera
from training.bevfusion.camera.augment import PLAIN, CameraAugment, augmented, moved, view
from training.bevfusion.camera.evaluate import main as evaluate
from training.bevfusion.camera.loss import LossWeights, box_loss, camera_loss, depth_loss, giou
from training.bevfusion.camera.pictures import (
    BOX_NAMES,
    HEIGHT,
    IGNORE,
    SKY,
    WIDTH,
    BoxRows,
    Picture,
    World,
    world_path,
    worlds_in,
    write_world,
)
from training.bevfusion.camera.real import matched, real_scores, vehicle_rows
from training.bevfusion.camera.scores import CameraScorer, in_view
from training.bevfusion.camera.targets import box_targets, depth_target, targets_of
from training.common.loop import train

ROAD, CAR = PIXELS.index("road"), PIXELS.index("car")
SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"


def street(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    """A red car 20 m ahead on a grey road below a blue sky, made by hand."""
    rng = np.random.default_rng(seed)
    rgb = np.full((height, width, 3), 90, np.uint8)
    rgb[: height // 3] = (120, 160, 230)
    depth = np.full((height // 2, width // 2), 40.0, np.float32)
    depth[: height // 6] = np.inf
    pixels = np.full(depth.shape, ROAD, np.uint8)
    pixels[: height // 6] = SKY
    x, y = int(rng.integers(150, width - 250)), int(rng.integers(110, height - 110))
    rgb[y : y + 60, x : x + 100] = (200, 40, 30)
    depth[y // 2 : y // 2 + 30, x // 2 : x // 2 + 50] = 20.0
    pixels[y // 2 : y // 2 + 30, x // 2 : x // 2 + 50] = CAR
    rows = BoxRows.build([[x, y, x + 100, y + 60]], [0], [20.0], [1.0])
    return Picture(rgb, depth, pixels, rows, FOCAL, f"{seed:06d}/{x}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two worlds of each split, three pictures each."""
    root = tmp_path_factory.mktemp("camera")
    for split, first in (("train", 0), ("val", 900_000), ("test", 950_000)):
        for seed in (first, first + 1):
            write_world(world_path(root, split, seed), [street(seed * 3 + i) for i in range(3)], {"seed": seed})
    return root


def test_pictures_come_back_from_their_file(folder):
    world = worlds_in(folder, "train")[0]
    true, again = street(1), world.picture(1)
    assert len(world) == 3 and again.name == true.name and again.focal == true.focal
    assert np.abs(again.rgb.astype(int) - true.rgb).mean() < 3
    np.testing.assert_allclose(again.depth, true.depth, atol=0.006)
    assert np.array_equal(again.pixels, true.pixels) and np.array_equal(again.rows.box, true.rows.box)
    assert again.rows.label.tolist() == [0] and again.rows.visible.tolist() == [1.0]


def test_damaged_and_missing_pictures_are_one_sentence(folder, tmp_path):
    with pytest.raises(ModelError, match=r"make some: python -m training.bevfusion.camera.generate --split val"):
        worlds_in(tmp_path, "val")
    (tmp_path / "x.pictures").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="holds no pictures .* delete it"):
        World(tmp_path / "x.pictures")
    with pytest.raises(ValueError, match="different lengths"):
        BoxRows.build([[0, 0, 1, 1]], [], [1.0], [1.0])


def test_a_plain_view_is_the_middle_of_the_picture():
    picture = street(3)
    seen = in_view(picture)
    left, top = (WIDTH - 704) // 2, (HEIGHT - 256) // 2
    assert np.array_equal(seen.rgb, picture.rgb[top : top + 256, left : left + 704])
    assert np.array_equal(seen.depth, picture.depth[top // 2 : top // 2 + 128, left // 2 : left // 2 + 352])
    assert np.allclose(seen.rows.box, picture.rows.box - [left, top, left, top])


@pytest.mark.parametrize("seed", range(4))
def test_a_view_moves_picture_depth_classes_and_boxes_alike(seed):
    picture = street(seed)
    config = CameraAugment(zoom=(0.95, 1.1), turn=0.0, flip=0.5, light=0.0)
    seen = augmented(picture, config, np.random.default_rng(seed))
    assert seen.rgb.shape == (256, 704, 3) and seen.depth.shape == seen.pixels.shape == (128, 352)
    matrix = view(picture.rgb.shape[:2], config, np.random.default_rng(seed))
    assert seen.focal == pytest.approx(FOCAL * abs(np.linalg.det(matrix[:, :2])) ** 0.5)
    red = (seen.rgb[..., 0].astype(int) - seen.rgb[..., 1]) > 80
    y, x = np.nonzero(red)
    assert np.allclose(seen.rows.box[0], [x.min(), y.min(), x.max() + 1, y.max() + 1], atol=2.5)
    car = np.kron(seen.pixels == CAR, np.ones((2, 2), bool))
    assert (car != red).mean() < 0.01
    assert np.array_equal(seen.depth == 20.0, seen.pixels == CAR)
    same = augmented(picture, CameraAugment(), np.random.default_rng(seed))
    assert np.array_equal(same.rgb, augmented(picture, CameraAugment(), np.random.default_rng(seed)).rgb)


def test_boxes_that_leave_the_view_are_cut_dropped_or_hardly_visible():
    rows = BoxRows.build([[-10, 10, 10, 30], [650, 10, 750, 60], [800, 0, 900, 50]], [0, 1, 2], [9, 9, 9], [1, 1, 1])
    found = moved(rows, np.array([[1.0, 0, 0], [0, 1, 0]]), (256, 704))
    assert found.box.tolist() == [[0, 10, 10, 30], [650, 10, 704, 60]] and found.visible.tolist() == [1.0, 1.0]
    shifted = moved(rows, np.array([[1.0, 0, -6], [0, 1, 0]]), (256, 704))
    assert shifted.visible[0] == 0.0  # a fifth of it is left


def test_box_targets_by_hand():
    nothing = np.zeros((128, 352))
    rows = BoxRows.build(
        [[160, 80, 224, 112], [8, 8, 16, 10], [400, 80, 440, 120]], [0, 3, 8], [9, 9, 9], [1.0, 1.0, 0.1]
    )
    picture = Picture(np.zeros((256, 704, 3), np.uint8), nothing, nothing, rows, FOCAL, "hand")
    heat, known, box, weight, objects = box_targets(picture)
    assert objects == 1 and heat[0, 12, 24] == 1.0 and heat.max() == 1.0 and (heat == 1.0).sum() == 1
    assert heat[0, 12, 25] == pytest.approx(np.exp(-0.5 / (0.54 * 8 / 6) ** 2), rel=1e-5)
    assert box[:, 12, 24].tolist() == [160, 80, 224, 112]
    assert weight.sum() == pytest.approx(np.log(64 * 32), rel=1e-4)
    assert not known[3, 1, 1] and not known[8, 12, 52]  # too low, hardly visible: neither learned nor background
    assert known[0].all() and not heat[3].any() and not heat[8].any()


def test_depth_targets_are_shares_of_a_cells_pixels_in_canonical_metres():
    bins = DepthBins()
    depth = np.full((128, 352), np.inf, np.float32)
    depth[:4, :4] = 10.0
    depth[:2, :4] = 30.0
    depth[4:8, :4] = np.nan
    shares = depth_target(depth, FOCAL, bins)
    near, far = bins.classes_of(torch.tensor([10.0, 30.0])).tolist()
    assert shares[near, 0, 0] == 0.5 and shares[far, 0, 0] == 0.5 and shares[:, 1, 0].sum() == 0.0
    assert shares[48, 5, 5] == 1.0 and shares.shape == (49, 32, 88)
    longer = depth_target(depth, 2 * FOCAL, bins)  # the same picture through twice the focal length is half as deep
    assert longer[bins.classes_of(torch.tensor([5.0])).item(), 0, 0] == 0.5


def perfect(pictures):
    """Outputs that answer the targets of pictures exactly."""
    true = targets_of(pictures, DepthBins())
    centre = (torch.stack(torch.meshgrid(torch.arange(88), torch.arange(32), indexing="xy")).float() + 0.5) * 8
    sides = torch.cat([centre - true.box[:, :2], true.box[:, 2:] - centre], 1)
    pixels = torch.nn.functional.one_hot(true.pixels[:, ::2, ::2].clamp(max=19), 20).permute(0, 3, 1, 2) * 40.0
    return CameraOutputs((true.heat == 1) * 40.0 - 20.0, sides, pixels, (true.depth + 1e-9).log()), true


def test_the_losses_are_small_for_the_truth_and_their_gradients_lead_there():
    out, true = perfect([in_view(street(1))])
    _, parts = camera_loss(out, true, LossWeights())
    assert parts["heat"] < 1e-6 and parts["box"] < 1e-6 and parts["pixels"] < 0.6
    entropy = -(true.depth * (true.depth + 1e-9).log()).sum(1).mean()
    assert parts["depth"] == pytest.approx(float(entropy), abs=1e-4)
    assert giou(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[1.0, 0, 3, 2]])).item() == pytest.approx(1 / 3)
    assert giou(torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([[3.0, 0, 4, 1]])).item() == pytest.approx(-0.5)
    sides = torch.full((1, 4, 32, 88), 20.0, requires_grad=True)
    box_loss(sides, true.box, true.box_weight).backward()
    assert sides.grad is not None and ((sides.grad.abs().sum(1) > 0) == (true.box_weight > 0)).all()
    assert depth_loss(torch.zeros(1, 49, 32, 88), torch.zeros(1, 49, 32, 88)).item() == 0.0


def config(**more):
    return camera.CameraTrainConfig(**{"batch": 2, "steps": 4, "validation_pictures": 2, **more})


class Torch:
    """In place of FrozenLayers: the same layers in torch, without waiting for a runtime."""

    def __init__(self, layers, shape, threads):
        self.layers = layers.eval()

    def __call__(self, x):
        with torch.no_grad():
            return self.layers(x)


def test_a_training_learns_and_goes_on_exactly_where_it_was(folder, tmp_path, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(camera, "FrozenLayers", Torch)
    whole = camera.CameraTrainer(config(), folder, imagenet=False)
    early = [p.clone() for p in whole.network.branch.backbone.layers[:4].parameters()]
    losses = train(whole, tmp_path / "whole")
    assert sum(losses[-1].values()) < 0.9 * sum(losses[0].values())
    assert all(torch.equal(a, b) for a, b in zip(early, whole.network.branch.backbone.layers[:4].parameters()))
    assert whole.seen == 8
    first = camera.CameraTrainer(config(), folder, imagenet=False)
    with first:  # the next batch waits when the checkpoint is written
        parts = [first.step(k / 4) for k in range(2)]
        (tmp_path / "part").mkdir()
        first.save(tmp_path / "part")
    second = camera.CameraTrainer(config(), folder, imagenet=False)
    second.resume(tmp_path / "part")
    parts += train(second, tmp_path / "part")
    assert parts == losses
    rows = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert any("pixel_miou" in row.get("validation", {}).get("camera-lite", {}) for row in rows)


def test_new_worlds_are_taken_up_and_rare_classes_drawn_more_often(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(camera, "FrozenLayers", Torch)
    for seed in range(2):
        write_world(world_path(tmp_path, "train", seed), [street(i) for i in range(8)], {"seed": seed})
    made = camera.CameraTrainer(config(steps=0, reload_minutes=0.0), tmp_path, imagenet=False)
    rare = street(5)
    rare = Picture(rare.rgb, rare.depth, rare.pixels, BoxRows.build([[9, 9, 99, 99]], [9], [5], [1]), FOCAL, "r")
    write_world(world_path(tmp_path, "train", 7), [rare], {"seed": 7})
    made.elapsed = 1.0
    assert made.collect() and made.status()["worlds"] == 3
    places, weights = made._draws
    assert weights[-1] > 1.5 * weights[0] and weights.sum() == pytest.approx(1.0) and len(places) == 17


def test_scores_by_hand():
    picture = in_view(street(2))
    scorer = CameraScorer(DepthBins())
    boxes = Boxes2D(torch.from_numpy(picture.rows.box), torch.tensor([0]), torch.tensor([0.9]))
    scorer.add(picture, boxes, torch.from_numpy(picture.pixels), torch.from_numpy(picture.depth) * 1.1)
    found = scorer.summary()
    assert found["map50"] == 1.0 and found["pixel_miou"] == 1.0 and found["boxes"]["car"] == 1
    assert found["depth_abs_rel"] == pytest.approx(0.1, abs=1e-3) and found["depth_within_25"] == 1.0
    wrong = Boxes2D(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), torch.zeros(0))
    other = torch.full((128, 352), ROAD)
    scorer.add(picture, wrong, other, torch.from_numpy(picture.depth) * 2)
    assert scorer.summary()["map50"] == pytest.approx(0.5, abs=0.02) and scorer.summary()["pixel_iou"]["road"] < 1.0
    assert scorer.summary()["depth_within_25"] == 0.5


def test_a_checkpoint_is_released_scored_and_described(folder, tmp_path, monkeypatch, capsys):
    torch.set_num_threads(1)
    monkeypatch.setattr(camera, "FrozenLayers", Torch)
    made = camera.CameraTrainer(config(), folder, imagenet=False)
    made.save(tmp_path)
    common = ["--out", str(tmp_path / "w"), "--pictures", str(folder), "--real", str(tmp_path / "none")]
    assert evaluate([str(tmp_path / "camera-lite.checkpoint.safetensors"), *common]) == 0
    metrics = json.loads((tmp_path / "w" / "camera-lite" / "metrics.json").read_text())
    assert metrics["sim"]["pictures"] == 6 and metrics["split"] == "test" and "real" not in metrics
    assert {"map50", "pixel_miou", "depth_abs_rel"} <= set(metrics["sim"])
    facts = load_facts(tmp_path / "w" / "camera-lite")
    assert facts.trained and "sim_pixel_miou" in facts.metrics
    card = (tmp_path / "w" / "camera-lite" / "CARD.md").read_text()
    assert "No real pictures were at hand" in card and "training.bevfusion.camera.evaluate" in card
    assert evaluate(["spvcnn-lite", *common]) == 2
    assert "is not a camera branch" in capsys.readouterr().err


def test_vehicles_that_count_and_those_that_are_found():
    optical = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])  # x forward, y left, z up
    seen = CameraSpec("front", 704, 256, 600.0, 600.0, 352.0, 128.0, optical)
    boxes = Detections3D.build(
        "world", 0, [[20.0, 0, 0], [20, 0, 0], [20, 5, 0], [-20, 0, 0], [20, 11.8, 0]], [[4.0, 2, 2]] * 5, [0.0] * 5,
        ["car", "pedestrian", "truck", "car", "car"], points=[5, 99, 4, 99, 99],
    )  # fmt: skip
    rows = vehicle_rows(boxes, seen)
    assert rows.label.tolist() == [0]  # a person, a truck with 4 points, a car behind, one whose half is outside
    np.testing.assert_allclose(rows.box[0], [352 - 600 / 18, 128 - 600 / 18, 352 + 600 / 18, 128 + 600 / 18], atol=1e-3)
    near = rows.box[0] + [0, 0, 10, 0]
    found = Boxes2D(
        torch.tensor(np.stack([near, rows.box[0], rows.box[0]])), torch.tensor([1, 0, 8]), torch.tensor([0.5, 0.9, 0.9])
    )
    hit, extra = matched(found, rows.box)
    assert hit.tolist() == [True] and extra == 1  # the truck is a second answer, the pedestrian is not a vehicle
    assert matched(found, rows.box, min_score=0.95) == (pytest.approx([False]), 0)


@pytest.mark.skipif(not (SHARED / "pandaset_002").is_dir(), reason=f"no real pictures in {SHARED}")
def test_real_pictures_are_read_and_scored(monkeypatch):
    from models.facts import load_network
    from training.bevfusion.camera import real

    monkeypatch.setattr(real, "EVERY", 25)
    network, _ = load_network("random:camera-lite")
    scores = real_scores(network, SHARED)
    assert set(scores) == {"pandaset", "nuscenes"}
    assert scores["pandaset"]["pictures"] == 12 and scores["nuscenes"]["pictures"] == 6
    assert scores["pandaset"]["vehicles"] > 50 and 0.0 <= scores["pandaset"]["vehicle_recall50"] <= 0.1
    assert scores["nuscenes"]["vehicles"] >= 4


def test_names_and_classes():
    assert BOX_NAMES[0] == "car" and len(BOX_NAMES) == 10 and SKY == 19 and IGNORE == 255 and PLAIN.light == 0.0
