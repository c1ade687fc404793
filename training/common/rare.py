"""How often samples are drawn: those that hold a rare class more often."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def rare_weights(holds: NDArray[np.bool_], rarity: float) -> NDArray[np.float64]:
    """Probabilities float64 [N] of samples.

    A sample's weight is 1 + rarity times the largest of its classes' 1 / sqrt(share of samples that hold it).
    holds: bool [N, classes] · rarity: 0 draws evenly.
    """
    rare = 1.0 / np.sqrt(np.maximum(holds.mean(0), 1e-3))
    weight = 1.0 + rarity * np.where(holds, rare, 0.0).max(1, initial=0.0)
    found: NDArray[np.float64] = weight / weight.sum()
    return found
