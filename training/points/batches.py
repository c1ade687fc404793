"""Batches of street crops for the point networks: squares cut at a random turn, thinned, disturbed. numpy only.

Batch number `step` follows from the seed and the step alone: networks trained one after the other, or resumed, see the
very same batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.pvcnn.crops import SIDE, crop_features
from perception_nodes.classes import IGNORE
from training.points.street_crops import Crop

FEWEST = 48  # points in the square; sparser ones are drawn again


@dataclass(frozen=True)
class CropAugment:
    """Strengths, per crop. Lengths in metres, 1 sigma unless said otherwise."""

    turn: float = 3.1416  # yaw, uniform +-, rad
    flip: float = 0.5
    scale: float = 0.05  # uniform 1 +-
    shift: float = 1.0  # of the square's centre along x and y, uniform +-
    lift: float = 0.1
    tilt: float = 0.02  # rad about a random axis on the ground
    noise: float = 0.01
    gain: float = 0.5  # of the log of the intensity gain
    gamma: float = 0.25
    offset: float = 0.05
    intensity_drop: float = 0.2  # chance that a crop has no intensity at all


NONE = CropAugment(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def sample(
    crop: Crop, points: int, rng: np.random.Generator, strength: CropAugment
) -> tuple[NDArray[np.float32], NDArray[np.uint8]] | None:
    """(features float32 [7, points], labels uint8 [points]) of a square of a crop, with points repeated where it has
    fewer; None where it has fewer than FEWEST or no label."""
    a = strength
    turn = rng.uniform(-a.turn, a.turn) if a.turn else 0.0
    centre = crop.centre + rng.uniform(-a.shift, a.shift, 2).astype(np.float32)
    x, y = crop.xyz[:, 0] - centre[0], crop.xyz[:, 1] - centre[1]
    c, s = np.cos(turn), np.sin(turn)
    inside = np.flatnonzero((np.abs(c * x - s * y) < SIDE / 2) & (np.abs(s * x + c * y) < SIDE / 2))
    if len(inside) < FEWEST or (crop.label[inside] == IGNORE).all():
        return None
    chosen = rng.choice(inside, points, replace=len(inside) < points)
    xyz, intensity, known = disturbed(crop.xyz[chosen], crop.intensity[chosen], centre, rng, a)
    features = crop_features(xyz, intensity, centre, turn, known)
    if rng.random() < a.flip:
        features[1] *= -1.0
    features[:3] *= np.float32(rng.uniform(1.0 - a.scale, 1.0 + a.scale))
    return features, crop.label[chosen]


def disturbed(
    xyz: NDArray[np.float32],
    intensity: NDArray[np.float32],
    centre: NDArray[np.float32],
    rng: np.random.Generator,
    a: CropAugment,
) -> tuple[NDArray[np.float32], NDArray[np.float32], bool]:
    """(xyz with noise, lift and tilt; intensity with another gain, exponent and offset; whether it has intensities)."""
    xyz = xyz + rng.normal(0.0, 1.0, xyz.shape).astype(np.float32) * np.float32(a.noise * rng.random())
    slope = rng.normal(0.0, a.tilt, 2)
    rise = (xyz[:, :2] - centre) @ slope.astype(np.float32) + rng.normal(0.0, a.lift)
    xyz[:, 2] += rise.astype(np.float32)
    known = bool(rng.random() >= a.intensity_drop)
    gain, gamma = np.exp(rng.normal(0.0, a.gain)), np.exp(rng.normal(0.0, a.gamma))
    value = gain * np.clip(intensity, 0.0, None) ** gamma + rng.uniform(-a.offset, a.offset)
    return xyz, np.clip(value, 0.0, 1.0).astype(np.float32), known


def batch(
    crops: list[Crop], size: int, points: int, step: int, seed: int, strength: CropAugment
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Batch number `step`: (features float32 [size, 7, points], labels uint8 [size, points])."""
    rng = np.random.default_rng((seed, step, 0xBA7C))
    found: list[tuple[NDArray[np.float32], NDArray[np.uint8]]] = []
    while len(found) < size:
        one = sample(crops[int(rng.integers(len(crops)))], points, rng, strength)
        if one is not None:
            found.append(one)
    features, labels = zip(*found)
    return np.stack(features), np.stack(labels)
