"""Normalisation of the image-translation networks, chosen by name as the official options do.

"instance": instance norm without parameters and without running statistics; convolutions before it keep their bias.
"batch": batch norm with scale and shift; convolutions before it have no bias. "none": no normalisation, no bias.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

NORMS = ("instance", "batch", "none")


class Kit(NamedTuple):
    """The layer classes that a network is built from: the plain ones of torch, or elastic ones (elastic.py)."""

    conv: Callable[..., nn.Module]
    conv_transpose: Callable[..., nn.Module]
    instance_norm: Callable[[int], nn.Module]
    batch_norm: Callable[..., nn.Module]

    def norm(self, name: str, channels: int) -> nn.Module:
        """The normalisation layer called `name` for `channels` channels. ValueError for an unknown name."""
        check_norm(name)
        if name == "instance":
            return self.instance_norm(channels)
        return self.batch_norm(channels) if name == "batch" else nn.Identity()


PLAIN = Kit(nn.Conv2d, nn.ConvTranspose2d, nn.InstanceNorm2d, nn.BatchNorm2d)


def check_norm(name: str) -> None:
    """ValueError unless `name` is one of NORMS."""
    if name not in NORMS:
        raise ValueError(f"norm {name!r} is unknown: expected one of {', '.join(NORMS)}")


def has_bias(norm: str) -> bool:
    """Whether a convolution in front of this norm has a bias in the official layouts."""
    check_norm(norm)
    return norm == "instance"
