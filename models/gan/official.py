"""Released GAN checkpoints in (`latest_net_G.pth`, `g_ema` files, state dicts), model folders out.

What network a state dict belongs to, and its sizes, follow from the names and shapes of its tensors. What they do not
say (SPADE's picture size) comes from a JSON file beside it or is the published setting of that number of labels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from models.checkpoints import read_checkpoint, save_model
from models.facts import ModelError, ModelFacts
from models.gan.build import ARCHITECTURES, build_network, facts_of
from models.gan.official_style import ada_network, anycost_network, msg_network, stylegan2_discriminator
from models.gan.resnet_config import config_name
from models.state import load_weights

State = dict[str, Tensor]
Found = tuple[str, dict[str, Any]]  # architecture, constructor arguments
# Settings of the published SPADE networks by channels of their semantic map: Cityscapes; COCO-Stuff; ADE20K.
SPADE_SETTINGS: dict[int, dict[str, Any]] = {
    36: {"upsampling": "more", "crop_size": 512, "aspect_ratio": 2.0},
    184: {"upsampling": "normal", "crop_size": 256, "aspect_ratio": 1.0},
    151: {"upsampling": "normal", "crop_size": 256, "aspect_ratio": 1.0},
}
# Architectures with the same keys and shapes: the file cannot say which of them it is.
ALIKE = (
    {"gan-mobile-resnet", "gan-sub-mobile-resnet", "gan-super-mobile-resnet"},
    {"gan-mobile-spade", "gan-super-mobile-spade"},
)


def convert(
    checkpoint: str | Path, out: str | Path, architecture: str = "gan", config: str | Path | None = None
) -> ModelFacts:
    """Converts a released checkpoint to a model folder `out`; returns its facts.

    architecture: "gan" (found from the file) or a key of ARCHITECTURES, which the file must then fit · config: JSON
    with constructor arguments that the file does not hold, e.g. {"crop_size": 256, "aspect_ratio": 1.0}.
    Raises ModelError; nothing is written in that case.
    """
    if architecture != "gan" and architecture not in ARCHITECTURES:
        raise ModelError(f"architecture {architecture!r} is unknown; known: gan, {', '.join(ARCHITECTURES)}")
    return convert_state(read_checkpoint(checkpoint), checkpoint, out, architecture, config)


def is_gan(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has the keys of a network that `identify` knows."""
    marks = [mark for mark, _ in READERS if mark in state]
    return bool(marks) and (marks != ["model.0.weight"] or state["model.0.weight"].shape[2:] == (4, 4))


def convert_state(
    state: Mapping[str, Tensor],
    checkpoint: str | Path,
    out: str | Path,
    architecture: str = "gan",
    config: str | Path | None = None,
) -> ModelFacts:
    """`convert` of a file that was read."""
    state = cleaned(state)
    found, network = identify(state, str(checkpoint), _told(config))
    if architecture not in ("gan", found):
        if not any({architecture, found} <= group for group in ALIKE):
            raise ModelError(f"{checkpoint} holds a {found}, not a {architecture}; leave the architecture out")
        found, network = architecture, _as(architecture, network, str(checkpoint))
    facts = facts_of(found, network, Path(out).name)
    module = build_network(facts)
    load_weights(module, _with_fixed(state, module.state_dict()), str(checkpoint))
    return save_model(module, replace(facts, trained=True, training_data="released weights"), out)


def _told(config: str | Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    try:
        told = json.loads(Path(config).read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"{config} is not readable as JSON ({error}); expected constructor arguments") from None
    if not isinstance(told, dict):
        raise ModelError(f"{config} holds {type(told).__name__}: expected a mapping of constructor arguments")
    return told


def _as(architecture: str, network: dict[str, Any], source: str) -> dict[str, Any]:
    """The arguments of one architecture as those of another with the same keys."""
    network = dict(network)
    if "sub" in architecture:
        return network | {"config": network.get("config") or config_name((network.pop("ngf"),) * 8)}
    if "config" not in network:
        return network
    config = str(network.pop("config"))
    widths = set(config.split("_"))
    if len(widths) > 1:
        raise ModelError(f"{source} has widths {config}: a {architecture} has one width in all places")
    return {**network, "ngf": int(widths.pop())}


def cleaned(state: Mapping[str, Tensor]) -> State:
    """Keys as our networks spell them: running statistics of instance norms (PyTorch before 0.4) are dropped, and
    blocks that were built without a dropout layer get the numbers of those with one."""
    out = dict(state)
    for key in state:
        base, _, last = key.rpartition(".")
        statistics = last in ("running_mean", "running_var", "num_batches_tracked")
        if statistics and f"{base}.weight" not in state and base.startswith("model."):
            del out[key]
    if any(k.endswith("conv_block.5.weight") and v.ndim == 4 for k, v in out.items()):
        moved = {"conv_block.5.": "conv_block.6.", "conv_block.6.": "conv_block.7."}
        out = {_renamed(k, moved): v for k, v in out.items()}
    return out


def _renamed(key: str, moved: dict[str, str]) -> str:
    for old, new in moved.items():
        if old in key:
            return key.replace(old, new)
    return key


def _with_fixed(state: State, own: Mapping[str, Tensor]) -> State:
    """The state with buffers that every constructor makes alike (resampling filters) where a file leaves them out."""
    fixed = {k: v for k, v in own.items() if k.endswith((".kernel", ".resample_filter", "resample_filter"))}
    return {**{k: v for k, v in fixed.items() if k not in state}, **state}


def identify(state: State, source: str, told: Mapping[str, Any] | None = None) -> Found:
    """(architecture, constructor arguments) of a state dict. Raises ModelError for one that is of no known network."""
    for mark, reader in READERS:
        if mark in state:
            try:
                architecture, network = reader(state)
            except (KeyError, IndexError, ValueError) as error:
                raise ModelError(f"{source} looks damaged or incomplete: {error} is missing or does not fit") from None
            if "spade" in architecture and "semantic_nc" in network:
                network = {**SPADE_SETTINGS.get(network["semantic_nc"], {}), **network}
                if "crop_size" not in {*network, *(told or {})}:
                    raise ModelError(
                        f"{source}: the picture size of a SPADE network with {network['semantic_nc']} labels is not "
                        'known; give --config FILE with {"upsampling": "normal", "crop_size": 256, "aspect_ratio": 1.0}'
                    )
            return architecture, {**network, **(told or {})}
    raise ModelError(
        f"{source} is not a GAN checkpoint that is known: found {', '.join(sorted(state)[:3])} …; expected keys of "
        "pix2pix, CycleGAN, GAN Compression, SPADE, StyleGAN2, StyleGAN2-ADA, AnyCost GAN or MSG-GAN"
    )


def _count(state: State, start: str) -> int:
    """One more than the largest number N of the keys `start`N…"""
    numbers = [k[len(start) :].split(".")[0] for k in state if k.startswith(start)]
    return 1 + max(int(n) for n in numbers if n.isdigit())


def _norm(state: State, key: str) -> str:
    return "batch" if key in state else "instance"


def _resnet(state: State) -> Found:
    separable = "model.10.conv_block.1.conv.0.weight" in state
    blocks = sum(1 for k in state if k.endswith(("conv_block.1.weight", "conv_block.1.conv.0.weight")))
    up, last = f"model.{10 + blocks}.weight", f"model.{17 + blocks}.weight"
    network = {
        "input_nc": int(state["model.1.weight"].shape[1]),
        "output_nc": int(state[last].shape[0]),
        "n_blocks": blocks,
        "norm": _norm(state, "model.2.running_mean"),
    }
    if not separable:
        return "gan-resnet", {**network, "ngf": int(state["model.1.weight"].shape[0])}

    def inner(block: int) -> int:
        return int(state[f"model.{10 + block}.conv_block.1.conv.2.weight"].shape[0]) // 4

    config = (
        int(state["model.1.weight"].shape[0]),
        int(state["model.4.weight"].shape[0]) // 2,
        int(state["model.7.weight"].shape[0]) // 4,
        *(inner(min(3 * i, blocks - 1)) for i in range(3)),
        int(state[up].shape[1]) // 2,
        int(state[f"model.{13 + blocks}.weight"].shape[1]),
    )
    if len(set(config)) == 1:
        return "gan-mobile-resnet", {**network, "ngf": config[0]}
    return "gan-sub-mobile-resnet", {**network, "config": config_name(config)}


def _unet(state: State) -> Found:
    depth = max(k.count("model.") for k in state) - 1
    first = state["model.model.0.weight"]
    network = {"input_nc": int(first.shape[1]), "output_nc": int(state["model.model.3.weight"].shape[1])}
    norm = _norm(state, "model.model.1.model.2.running_mean")
    return "gan-unet", {**network, "num_downs": depth, "ngf": int(first.shape[0]), "norm": norm}


def _patchgan(state: State) -> Found:
    first = state["model.0.weight"]
    layers = (_count(state, "model.") - 3) // 3
    norm = _norm(state, "model.3.running_mean")
    return "gan-patchgan", {
        "input_nc": int(first.shape[1]),
        "ndf": int(first.shape[0]),
        "n_layers": layers,
        "norm": norm,
    }


def _weight(state: State, name: str) -> Tensor:
    return state[f"{name}.weight_orig"] if f"{name}.weight_orig" in state else state[f"{name}.weight"]


def _spade(state: State) -> Found:
    spectral = "spectral" if "head_0.conv_0.weight_orig" in state else ""
    shared = state["head_0.norm_0.mlp_shared.0.weight"]
    inner_norm = "syncbatch" if "head_0.norm_0.param_free_norm.running_mean" in state else "instance"
    kernel = int(shared.shape[2])
    separable = "head_0.norm_0.mlp_gamma.conv.0.weight" in state
    trunk = int(_weight(state, "head_0.conv_0").shape[1])
    config = (
        trunk // 16,
        *(int(_weight(state, f"{n}.conv_0").shape[0]) // 16 for n in ("head_0", "G_middle_0", "G_middle_1")),
        *(int(_weight(state, f"up_{i}.conv_1").shape[0]) // f for i, f in enumerate((8, 4, 2, 1))),
    )
    network: dict[str, Any] = {
        "semantic_nc": int(shared.shape[1]),
        "norm": f"{spectral}spade{inner_norm}{kernel}x{kernel}",
    }
    network["output_nc"] = int(state["conv_img.weight"].shape[0])
    if "up_4.conv_0.weight" in state or "up_4.conv_0.weight_orig" in state:
        network["upsampling"] = "most"
    hidden = {n: int(state[f"{n}.norm_0.mlp_shared.0.weight"].shape[0]) for n in ("head_0", "up_3")}
    if hidden != {"head_0": 2 * config[1], "up_3": 2 * config[7]}:
        network["hidden"] = hidden["head_0"]
    if state["fc.weight"].ndim == 2:
        network["z_dim"] = int(state["fc.weight"].shape[1])
    if separable:
        return "gan-mobile-spade", {**network, "config": config_name(config)}
    return "gan-spade", {**network, "ngf": config[0]}


def _spade_discriminator(state: State) -> Found:
    first = state["discriminator_0.model0.0.weight"]
    layers = _count(state, "discriminator_0.model") - 1
    network = {"input_nc": int(first.shape[1]), "ndf": int(first.shape[0]), "n_layers": layers}
    return "gan-spade-discriminator", {**network, "num_d": _count(state, "discriminator_")}


def _spade_encoder(state: State) -> Found:
    first = _weight(state, "layer1.0")
    crop = 256 if any(k.startswith("layer6") for k in state) else 128
    z_dim = int(state["fc_mu.weight"].shape[0])
    return "gan-spade-encoder", {"ngf": int(first.shape[0]), "z_dim": z_dim, "crop_size": crop}


# A key that only this kind of network has -> how its sizes are read; the first that fits is taken.
READERS: tuple[tuple[str, Callable[[State], Found]], ...] = (
    ("to_rgb1.conv.weight", anycost_network),
    ("synthesis.b4.const", ada_network),
    ("rgb_converters.0.weight", msg_network),
    ("head_0.norm_0.mlp_shared.0.weight", _spade),
    ("discriminator_0.model0.0.weight", _spade_discriminator),
    ("fc_mu.weight", _spade_encoder),
    ("final_linear.0.weight", stylegan2_discriminator),
    ("model.model.0.weight", _unet),
    ("model.10.conv_block.1.weight", _resnet),
    ("model.10.conv_block.1.conv.0.weight", _resnet),
    ("model.0.weight", _patchgan),
)
