"""The text-book start: a plain GAN (Goodfellow et al., 2014) with the convolutions of DCGAN (Radford et al., 2016).

`classes` 0 is unconditional. With classes, an embedding of the class is joined to the generator's latent vector, and
the discriminator adds the inner product of the class's vector with its features (projection, Miyato & Koyama, 2018).
"""

from __future__ import annotations

from math import log2

import torch
from torch import Tensor, nn


def _levels(size: int) -> int:
    if size < 8 or 2 ** int(log2(size)) != size:
        raise ValueError(f"picture size is {size} px: expected a power of two, 8 or more")
    return int(log2(size)) - 2


def _check_labels(labels: Tensor | None, classes: int) -> None:
    if (labels is None) != (classes == 0):
        given = "no labels were given" if labels is None else "labels were given"
        raise ValueError(f"{given}, but the network has {classes} classes")


class PlainGenerator(nn.Module):
    """Latent vector to picture by transposed 4x4 convolutions, batch norm and ReLU, tanh at the end.

    size: of the square picture, px, a power of two · latent: length of z · width: channels of the last hidden layer,
    doubled at every coarser one up to 8 times · classes: 0, or the number of classes · channels of the picture.
    """

    def __init__(self, size: int = 64, latent: int = 128, width: int = 32, classes: int = 0, channels: int = 3):
        super().__init__()
        levels = _levels(size)
        self.size, self.latent, self.classes = size, latent, classes
        self.embed = nn.Embedding(classes, latent) if classes else None
        widths = [width * min(2**i, 8) for i in reversed(range(levels))]
        layers: list[nn.Module] = []
        inputs = 2 * latent if classes else latent
        for i, outputs in enumerate(widths):
            stride, padding = (1, 0) if i == 0 else (2, 1)
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False)]
            layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs = outputs
        self.model = nn.Sequential(*layers, nn.ConvTranspose2d(inputs, channels, 4, 2, 1), nn.Tanh())

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """z float [N, latent] · labels int [N] where there are classes -> pictures [N, channels, size, size]."""
        _check_labels(labels, self.classes)
        if self.embed is not None and labels is not None:
            z = torch.cat([z, self.embed(labels)], 1)
        return self.model(z[:, :, None, None])


class PlainDiscriminator(nn.Module):
    """Picture to one score by 4x4 convolutions of stride 2 with LeakyReLU 0.2; arguments as in PlainGenerator."""

    def __init__(self, size: int = 64, width: int = 32, classes: int = 0, channels: int = 3):
        super().__init__()
        levels = _levels(size)
        self.classes = classes
        layers: list[nn.Module] = []
        inputs = channels
        for i in range(levels):
            outputs = width * min(2**i, 8)
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=i == 0)]
            layers += ([nn.BatchNorm2d(outputs)] if i else []) + [nn.LeakyReLU(0.2)]
            inputs = outputs
        self.model = nn.Sequential(*layers)
        self.score = nn.Conv2d(inputs, 1, 4)
        self.project = nn.Embedding(classes, inputs) if classes else None

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """x float [N, channels, size, size] · labels int [N] where there are classes -> scores [N, 1]."""
        _check_labels(labels, self.classes)
        features = self.model(x)  # [N, C, 4, 4]
        score = self.score(features).flatten(1)
        if self.project is not None and labels is not None:
            score = score + (self.project(labels) * features.mean((2, 3))).sum(1, keepdim=True)
        return score
