"""A LiDAR style as something to feed sweeps to: `RangeStyleSession.step(xyz, intensity, seed)`.

session = RangeStyleSession.from_weights("style-rain-lidar")
found = session.step(xyz, intensity, seed=stamp_ns)     # the same seed gives the same sweep
found.xyz, found.intensity                              # NaN where the echo is lost
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.facts import ModelError, ModelFacts, load_network
from models.gan.range_style import AIR, LOST, NEAREST, STAY, RangeStyle, range_features


class RestyledSweep(NamedTuple):
    """xyz float32 [N, 3] m, NaN where lost · intensity float32 [N] 0..1, NaN where lost · fate uint8 [N]: STAY, LOST or
    AIR."""

    xyz: NDArray[np.float32]
    intensity: NDArray[np.float32]
    fate: NDArray[np.uint8]


class RangeStyleSession:
    """strength: 0 (the sweep itself) to 1 (the style); scales the probabilities and the change of the intensities ·
    seconds: wall time of the last step."""

    def __init__(self, network: RangeStyle, facts: ModelFacts, strength: float = 1.0):
        if not isinstance(network, RangeStyle):
            raise ModelError(f"{facts.name} is a {facts.architecture}: expected gan-range-style")
        if not 0 <= strength <= 1:
            raise ModelError(f"strength is {strength}: expected 0 (off) … 1")
        self.network, self.facts, self.strength = network.eval(), facts, strength
        self.seconds = 0.0

    @classmethod
    def from_weights(cls, name_or_path: str | Path, **options: Any) -> RangeStyleSession:
        """Session of a model by name, folder or `random:<preset>`. Raises ModelError."""
        network, facts = load_network(name_or_path)
        return cls(network, facts, **options)  # type: ignore[arg-type]

    @torch.inference_mode()
    def step(self, xyz: NDArray[np.float32], intensity: NDArray[np.float32], seed: int) -> RestyledSweep:
        """xyz float32 [N, 3] m in the LiDAR's frame, not finite where there is none · intensity float32 [N] 0..1."""
        started = perf_counter()
        xyz, intensity = np.array(xyz, np.float32), np.array(intensity, np.float32)
        fate = np.zeros(len(xyz), np.uint8)
        distance = np.sqrt(np.square(xyz).sum(1))
        good = np.flatnonzero(np.isfinite(distance) & (distance > 0))
        if self.strength > 0 and len(good):
            features = range_features(torch.from_numpy(distance[good]), torch.from_numpy(intensity[good]))
            self._draw(xyz, intensity, fate, good, distance[good], self.network(features).numpy().T, seed)
        self.seconds = perf_counter() - started
        return RestyledSweep(xyz, intensity, fate)

    def _draw(self, xyz, intensity, fate, good, distance, found, seed: int) -> None:
        """Writes one draw into the arrays. found float32 [5, M] of the points `good`."""
        rng = np.random.default_rng(seed & 0xFFFFFFFFFFFFFFFF)
        odds = np.exp(found[:3] - found[:3].max(0))
        odds /= odds.sum(0)
        u, where = rng.random(len(good)), rng.random(len(good))
        lost, air = self.strength * odds[LOST], self.strength * odds[AIR]
        reached = (NEAREST - np.exp(found[4]) * np.log1p(-where)).astype(np.float32)
        chosen = np.where(u < lost, LOST, np.where((u < lost + air) & (reached < distance), AIR, STAY))
        fate[good] = chosen
        intensity[good] = np.clip(intensity[good] * np.exp(self.strength * found[3]), 0, 1)
        thin = chosen == AIR
        xyz[good[thin]] *= (reached[thin] / distance[thin])[:, None]
        intensity[good[thin]] = 0.03 * where[thin]  # a drop sends back little
        gone = good[chosen == LOST]
        xyz[gone], intensity[gone] = np.nan, np.nan

