"""The lesson of motion: what the teacher says, what is read, what a network without a past can know."""

import json

import numpy as np
import pytest
import torch

from models.facts import ModelError
from models.tsm.builder import build_tsm
from models.tsm.spec import TsmSpec
from tests.training.video.test_world import cache
from training.video import evaluate_motion
from training.video import trainer as tsm
from training.video.evaluate_motion import scores
from training.video.motion import SCALE, MotionReader, cell_flow, compressed, motion_loss
from training.video.trainee import Supervised, motion_reader


def moving(shift: tuple[int, int], frames: int = 3) -> np.ndarray:
    """A clip whose whole picture moves by `shift` px (right, down) a frame."""
    import cv2

    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    picture = cv2.resize(noise, (240, 160), interpolation=cv2.INTER_CUBIC)
    rows = [
        picture[40 - i * shift[1] : 104 - i * shift[1], 60 - i * shift[0] : 188 - i * shift[0]] for i in range(frames)
    ]
    return np.stack(rows)[None]


@pytest.mark.parametrize("shift", [(3, 0), (-3, 0), (0, 2)])
def test_the_teacher_tells_a_known_motion_per_cell(shift):
    flow = cell_flow(moving(shift))
    assert flow.shape == (1, 2, 2, 8, 16)
    middle = flow[0, :, :, 2:-2, 2:-2].mean(axis=(0, 2, 3))
    assert middle == pytest.approx(shift, abs=0.4)


def test_motion_is_compressed_by_its_root_and_keeps_its_sign():
    assert compressed(torch.tensor([-4.0, 0.0, 16.0])).tolist() == [-2 / SCALE, 0.0, 4 / SCALE]


def test_the_loss_is_zero_for_the_truth_and_ignores_the_first_frame():
    flow = torch.full((1, 2, 2, 4, 4), 4.0)
    truth = torch.full((3, 2, 4, 4), float(compressed(torch.tensor(4.0))))
    truth[0] = 77.0  # a clip's first frame has no motion to tell
    assert float(motion_loss([truth, truth[:, :, :2, :2]], flow)) == 0.0
    assert float(motion_loss([truth + 1.0], flow)) > 0.5


def test_two_ways_to_one_picture_differ_in_an_online_networks_features_and_not_in_a_2d_ones():
    clips = np.concatenate([moving((4, 0)), moving((-4, 0))])
    clips[1, -1] = clips[0, -1]
    x = (torch.from_numpy(clips).float() / 255 - 0.5).permute(0, 1, 4, 2, 3)
    differs = {}
    for mode, architecture in (("online", "tsm"), ("none", "tsn")):
        network = build_tsm(TsmSpec("mobilenetv2", mode, 3, segments=3, architecture=architecture), seed=0).eval()
        supervised = Supervised(network, "frame", motion_reader(network))
        logits, read = supervised(x)
        assert logits.shape == (2, 3, 3) and [r.shape[0] for r in read] == [6, 6, 6]
        assert torch.allclose(logits, network.frame_logits(x), atol=1e-6)
        last = network.features(x)[0][[2, 5]]
        differs[mode] = float((last[0] - last[1]).detach().abs().max())
    assert differs["none"] == 0.0 and differs["online"] > 1e-4


def test_motion_is_not_taught_to_networks_that_mix_frames_otherwise():
    network = build_tsm(TsmSpec("mobilenetv2", "none", 3, segments=3, architecture="tsm-lstm"), seed=0)
    with pytest.raises(ModelError, match="set motion to 0"):
        motion_reader(network)


def test_the_reader_gives_two_numbers_per_cell():
    reader = MotionReader((4, 6))
    read = reader([torch.zeros(2, 4, 5, 7), torch.zeros(2, 6, 3, 4)])
    assert [tuple(r.shape) for r in read] == [(2, 2, 5, 7), (2, 2, 3, 4)]


def test_scores_of_read_motion_count_directions_of_moving_cells_only():
    flow = torch.zeros(1, 2, 2, 2)
    flow[0, 0] = torch.tensor([[4.0, -4.0], [4.0, 0.5]])  # the last cell stands, nearly
    right = compressed(flow)
    wrong = right.clone()
    wrong[0, 0, 0, 0] *= -1
    found = scores([right, wrong], flow)
    assert found["8"] == {"direction": 1.0, "correlation": 1.0}
    assert found["16"]["direction"] == pytest.approx(2 / 3, abs=1e-4)


def test_a_trained_reader_is_scored_on_held_out_clips_and_others_are_refused(tmp_path, capsys):
    root = cache(cache(tmp_path / "video"), "test")
    small = ["batch=2", "segments=3", "steps=1", "size=[32, 64]", "stored=[32, 64]", "norm=frozen", "imagenet=false",
             "supervise=frame", "augment.scales=[0.8]", "labels=0"]  # fmt: skip
    for motion, out in (("1.0", "with"), ("0", "without")):
        sets = [text for s in [*small, f"motion={motion}"] for text in ("--set", s)]
        name = "tsm-events-mobilenetv2"
        assert tsm.main(["--model", name, "--cache", str(root), "--out", str(tmp_path / out), *sets]) == 0
    capsys.readouterr()
    file = f"{name}.checkpoint.safetensors"
    assert evaluate_motion.main([str(tmp_path / "with" / file), "--cache", str(root), "--batches", "1"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["windows"] == 2 and set(said["clips"]) == {"8", "16", "32"}
    assert evaluate_motion.main([str(tmp_path / "without" / file), "--cache", str(root)]) == 2
    assert "took no lesson of motion" in capsys.readouterr().err
