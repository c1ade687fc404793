"""Released checkpoints in, our models out; this file reads those of SPVNAS, the others have files of their own.

A released `init` is a torch file {'model': state dict, …}, its keys often behind `module.` (DistributedDataParallel);
beside it `net.config` is JSON ({"num_classes": 19, "cr": 0.5, …}, for SPVNAS its widths and depths). Torch files are
read with `weights_only=True`, which refuses everything but tensors and plain containers: a file that wants to run code
is rejected. What is written is a model folder (weights.safetensors and model.yaml), the only thing that the sessions
read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from models.facts import (
    FACTS_FILE,
    ModelError,
    ModelFacts,
    load_state,
    refuse_not_finite,
    save_facts,
    sha256_of,
)
from models.spvcnn.build import build_network, facts_of
from models.spvcnn.plan import NetPlan
from models.spvcnn.presets import OFFICIAL_FEATURES, NetworkSpec, scaled
from models.spvcnn.search_space import OFFICIAL
from models.spvcnn.supernet import SuperNetwork
from models.state import load_weights


def read_checkpoint(path: str | Path) -> dict[str, torch.Tensor]:
    """The state dict in a torch or safetensors file, without `module.` prefixes. Raises ModelError."""
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"no checkpoint {path}; give the released file (often called `init`)")
    if path.suffix == ".safetensors":
        return strip_prefix(load_state(path))
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever the unpickler met
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{path} was refused: it holds something other than tensors, or is damaged ({reason[:200]}). Only tensors "
            "are read; if you trust its origin, load it where it was made and save `{'model': model.state_dict()}`"
        ) from None
    wrappers = [k for k in ("model", "state_dict", "g_ema") if isinstance(found, Mapping) and k in found]
    state = (found[wrappers[0]] if wrappers else found) if isinstance(found, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(v, torch.Tensor) for v in state.values()) or not state:
        raise ModelError(
            f"{path} holds {type(found).__name__}, expected a state dict or {{'model': state dict}} of tensors"
        )
    refuse_not_finite(dict(state), str(path))
    return strip_prefix(state)


def strip_prefix(state: Mapping[str, Any], prefix: str = "module.") -> dict[str, Any]:
    """Keys without a leading `module.`."""
    return {str(k)[len(prefix) :] if str(k).startswith(prefix) else str(k): v for k, v in state.items()}


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
        from models.pvcnn import official as pvcnn

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
    plan = NetPlan.from_config(_net_config(config))
    if "classifier.linear.weight" not in state or "stem.0.kernel" not in state:
        raise ModelError(f"{checkpoint} is no SPVNAS checkpoint: found {sorted(state)[:3]} …")
    classes, inputs = int(state["classifier.linear.weight"].shape[0]), int(state["stem.0.kernel"].shape[1])
    spec = NetworkSpec("spvnas", plan.channels, classes, OFFICIAL_FEATURES[:inputs], plan=plan)
    facts = facts_of(spec, Path(out).name)
    network = build_network(facts)
    if any(".feature.layers." in key for key in state):  # the super network
        space = replace(OFFICIAL, lower=tuple(map(min, OFFICIAL.lower, plan.channels)))
        whole = SuperNetwork(space, classes, inputs)
        load_weights(whole, state, str(checkpoint))
        state = whole.part(plan)
    # the released sub-networks keep the super network's classifier and read its first channels
    weight = state["classifier.linear.weight"][:, : plan.channels[8]]
    load_weights(network, {**state, "classifier.linear.weight": weight}, str(checkpoint))
    return save_model(network, replace(facts, trained=True, training_data="SemanticKITTI (released weights)"), out)


def _net_config(path: str | Path) -> dict[str, Any]:
    """The JSON object of a net.config; raises ModelError."""
    try:
        found = json.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is no net.config ({error}): expected the JSON file released with `init`") from None
    if not isinstance(found, dict):
        raise ModelError(f"{path} holds a {type(found).__name__}: expected the JSON object released with `init`")
    return found


def save_model(network: torch.nn.Module, facts: ModelFacts, out: str | Path) -> ModelFacts:
    """Writes weights.safetensors and model.yaml into `out`; facts last, so that a half-written folder is no model."""
    from safetensors.torch import save_file

    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / FACTS_FILE).unlink(missing_ok=True)
    tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    save_file(tensors, str(out / "weights.safetensors"), metadata={"architecture": facts.architecture})
    facts = replace(
        facts,
        name=out.name,
        sha256=sha256_of(out / "weights.safetensors"),
        weights="weights.safetensors",
        folder=str(out),
    )
    save_facts(facts, out)
    return facts
