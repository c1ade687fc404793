"""Released checkpoints in, our models out; this file reads those of SPVNAS, the others have files of their own.

A released `init` is a torch file {'model': state dict, …}, its keys often behind `module.` (DistributedDataParallel);
beside it `net.config` is JSON ({"num_classes": 19, "cr": 0.5, …}, for SPVNAS its widths and depths). How files are read
and written stands in checkpoints.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from models.checkpoints import read_checkpoint, save_model, strip_prefix
from models.facts import ModelError, ModelFacts
from models.pvcnn import official as pvcnn
from models.spvcnn.build import build_network, facts_of
from models.spvcnn.presets import OFFICIAL_FEATURES, NetworkSpec, scaled
from models.spvcnn.search_space import OFFICIAL
from models.spvcnn.subnet import Subnet
from models.spvcnn.supernet import SuperNetwork
from models.state import load_weights

__all__ = ["channels_of", "convert", "read_checkpoint", "save_model", "strip_prefix"]


def channels_of(state: Mapping[str, torch.Tensor]) -> tuple[int, ...]:
    """The nine widths of a MinkUNet or SPVCNN state dict. Raises ModelError where it is neither."""
    keys = (
        ["stem.3.kernel"]
        + [f"stage{i}.2.net.3.kernel" for i in range(1, 5)]
        + [f"up{i}.1.1.net.3.kernel" for i in range(1, 5)]
    )
    missing = [k for k in keys if k not in state]
    if missing:
        raise ModelError(
            f"the checkpoint has no {missing[0]}: expected a MinkUNet or SPVCNN of SPVNAS; found {sorted(state)[:3]} …"
        )
    return tuple(int(state[k].shape[-1]) for k in keys)


def convert(checkpoint: str | Path, out: str | Path, architecture: str, config: str | Path | None = None) -> ModelFacts:
    """Converts a released checkpoint to a model folder `out`; returns its facts.

    architecture: "spvcnn" or "minkunet" (the file does not say: both hold the same keys), "spvnas", "pvcnn-s3dis",
    "pvcnn-shapenet", "bevfusion" or "gan" (which GAN the file says; models/gan/official.py); "auto" is "bevfusion" or
    "gan" for a file with its keys, "spvcnn" otherwise. config: `net.config`, checked against the file where given; for
    "spvnas" the sub-network, without which nothing is known of it. Raises ModelError; nothing is written in that case.
    """
    if architecture.startswith("gan"):
        from models.gan import official as gan

        return gan.convert(checkpoint, out, architecture, config)
    if architecture.startswith("pvcnn-"):
        return pvcnn.convert(checkpoint, out, architecture)
    state = read_checkpoint(checkpoint)
    if architecture == "auto":
        from models.gan import official as gan

        if gan.is_gan(state):
            return gan.convert_state(state, checkpoint, out, "gan", config)
    if architecture in ("auto", "bevfusion"):
        from models.bevfusion import official as bevfusion

        if architecture == "bevfusion" or bevfusion.is_bevfusion(state):
            return save_model(*bevfusion.read_state(state, str(checkpoint), Path(out).name), out)
        architecture = "spvcnn"
    if architecture == "spvnas":
        return _convert_spvnas(state, checkpoint, out, config)
    channels = channels_of(state)
    if config is not None:
        told = _net_config(config)
        if "cr" in told and scaled(float(told["cr"])) != channels:
            raise ModelError(
                f"{config} says cr {told['cr']} (widths {scaled(float(told['cr']))}), "
                f"{checkpoint} has widths {channels}"
            )
    classes = int(state["classifier.0.weight"].shape[0])
    spec = NetworkSpec(architecture, channels, classes)
    facts = facts_of(spec, Path(out).name)
    if any(k.startswith("point_transforms.") for k in state) and architecture == "minkunet":
        facts = replace(facts, network=dict(facts.network, point_branch=True))
    network = build_network(facts)
    load_weights(network, state, str(checkpoint))
    return save_model(network, replace(facts, trained=True, training_data="SemanticKITTI (released weights)"), out)


def _convert_spvnas(
    state: dict[str, torch.Tensor], checkpoint: str | Path, out: str | Path, config: str | Path | None
) -> ModelFacts:
    """A released sub-network, or one out of a released super network, by the choices of its `net.config`."""
    if config is None:
        raise ModelError(f"{checkpoint}: an SPVNAS checkpoint needs its net.config; give --config FILE")
    subnet = Subnet.from_config(_net_config(config))
    if "classifier.linear.weight" not in state or "stem.0.kernel" not in state:
        raise ModelError(f"{checkpoint} is not a SPVNAS checkpoint: found {sorted(state)[:3]} …")
    classes, inputs = int(state["classifier.linear.weight"].shape[0]), int(state["stem.0.kernel"].shape[1])
    spec = NetworkSpec("spvnas", subnet.channels, classes, OFFICIAL_FEATURES[:inputs], subnet=subnet)
    facts = facts_of(spec, Path(out).name)
    network = build_network(facts)
    if any(".feature.layers." in key for key in state):  # the super network
        space = replace(OFFICIAL, lower=tuple(map(min, OFFICIAL.lower, subnet.channels)))
        whole = SuperNetwork(space, classes, inputs)
        load_weights(whole, state, str(checkpoint))
        state = whole.part(subnet)
    # the released sub-networks keep the super network's classifier and read its first channels
    weight = state["classifier.linear.weight"][:, : subnet.channels[8]]
    load_weights(network, {**state, "classifier.linear.weight": weight}, str(checkpoint))
    return save_model(network, replace(facts, trained=True, training_data="SemanticKITTI (released weights)"), out)


def _net_config(path: str | Path) -> dict[str, Any]:
    """The JSON object of a net.config; raises ModelError."""
    try:
        found = json.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not a net.config ({error}): expected the JSON file released with `init`") from None
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds a {type(found).__name__}: expected the JSON object released with `init`")
    return found
