"""Figures of a released generator of latent vectors: scores of its pictures, and for AnyCost those of its sub-networks
by resolution and channel ratio, each with multiply-accumulates and latency."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.gan.anycost import RATIOS, AnycostGenerator
from models.gan.macs import count_macs, count_parameters
from training.gan.anycost import sub_network_scores
from training.gan.compression_search import milliseconds
from training.gan.features import LiteFeatures
from training.gan.packs import Pack
from training.gan.scores import set_scores

ARCHITECTURES = ("gan-anycost", "gan-stylegan2-ada", "gan-msg", "gan-plain")
LEVELS = 3  # finest resolutions of AnyCost
SEED = 1


class SubNetwork(nn.Module):
    """A generator with its widths and resolution fixed: z [N, style_dim] -> pictures."""

    def __init__(self, network: AnycostGenerator, ratio: float, resolution: int):
        super().__init__()
        self.network, self.channels, self.resolution = network, network.channels(ratio), resolution

    def forward(self, z: Tensor) -> Tensor:
        """Pictures [N, 3, resolution, resolution]."""
        return self.network(z, channels=self.channels, resolution=self.resolution)


def latent_length(network: Any) -> int:
    """Length of a generator's z."""
    for name in ("style_dim", "z_dim", "latent"):
        if hasattr(network, name):
            return int(getattr(network, name))
    return int(network.layers[0].conv_1.weight.shape[0])  # MSG-GAN


@torch.no_grad()
def generated(network: Any, count: int) -> Tensor:
    """Pictures [count, 3, R, R] of seeded latent vectors, and of classes in turn where the network has classes."""
    draws = torch.Generator().manual_seed(SEED)
    z = torch.randn(count, latent_length(network), generator=draws)
    classes = int(getattr(network, "classes", 0) or getattr(network, "c_dim", 0))
    labels = torch.arange(count) % max(classes, 1)
    if hasattr(network, "c_dim"):
        one_hot = torch.nn.functional.one_hot(labels, max(classes, 1)).float()
        return network(z, one_hot if classes else None, noise_mode="const")
    found = network(z, labels) if classes else network(z)
    return found[-1] if isinstance(found, list) else found


def latent_metrics(network: Any, held: Pack, options: Any) -> dict[str, Any]:
    """Scores against the held-out pictures, and the rows of AnyCost's sub-networks. options: threads, runtimes."""
    real, lite = held["pictures"], LiteFeatures()
    scores = set_scores(lite, real, generated(network, len(real)))
    found: dict[str, Any] = {"scores": scores | {"parameters": count_parameters(network), "pictures": len(real)}}
    if not isinstance(network, AnycostGenerator):
        return found
    z, rows = torch.randn(1, network.style_dim), []
    for side in [network.resolution // 2**i for i in range(LEVELS)]:
        for ratio in RATIOS[::-1]:
            part = SubNetwork(network, ratio, side).eval()
            row = {"resolution": side, "ratio": ratio, "mmacs": round(count_macs(part, z).true / 1e6, 2)}
            row["ms"] = {r: round(milliseconds(part, z, r, options.threads), 3) for r in options.runtimes}
            rows.append(row | sub_network_scores(network, real, side, ratio, lite))
    return found | {"sub_networks": rows}


def sub_network_table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows in Markdown."""
    names = ("resolution", "ratio", "mmacs", "ms", "fid_lite0", "consistency_psnr", "consistency_lpips_lite0")
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for row in rows:
        shown = {**row, "ms": next(iter(row["ms"].values()))}
        lines.append("| " + " | ".join(str(shown[name]) for name in names) + " |")
    return [*lines, ""]
