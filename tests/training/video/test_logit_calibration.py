"""Calibration of event networks: answers become as frequent as the events, mirrored events stay even."""

import numpy as np
import torch
from torch import nn

from training.video.logit_calibration import apply, fit


def test_a_network_that_sees_rare_events_everywhere_is_brought_to_their_frequency():
    rng = np.random.default_rng(0)
    labels = rng.choice(3, 600, p=[0.8, 0.1, 0.1])
    logits = (np.eye(3)[labels] + rng.normal(0, 1, (600, 3)) + [-2.0, 0.0, 0.0]).astype(np.float32)
    scale, addends = fit(logits, labels, np.array([0, 2, 1]))
    before, after = (found.argmax(1) for found in (logits, scale * logits + addends))
    assert (before == labels).mean() < 0.5 < 0.75 < (after == labels).mean()
    assert addends[1] == addends[2] < addends[0]


def test_calibrated_weights_answer_as_calibrated_logits():
    layer, x = nn.Linear(4, 3), torch.randn(5, 4)
    expected = 2.0 * layer(x) + torch.tensor([1.0, 0.0, -1.0])
    apply(layer, 2.0, np.array([1.0, 0.0, -1.0], np.float32))
    assert torch.allclose(layer(x), expected, atol=1e-6)
