"""Scores of generated pictures under names that say their feature network, EfficientNet-Lite0.

fid_lite0   Frechet distance of two sets of features (Heusel et al., NeurIPS 2017)
kid_lite0   kernel distance, unbiased, polynomial kernel of degree 3 (Binkowski et al., ICLR 2018)
lpips_lite0 perceptual distance of paired pictures (features.py)
flicker     change between consecutive pictures of a stream beyond that of its source

Both sets need the same number of pictures where figures are compared with each other: fid_lite0 falls with the number.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.common.progress import Progress
from training.gan.features import LiteFeatures, perceptual_distance

BATCH = 16
SUBSETS, SUBSET = 50, 100  # of the kernel distance


def normalised(pictures: Tensor) -> Tensor:
    """uint8 [N, 3, H, W] -> float in -1..1; float pictures are clamped to that range."""
    if pictures.dtype == torch.uint8:
        return pictures.float() / 127.5 - 1.0
    return pictures.clamp(-1.0, 1.0)


@torch.no_grad()
def pooled_features(features: LiteFeatures, pictures: Tensor, what: str = "") -> NDArray[np.float64]:
    """Features [N, 1280] of pictures [N, 3, H, W], uint8 or float in -1..1. what: text of a progress bar, "": none."""
    if pictures.ndim != 4 or pictures.shape[1] != 3 or not len(pictures):
        raise ValueError(f"pictures have shape {list(pictures.shape)}: expected [N, 3, H, W] with N of 1 or more")
    bar = Progress(what, len(pictures)) if what else None
    found = []
    for batch in pictures.split(BATCH):
        found.append(features.pooled(normalised(batch)).double().numpy())
        if bar is not None:
            bar.step(len(batch))
    return np.concatenate(found)


def frechet_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """|mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) of features [N, D] and [M, D], N and M of 2 or more.

    The trace of the root is the sum of the singular values of A B^T, where C_a = A^T A: exact for any N, also below D.
    """
    _check(a, b)
    means = a.mean(0), b.mean(0)
    roots = [np.linalg.qr((x - m) / np.sqrt(len(x) - 1), mode="r") for x, m in zip((a, b), means)]
    overlap = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    spread = sum(float(np.square(r).sum()) for r in roots)
    return float(max(np.square(means[0] - means[1]).sum() + spread - 2 * overlap, 0.0))


def kernel_distance(a: NDArray[np.float64], b: NDArray[np.float64], seed: int = 0) -> float:
    """Unbiased squared maximum mean discrepancy with k(x, y) = (x y / D + 1)^3, mean over random subsets; it may be a
    little below 0 for equal distributions."""
    _check(a, b)
    rng = np.random.default_rng(seed)
    size = min(SUBSET, len(a), len(b))
    whole = size == len(a) == len(b)  # every subset is the set itself
    found = []
    for _ in range(1 if whole else SUBSETS):
        x, y = (s[rng.choice(len(s), size, replace=False)] for s in (a, b))
        xx, yy, xy = (_kernel(p, q) for p, q in ((x, x), (y, y), (x, y)))
        pairs = size * (size - 1)
        found.append((xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)) / pairs - 2 * xy.mean())
    return float(np.mean(found))


def _kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return (x @ y.T / x.shape[1] + 1.0) ** 3


def _check(a: NDArray[np.float64], b: NDArray[np.float64]) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"features of shapes {a.shape} and {b.shape}: expected [N, D] and [M, D], 2 pictures or more")


def set_scores(features: LiteFeatures, real: Tensor, generated: Tensor, what: str = "") -> dict[str, float]:
    """fid_lite0 and kid_lite0 of two sets of pictures, uint8 or float in -1..1, [N, 3, H, W]."""
    a, b = (pooled_features(features, p, what) for p in (real, generated))
    return {"fid_lite0": round(frechet_distance(a, b), 4), "kid_lite0": round(kernel_distance(a, b), 6)}


@torch.no_grad()
def paired_scores(features: LiteFeatures, output: Tensor, truth: Tensor) -> dict[str, float]:
    """psnr (dB, of 0..255 pictures) and lpips_lite0, means over pairs [N, 3, H, W]."""
    noise, distance = [], []
    for a, b in zip(output.split(BATCH), truth.split(BATCH)):
        x, y = normalised(a), normalised(b)
        error = (x - y).square().mean((1, 2, 3)).clamp(min=1e-10)
        noise.append(10 * torch.log10(4.0 / error))
        distance.append(perceptual_distance(features, x, y))
    psnr, perceptual = float(torch.cat(noise).mean()), float(torch.cat(distance).mean())
    return {"psnr": round(psnr, 3), "lpips_lite0": round(perceptual, 5)}


def flicker(source: Tensor, styled: Tensor) -> float:
    """Mean absolute change from picture to picture of a restyled stream, minus that of its source, in steps of 255;
    above 0 where the style adds changes of its own. Both [T, 3, H, W], T of 2 or more, in the order of time."""
    if source.shape != styled.shape or len(source) < 2:
        raise ValueError(f"streams of shapes {list(source.shape)} and {list(styled.shape)}: expected equal, T >= 2")
    return _change(normalised(styled)) - _change(normalised(source))


def _change(stream: Tensor) -> float:
    return float((stream[1:] - stream[:-1]).abs().mean()) * 127.5
