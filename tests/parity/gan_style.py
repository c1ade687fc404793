"""Systems of StyleGAN2, StyleGAN2-ADA, AnyCost GAN and MSG-GAN."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.gan.anycost import AnycostGenerator
from models.gan.msggan import MsgDiscriminator, MsgGenerator
from models.gan.style_discriminator import MultiResolutionDiscriminator, StyleGan2Discriminator
from models.gan.stylegan2_ada import StyleGan2AdaGenerator
from models.gan.stylegan2_ada_discriminator import StyleGan2AdaDiscriminator
from tests.parity.gan_common import filled, options, tensor
from tests.parity.vectors import Vector
from training.gan.losses import relativistic_hinge_d, relativistic_hinge_g

RESOLUTION = {k: k for k in ("resolution", "channel_multiplier", "channel_max", "blur_kernel", "n_res", "modulate")}
MAPPING = {k: k for k in ("style_dim", "n_mlp", "lr_mlp")}
ADA = {
    k: k
    for k in ("c_dim", "img_resolution", "img_channels", "channel_base", "channel_max", "conv_clamp", "z_dim", "w_dim")
} | {"num_fp16_res": "", "num_layers": "num_layers", "mbstd_group_size": "mbstd_group_size"}


@torch.inference_mode()
def run_anycost(vector: Vector) -> dict[str, np.ndarray]:
    """Every ratio at every resolution, free channels, style mixing, truncation, pictures of all levels."""
    network: AnycostGenerator = filled(AnycostGenerator(**options(vector, RESOLUTION | MAPPING)), vector)
    z, z2, facts = tensor(vector, "z"), tensor(vector, "z2"), vector.meta["facts"]
    told = {float(r): tuple(c) for r, c in facts.get("channels_by_ratio", {}).items()}
    found: dict[str, Tensor] = {}
    for ratio in facts["ratios"]:
        channels = network.channels(ratio)
        if told and told[ratio] != channels:
            raise ValueError(f"ratio {ratio} means channels {channels} here, {told[ratio]} there")
        for side in facts["target_res"]:
            found[f"img_ratio{ratio}_res{side}"] = network(z, channels, side)
    found["img_flex"] = network(z, facts["flex_channels"])
    found["img_mix"] = network(torch.stack([z, z2], 1), inject_index=facts["inject_index"])
    w = network.mapping(z[:, None])
    found["w"] = w
    mean = w.mean(0, keepdim=True)
    found["img_trunc"] = network(w, truncation=facts["truncation"], mean_w=mean, input_is_w=True)
    for picture in network.synthesis(network.spread(network.mapping(z))):
        found[f"rgb_res{picture.shape[-1]}"] = picture
    return {k: v.numpy() for k, v in found.items()}


@torch.inference_mode()
def run_discriminator(vector: Vector) -> dict[str, np.ndarray]:
    """The score of one resolution."""
    network = filled(StyleGan2Discriminator(**options(vector, RESOLUTION)), vector)
    return {"y": network(tensor(vector, "x")).numpy()}


@torch.inference_mode()
def run_multi_resolution(vector: Vector) -> dict[str, np.ndarray]:
    """Scores of every resolution with the stored architecture vector and with it moved by three places."""
    network = filled(MultiResolutionDiscriminator(**options(vector, RESOLUTION)), vector)
    g_arch = tensor(vector, "g_arch") if "g_arch" in vector.inputs else None
    found = {}
    for name in (n for n in vector.inputs if n.startswith("x")):
        found[f"y{name[1:]}"] = network(tensor(vector, name), g_arch).numpy()
        if g_arch is not None:
            found[f"y{name[1:]}_arch2"] = network(tensor(vector, name), g_arch.roll(3)).numpy()
    return found


def _flat(vector: Vector) -> dict[str, Any]:
    """Constructor arguments of StyleGAN2-ADA with the nested ones at the top."""
    told = dict(vector.meta["constructor"])
    for nested in ("mapping_kwargs", "synthesis_kwargs", "epilogue_kwargs"):
        told |= told.pop(nested, {})
    unknown = sorted(set(told) - set(ADA))
    if unknown:
        raise ValueError(f"constructor arguments {unknown} are unknown; known: {sorted(ADA)}")
    return {ADA[k]: v for k, v in told.items() if ADA[k]}


def _classes(vector: Vector) -> Tensor | None:
    if "class_index" not in vector.inputs:
        return None
    return torch.nn.functional.one_hot(
        tensor(vector, "class_index").long(), vector.meta["constructor"]["c_dim"]
    ).float()


@torch.inference_mode()
def run_ada_generator(vector: Vector) -> dict[str, np.ndarray]:
    """Style vectors, pictures with stored noise, truncated, and without noise."""
    network: StyleGan2AdaGenerator = filled(StyleGan2AdaGenerator(**_flat(vector)), vector)
    z, c, psi = tensor(vector, "z"), _classes(vector), vector.meta["facts"]["truncation_psi"]
    return {
        "ws": network.style(z, c).numpy(),
        "img": network(z, c, noise_mode="const").numpy(),
        "img_psi": network(z, c, psi, noise_mode="const").numpy(),
        "img_nonoise": network(z, c, noise_mode="none").numpy(),
    }


@torch.inference_mode()
def run_ada_discriminator(vector: Vector) -> dict[str, np.ndarray]:
    """Scores."""
    network = filled(StyleGan2AdaDiscriminator(**_flat(vector)), vector)
    return {"score": network(tensor(vector, "img"), _classes(vector)).numpy()}


@torch.inference_mode()
def run_msg_generator(vector: Vector) -> dict[str, np.ndarray]:
    """Pictures of all resolutions."""
    network = filled(MsgGenerator(**options(vector, {"depth": "depth", "latent_size": "latent_size"})), vector)
    return {f"img{p.shape[-1]}": p.numpy() for p in network(tensor(vector, "z"))}


@torch.inference_mode()
def run_msg_discriminator(vector: Vector) -> dict[str, np.ndarray]:
    """Scores of real and generated pictures and the losses made of them."""
    network = filled(MsgDiscriminator(**options(vector, {"depth": "depth", "feature_size": "feature_size"})), vector)
    sides = sorted(int(n[4:]) for n in vector.inputs if n.startswith("fake"))
    fake, real = (network([tensor(vector, f"{kind}{s}") for s in sides]) for kind in ("fake", "real"))
    losses = {"rahinge_d": relativistic_hinge_d(real, fake), "rahinge_g": relativistic_hinge_g(real, fake)}
    return {"score_fake": fake.numpy(), "score_real": real.numpy(), **{k: v[None].numpy() for k, v in losses.items()}}
