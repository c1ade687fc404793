"""Systems of SPADE: generators of both layouts, the super network, the discriminator and the encoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.gan.spade_discriminator import MultiscaleDiscriminator
from models.gan.spade_encoder import SpadeEncoder
from models.gan.spade_generator import OFFICIAL_HIDDEN, MobileSpadeGenerator, SpadeGenerator
from models.gan.spade_supernet import SuperMobileSpadeGenerator
from models.gan.spectral import fold_spectral_norm
from tests.parity.gan_common import filled, furthest, tensor
from tests.parity.vectors import Vector


def semantics(vector: Vector) -> Tensor:
    """The map of the vector: one-hot labels in the first channels, the stored edges in the last."""
    label, with_edge = tensor(vector, "label").long(), "edge" in vector.inputs
    classes = vector.meta["constructor"]["semantic_nc"] - int(with_edge)
    hot = torch.nn.functional.one_hot(label, classes).permute(2, 0, 1).float()
    return torch.cat([hot, tensor(vector, "edge")[None].float()] if with_edge else [hot])[None]


def numbers(vector: Vector) -> dict[str, Any]:
    """Arguments that all generators share, by our names."""
    told = vector.meta["constructor"]
    names = {"semantic_nc": "semantic_nc", "ngf": "ngf", "norm_G": "norm", "num_upsampling_layers": "upsampling"}
    names |= {"crop_size": "crop_size", "aspect_ratio": "aspect_ratio", "output_nc": "output_nc"}
    names |= {"separable_conv_norm": "separable_norm"}
    return {ours: told[theirs] for theirs, ours in names.items() if theirs in told}


@torch.inference_mode()
def run_nvlabs(vector: Vector) -> dict[str, np.ndarray]:
    """The picture, with spectral norm as stored and folded into plain convolutions, whichever is further off."""
    told = vector.meta["constructor"]
    latent = told["z_dim"] if told["use_vae"] else None
    network = filled(SpadeGenerator(**numbers(vector), hidden=OFFICIAL_HIDDEN, z_dim=latent), vector)
    z = tensor(vector, "z") if latent else None
    x = semantics(vector)
    return {"y": furthest(vector, "y", [network(x, z), fold_spectral_norm(network)(x, z)])}


@torch.inference_mode()
def run_compressed(vector: Vector) -> dict[str, np.ndarray]:
    """GAN Compression's dense, mobile and super networks; sub-networks inside and extracted."""
    kinds: dict[str, Any] = {
        "SPADEGenerator": SpadeGenerator,
        "MobileSPADEGenerator": MobileSpadeGenerator,
        "SuperMobileSPADEGenerator": SuperMobileSpadeGenerator,
    }
    told = vector.meta["constructor"]
    extra = {"config": told["config"]} if "config" in told else {}
    kind = kinds.get(vector.meta["cls"].rsplit(".", 1)[-1], MobileSpadeGenerator)  # a sub-network is mobile
    network = filled(kind(**numbers(vector), **extra), vector)
    x, found = semantics(vector), {}
    if kind is not SuperMobileSpadeGenerator:
        return {"y": network(x).numpy()}
    for config in vector.meta["facts"]["configs"]:
        network.select(config)
        name = f"y_{config}"
        found[name] = furthest(vector, name, [network(x), network.extract(config)(x)])
    return found


@torch.inference_mode()
def run_discriminator(vector: Vector) -> dict[str, np.ndarray]:
    """Features of every layer at every scale."""
    told = vector.meta["constructor"]
    channels = told["semantic_nc"] + told["output_nc"]
    kind = MultiscaleDiscriminator(channels, told["ndf"], told["n_layers_D"], told["num_D"], told["norm_D"])
    found = filled(kind, vector)(torch.cat([semantics(vector), tensor(vector, "image")], 1))
    return {f"D{i}_feat{j}": f.numpy() for i, scale in enumerate(found) for j, f in enumerate(scale)}


@torch.inference_mode()
def run_encoder(vector: Vector) -> dict[str, np.ndarray]:
    """Mean and log variance."""
    told = vector.meta["constructor"]
    network = SpadeEncoder(told["ngf"], told["z_dim"], told["crop_size"], told["norm_E"], told["output_nc"])
    mean, log_variance = filled(network, vector)(tensor(vector, "image"))
    return {"mu": mean.numpy(), "logvar": log_variance.numpy()}
