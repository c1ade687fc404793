"""Depth as a distribution over bins whose width grows linearly with depth, and one bin for everything beyond them.

Lift, Splat, Shoot (Philion and Fidler, ECCV 2020) predicts a categorical depth per cell over uniform bins; widths that
grow linearly are CaDDN's (Reading et al., CVPR 2021, eq. 1, there from zero). The last class, "beyond", takes the sky
and what is farther than the last bin: a cell that sees only these lifts nothing into the BEV.

Depth is canonical: metres times FOCAL over the focal length of the picture at hand, so that one network serves cameras
of any focal length (W. Yin et al., "Metric3D", ICCV 2023, section 3.2): what is seen alike gets the same bin.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.facts import ModelError

FOCAL = 608.0  # px: nuScenes' front camera in pictures of 704 px

@dataclass(frozen=True)
class DepthBins:
    """count bins from `nearest` to `farthest` canonical metres along the optical axis, the first `first_width` wide."""

    nearest: float = 2.0
    farthest: float = 80.0
    count: int = 48
    first_width: float = 0.5

    def __post_init__(self) -> None:
        if not (0 < self.nearest < self.farthest and self.count >= 2 and 0 < self.first_width):
            raise ModelError(f"depth bins {self}: expected 0 < nearest < farthest, at least two bins, a positive width")
        if self.first_width * self.count > self.farthest - self.nearest:
            raise ModelError(f"depth bins {self}: {self.count} bins of {self.first_width} m reach beyond farthest")

    @property
    def classes(self) -> int:
        """Bins and the class "beyond"."""
        return self.count + 1

    def edges(self) -> Tensor:
        """float32 [count + 1], m: bin i lies between edges i and i + 1."""
        i = torch.arange(self.count + 1, dtype=torch.float64)
        rest = self.farthest - self.nearest - self.first_width * self.count
        growth = rest / (self.count * (self.count - 1) / 2)  # m by which each bin is wider than the one before
        return (self.nearest + self.first_width * i + growth * i * (i - 1) / 2).float()

    def centres(self) -> Tensor:
        """float32 [count], m."""
        edges = self.edges()
        return (edges[1:] + edges[:-1]) / 2

    def classes_of(self, depth: Tensor) -> Tensor:
        """int64 class of each depth (m, any shape): nearer than the first bin counts as the first, infinity is beyond.

        NaN is beyond too.
        """
        edges = self.edges().to(depth.device)
        found = torch.bucketize(depth, edges, right=True) - 1
        found = torch.where(torch.isnan(depth), self.count, found)
        return found.clamp(0, self.count)

    def expected(self, logits: Tensor) -> Tensor:
        """Depth in metres from logits [N, classes, ...]: the mean over the bins, given that it is not beyond them."""
        probability = logits[:, : self.count].float().softmax(1)
        shape = (1, -1) + (1,) * (logits.ndim - 2)
        return (probability * self.centres().to(logits.device).view(shape)).sum(1)
