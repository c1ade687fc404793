"""Training of the video detector: who answers for which box, what the loss asks for, clips, twins on equal batches."""

import json

import numpy as np
import pytest
import torch

from models.facts import ModelError
from models.tsm.detector_head import decode, places
from training.common.config_files import load_yaml_config
from training.detection2d import evaluate as evaluate_detector2d
from training.detection2d import trainer as detector2d
from training.detection2d.clips import ClipAugment, ClipSampler, _augmented, _moved, _view
from training.detection2d.loss import Truth, assign, detection_loss, iou_and_giou
from training.video.cache import ClipFacts, FrameBoxes, VideoCache, write_clip

WHERE = places(192, 384, (8, 16, 32))
PLAIN = ClipAugment(flip=0, zoom=(1, 1), stretch=1, light=0, colour=0, grey=0, blur=0, noise=0)


def truth(*boxes, label=None, ignore=None):
    n = len(boxes)
    return Truth(
        torch.tensor(boxes, dtype=torch.float32).reshape(n, 4),
        torch.tensor([0] * n if label is None else label),
        torch.tensor([False] * n if ignore is None else ignore),
    )


def answering(targets, box):
    return WHERE[targets.box == box]


def test_places_near_the_centre_answer_on_the_level_of_the_boxs_size():
    found = answering(assign(truth((92, 88, 108, 104)), WHERE), 0)  # 16 px about (100, 96)
    assert set(map(tuple, found.tolist())) == {(x, y, 8) for x in (92, 100, 108) for y in (92, 100)}
    large = answering(assign(truth((100, 40, 300, 160)), WHERE), 0)
    assert set(large[:, 2].tolist()) == {32.0}


def test_a_thing_smaller_than_a_cell_still_has_places():
    assert len(answering(assign(truth((100.5, 50, 102, 54)), WHERE), 0)) >= 4


def test_of_two_boxes_the_smaller_wins_the_places_of_both():
    targets = assign(truth((82, 82, 108, 108), (94, 94, 106, 106)), WHERE)  # about 95 and about 100
    assert len(answering(targets, 1)) == 9 and len(answering(targets, 0)) == 9 - 4


def test_ignored_boxes_have_no_places_and_their_inside_is_not_taught():
    targets = assign(truth((80, 80, 110, 110), ignore=[True]), WHERE)
    assert (targets.box < 0).all() and targets.skipped.any()
    inside = WHERE[targets.skipped]
    assert ((inside[:, :2] - 95).abs() < 24 * 1.5 + 15).all()
    none = assign(truth(), WHERE)
    assert (none.box < 0).all() and not none.skipped.any()


def test_iou_and_giou_of_known_boxes():
    a = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 1], [0, 0, 1, 1]])
    b = torch.tensor([[1.0, 0, 3, 2], [2, 0, 3, 1], [0, 0, 1, 1]])
    iou, giou = iou_and_giou(a, b)
    assert torch.allclose(iou, torch.tensor([1 / 3, 0, 1])) and torch.allclose(giou, torch.tensor([1 / 3, -1 / 3, 1]))


def perfect(true):
    """Logits and codes that say exactly what is true, at the places that answer."""
    targets = assign(true, WHERE)
    logits, codes = torch.full((1, len(WHERE), 5), -12.0), torch.zeros(1, len(WHERE), 4)
    for i in torch.nonzero(targets.box >= 0)[:, 0].tolist():
        box, (x, y, s) = true.boxes[targets.box[i]], WHERE[i]
        centre, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
        codes[0, i] = torch.cat([(centre - torch.stack([x, y])) / s, (size / s).log()])
        logits[0, i, true.label[targets.box[i]]] = 12.0
    return logits, codes


def test_the_truth_itself_has_no_loss_and_anything_else_has():
    true = truth((90, 90, 110, 130), (200, 20, 290, 120), label=[4, 1])
    logits, codes = perfect(true)
    loss, parts = detection_loss(logits, codes, [true], WHERE)
    assert float(loss) < 1e-3
    assert float(detection_loss(logits, codes + 0.3, [true], WHERE)[0]) > 0.1
    assert float(detection_loss(logits.roll(1, 2), codes, [true], WHERE)[0]) > 1
    assert float(detection_loss(logits, codes, [truth()], WHERE)[0]) > 10  # nothing there: all of it is false


def test_what_is_said_in_an_ignored_box_costs_nothing():
    true = truth((90, 90, 110, 130))
    logits, codes = perfect(true)
    assert float(detection_loss(logits, codes, [truth((90, 90, 110, 130), ignore=[True])], WHERE)[0]) < 1e-2


def test_the_loss_of_a_picture_without_boxes_has_finite_gradients():
    logits = torch.zeros(2, len(WHERE), 5, requires_grad=True)
    codes = torch.zeros(2, len(WHERE), 4, requires_grad=True)
    loss, _ = detection_loss(logits, codes, [truth(), truth((0, 0, 50, 50), ignore=[True])], WHERE)
    loss.backward()
    assert torch.isfinite(logits.grad).all() and torch.isfinite(codes.grad).all()


def test_boxes_follow_the_view():
    boxes, label, share = np.array([[100, 50, 140, 80]], np.float32), np.array([2]), np.array([0.9], np.float32)
    mirrored = _moved(boxes, label, share, np.array([[-1.0, 0, 384], [0, 1, 0]]), (192, 384))
    assert mirrored.boxes.tolist() == [[244, 50, 284, 80]] and mirrored.label.tolist() == [2]
    outside = _moved(boxes, label, share, np.array([[1.0, 0, 300], [0, 1, 0]]), (192, 384))
    assert len(outside.boxes) == 0
    halved = _moved(boxes, label, share, np.array([[0.2, 0, 0], [0, 0.2, 0]]), (192, 384))
    assert halved.ignore.tolist() == [True]  # 6 px high


@pytest.mark.parametrize("seed", range(5))
def test_pixels_and_boxes_move_together(seed):
    rng = np.random.default_rng(seed)
    image = np.zeros((192, 384, 3), np.uint8)
    image[80:110, 150:210] = 255
    config = ClipAugment(light=0, colour=0, grey=0, blur=0, noise=0)
    rows = [(np.array([[150, 80, 210, 110]], np.float32), np.array([0]), np.ones(1, np.float32))]
    sample = _augmented([image], rows, config, rng)
    (box,) = sample.truths[0].boxes.numpy()
    y, x = np.nonzero((sample.images[0] > 200).all(2))
    assert np.allclose(box, [x.min(), y.min(), x.max() + 1, y.max() + 1], atol=2.5)


def test_every_frame_of_a_clip_gets_the_same_view():
    image = np.random.default_rng(0).integers(0, 255, (192, 384, 3), dtype=np.uint8)
    rows = [(np.zeros((0, 4), np.float32), np.zeros(0, int), np.zeros(0, np.float32))] * 3
    sample = _augmented([image] * 3, rows, ClipAugment(noise=0), np.random.default_rng(1))
    assert (sample.images == sample.images[:1]).all()
    assert np.array_equal(_view(192, 384, PLAIN, np.random.default_rng(0)), [[1, 0, 0], [0, 1, 0]])


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Two tiny clips: a bright car drives over a grey street."""
    root = tmp_path_factory.mktemp("video")
    for split in ("train", "val"):
        for k in range(2):
            images, boxes = [], []
            for i in range(5):
                image = np.full((192, 384, 3), 90, np.uint8)
                x = 100 + 20 * i
                image[80:120, x : x + 60] = (220, 40, 40)
                images.append(image)
                boxes.append([x, 80, x + 60, 120])
            n, f = np.ones(5, np.int32), np.ones(5, np.float32)
            rows = FrameBoxes(
                np.arange(5, dtype=np.int32), n, np.zeros(5, np.uint8), np.array(boxes, np.float32),
                np.array(boxes, np.float32), n * 2400, f, np.zeros(5, bool), f, np.zeros((5, 2), np.float32), f * 20,
            )  # fmt: skip
            facts = ClipFacts(k, "test", "kitti", "left", "day", "clear", 0.0, (192, 384), 5.0, ((),) * 5)
            write_clip(root / split / f"{k:06d}_0", facts, images, rows)
    return root


def config_file(folder, **more):
    path = folder / "config.yaml"
    path.write_text(json.dumps({"clips": 1, "frames": 2, "validation_clips": 0, "optimiser": {"ema": 0.5}, **more}))
    return path


def test_draws_repeat_with_the_seed(cache):
    clips = list(VideoCache(cache, "train"))
    a, b = (ClipSampler(clips, 3, ClipAugment(), seed=7).draw() for _ in range(2))
    assert np.array_equal(a.images, b.images) and a.images.shape == (3, 192, 384, 3)
    with pytest.raises(ValueError, match="none of 2 clips has 6 frames"):
        ClipSampler(clips, 6, ClipAugment(), 0)


def test_twins_learn_from_the_same_batches_and_a_run_can_be_resumed(cache, tmp_path, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(detector2d, "EarlyLayers", lambda net, *_: lambda frames: net.early(frames).detach())
    config = load_yaml_config(detector2d.DetectorTrainConfig(), config_file(tmp_path))
    trainer = detector2d.Trainer(detector2d.ARCHITECTURES["both"], config, cache, pretrained=False)
    early = [p.clone() for p in trainer.detectors[0].backbone.features[:4].parameters()]
    first = trainer.step(0.5)
    assert {name.split(".")[0] for name in first} == {"tsm-detector-lite", "tsn-detector-lite"}
    assert [t.step_count for t in trainer.trainees] == [1, 1]
    kept = trainer.detectors[0].backbone.features[:4].parameters()
    assert all(torch.equal(a, b) for a, b in zip(early, kept))
    trainer.elapsed = 3.0
    trainer.save(tmp_path)
    again = detector2d.Trainer(detector2d.ARCHITECTURES["both"], config, cache, pretrained=False)
    again.resume(tmp_path)
    assert again.elapsed == 3.0 and again.frames == 2
    assert trainer.step(0.6) == again.step(0.6)
    started = detector2d.Trainer(detector2d.ARCHITECTURES["shift"], config, cache, pretrained=False)
    started.start(tmp_path)
    a, b = started.trainees[0].network.state_dict(), trainer.trainees[1]
    plain = detector2d.averaged_weights(tmp_path / f"{b.name}.checkpoint.safetensors")[0]
    assert all(torch.equal(v, plain[k.replace(".net.", ".")]) for k, v in a.items())


def test_processes_of_one_twin_each_see_the_same_batches(cache, tmp_path, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(detector2d, "EarlyLayers", lambda net, *_: lambda frames: net.early(frames).detach())
    monkeypatch.setattr(detector2d.Trainer.__init__, "__defaults__", (False,))
    monkeypatch.chdir(tmp_path)
    common = ["--config", str(config_file(tmp_path)), "--cache", str(cache), "--steps", "2"]
    losses = []
    for arch in ("both", "none"):
        assert detector2d.main(["--arch", arch, "--out", str(tmp_path / arch), *common]) == 0
        file = tmp_path / arch / "tsn-detector-lite.checkpoint.safetensors"
        losses.append(detector2d.averaged_weights(file))
    (together, a), (alone, b) = losses
    assert a["steps"] == b["steps"] == 2 and all(torch.equal(together[k], alone[k]) for k in together)


def test_checkpoints_are_released_and_scored_beside_each_other(cache, tmp_path, monkeypatch, capsys):
    torch.set_num_threads(1)
    config = load_yaml_config(detector2d.DetectorTrainConfig(), config_file(tmp_path))
    monkeypatch.setattr(detector2d, "EarlyLayers", lambda *_: None)
    detector2d.Trainer(detector2d.ARCHITECTURES["both"], config, cache, pretrained=False).save(tmp_path)
    files = [str(tmp_path / f"{name}.checkpoint.safetensors") for name in detector2d.ARCHITECTURES["both"]]
    common = ["--out", str(tmp_path / "w"), "--cache", str(cache), "--split", "val", "--kept", str(tmp_path / "k")]
    assert evaluate_detector2d.main([*files, *common, "--runtime", "torch"]) == 0
    folder = tmp_path / "w" / "tsm-detector-lite"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["frames"] == 10 and metrics["drives"] == 2 and "tsn-detector-lite" in metrics["twin"]
    assert metrics["detection2d"]["boxes"]["car"] == 10 and "all" in metrics["gain"]
    assert "without shift" not in (folder / "CARD.md").read_text().split("## Training")[0]
    monkeypatch.setattr(evaluate_detector2d, "VideoDetector", None)  # what was found is kept
    assert evaluate_detector2d.main([str(folder), *common]) == 0
    again = json.loads((folder / "metrics.json").read_text())
    assert again["detection2d"] == metrics["detection2d"] and again["training"] == metrics["training"]
    assert evaluate_detector2d.main(["spvcnn-lite", *common]) == 2
    assert "no video detector" in capsys.readouterr().err


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert detector2d.main(["--out", str(tmp_path), "--config", str(config_file(tmp_path, clip=3))]) == 2
    assert "unknown keys clip" in capsys.readouterr().err
    assert detector2d.main(["--out", str(tmp_path), "--cache", str(tmp_path / "none")]) == 2
    assert "training.video.world" in capsys.readouterr().err
    with pytest.raises(ModelError, match="cannot be read as a config"):
        load_yaml_config(detector2d.DetectorTrainConfig(), tmp_path / "absent.yaml")


def test_a_decoded_code_is_the_box_that_it_was_taught():
    true = truth((90, 90, 110, 130))
    _, codes = perfect(true)
    rows = assign(true, WHERE).box >= 0
    assert torch.allclose(decode(codes[0, rows], WHERE[rows]), true.boxes.expand(int(rows.sum()), 4), atol=1e-3)
