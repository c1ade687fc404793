"""Logit calibration: the classifier's scale and bias, fitted on the validation split.

Training draws all events equally often, so a trained network predicts events too often. One factor for all logits (Guo
et al., ICML 2017) and one offset per class (Menon et al., ICLR 2021) correct the frequencies. The two events of a
mirrored pair share one offset, because their frequencies in a few validation drives differ only by chance.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

DECAY = 0.01  # of the squared addends: a class that the split hardly holds is not argued away


def fit(logits: NDArray[np.float32], labels: NDArray[np.int64], mirror: NDArray[np.int64]) -> tuple[float, np.ndarray]:
    """(scale, addends float32 [K]) that make `scale * logits + addends` likeliest for `labels`. logits [N, K], labels
    [N]; mirror int64 [K]: what each class becomes in the mirror."""
    given, truth = torch.from_numpy(logits), torch.from_numpy(labels)
    partner = torch.from_numpy(mirror)
    log_scale = torch.zeros(1, requires_grad=True)
    free = torch.zeros(logits.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS([log_scale, free], max_iter=200, line_search_fn="strong_wolfe")

    def addends() -> torch.Tensor:
        return (free + free[partner]) / 2

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(log_scale.exp() * given + addends(), truth)
        loss = loss + DECAY * addends().square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return float(log_scale.detach().exp()), addends().detach().numpy()


@torch.no_grad()
def apply(classifier: nn.Linear, scale: float, addends: NDArray[np.float32]) -> None:
    """Puts scale and addends into a classifier's weights."""
    classifier.weight.mul_(scale)
    classifier.bias.mul_(scale).add_(torch.from_numpy(addends))
