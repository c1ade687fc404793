"""Calibration of segmentation networks: rare classes are called as often as mIoU wants it, by the weights alone."""

import torch

from models.spvcnn.build import build_network, facts_of, spec_of
from models.spvcnn.presets import PRESETS
from perception_nodes.classes import IGNORE
from tests.training.street import street
from training.segmentation.confusion import confusion, mean_iou
from training.segmentation.logit_adjustment import LIMIT, STEPS, calibrate, fit
from training.segmentation.sweep_buffer import collate, compact
from training.segmentation.voxels import in_range, voxel_batch


def noisy(points: int, shift: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of a network that sees class 2 everywhere, and labels of which it is the rarest."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.multinomial(torch.tensor([0.8, 0.17, 0.03, 0.0]), points, True, generator=generator)
    logits = torch.eye(4)[labels] * 2.0 + torch.randn(points, 4, generator=generator) + shift
    return logits, labels


def score(logits: torch.Tensor, labels: torch.Tensor) -> float:
    return mean_iou(confusion(logits.argmax(1), labels, logits.shape[1], IGNORE))


def test_a_class_that_is_called_too_often_is_called_less_often_and_miou_rises():
    logits, labels = noisy(20_000, torch.tensor([0.0, 0.0, 2.0, 0.0]))
    addends = fit(logits, labels)
    assert addends[2] - addends[0] < -1.0 and addends[3] == 0.0  # no point has class 3: nothing is known of it
    assert score(logits + addends, labels) > score(logits, labels) + 0.1


def test_each_pass_takes_the_best_value_of_the_grid():
    """Against trying every value in turn, for one class of three with the others as they are."""
    logits, labels = noisy(500, torch.tensor([0.0, 0.0, 1.0, -9.0]))
    found = fit(logits[:, :3], labels, decay=0.0)
    for value in torch.linspace(-LIMIT, LIMIT, STEPS):
        tried = found.clone()
        tried[2] = value
        assert score(logits[:, :3] + tried, labels) <= score(logits[:, :3] + found, labels) + 1e-3


def test_the_addends_end_up_in_the_classifiers_bias():
    facts = facts_of(PRESETS["spvcnn-lite"], "spvcnn-lite")
    network, spec, sweep = build_network(facts, seed=1).eval(), spec_of(facts), street(0, 400)
    data = voxel_batch(in_range(collate([compact(sweep, torch.device("cpu"))]), spec), spec)
    with torch.no_grad():
        before = network(data.x, data.view)
        addends = calibrate(network, spec, [sweep])
        after = network(data.x, data.view)
    assert addends.abs().max() > 0
    torch.testing.assert_close(after, before + addends, atol=1e-5, rtol=1e-5)
