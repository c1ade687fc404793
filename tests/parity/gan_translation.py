"""Systems of image translation (GAN Compression's ResNet generators, PatchGAN) and DiffAugment."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from models.gan.augment import Draws, augment, draw
from models.gan.patchgan import NLayerDiscriminator
from models.gan.resnet import MobileResnetGenerator, ResnetGenerator, SubMobileResnetGenerator
from models.gan.resnet_supernet import SuperMobileResnetGenerator
from tests.parity.gan_common import filled, furthest, options, tensor
from tests.parity.vectors import Vector

GENERATORS: dict[str, type[nn.Module]] = {
    "GAN Compression teacher generator": ResnetGenerator,
    "GAN Compression mobile generator": MobileResnetGenerator,
    "GAN Compression compressed generator": SubMobileResnetGenerator,
}
NAMES = {k: k for k in ("input_nc", "output_nc", "ngf", "n_blocks", "norm", "config")} | {"dropout_rate": "dropout"}


@torch.inference_mode()
def run_generator(vector: Vector) -> dict[str, np.ndarray]:
    """The picture of a generator."""
    network = filled(GENERATORS[vector.system](**options(vector, NAMES)), vector)
    return {"y": network(tensor(vector, "x")).numpy()}


@torch.inference_mode()
def run_supernet(vector: Vector) -> dict[str, np.ndarray]:
    """Per configuration: the super network and the extracted student, whichever is further off."""
    network = filled(SuperMobileResnetGenerator(**options(vector, NAMES)), vector)
    x, found = tensor(vector, "x"), {}
    for config in vector.meta["facts"]["configs"]:
        network.select(config)
        name = f"y_{config}"
        found[name] = furthest(vector, name, [network(x), network.extract(config)(x)])
    return found


@torch.inference_mode()
def run_patchgan(vector: Vector) -> dict[str, np.ndarray]:
    """Scores of the patches."""
    names = {k: k for k in ("input_nc", "ndf", "n_layers", "norm")}
    return {"y": filled(NLayerDiscriminator(**options(vector, names)), vector)(tensor(vector, "x")).numpy()}


def run_diffaugment(vector: Vector) -> dict[str, np.ndarray]:
    """Per policy: the given draws, the result and the gradient of sum(y w); the order of drawing is checked by drawing
    the same numbers one by one."""
    weights, found = tensor(vector, "w"), {}
    for policy in vector.meta["constructor"]["policies"]:
        prefix = policy.replace(",", "+")
        start = f"{prefix}/draw/"
        given = {k[len(start) :]: torch.from_numpy(v) for k, v in vector.expected.items() if k.startswith(start)}
        draws = Draws(**{k: v if v.is_floating_point() else v.long() for k, v in given.items()})
        x = tensor(vector, "x").requires_grad_()
        y = augment(x, policy, draws=draws)
        (y * weights).sum().backward()
        _check_order(x.detach(), policy)
        found |= {start + k: v.numpy() for k, v in given.items()}
        assert x.grad is not None
        found |= {f"{prefix}/y": y.detach().numpy(), f"{prefix}/grad": x.grad.numpy()}
    return found


def _check_order(x: torch.Tensor, policy: str) -> None:
    n, height, width = len(x), x.shape[2], x.shape[3]
    found = draw(x, policy, torch.Generator().manual_seed(5))
    dice = torch.Generator().manual_seed(5)
    for name in policy.split(","):
        if name == "color":
            for own in (found.brightness, found.saturation, found.contrast):
                _same(own, torch.rand(n, 1, 1, 1, generator=dice))
            continue
        pair = (found.translation_x, found.translation_y) if name == "translation" else (found.offset_x, found.offset_y)
        for own, side in zip(pair, (height, width)):
            most, size = int(side * 0.125 + 0.5), int(side * 0.5 + 0.5)
            low, high = (-most, most + 1) if name == "translation" else (0, side + (1 - size % 2))
            _same(own, torch.randint(low, high, (n, 1, 1), generator=dice))


def _same(own: torch.Tensor | None, expected: torch.Tensor) -> None:
    if own is None or not torch.equal(own, expected.flatten()):
        raise ValueError("DiffAugment draws its random numbers in another order than the reference")
