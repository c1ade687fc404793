"""Foreign checkpoints in, model folders out: what the importers of all families share.

Torch files are read with `weights_only=True`, which refuses everything but tensors and plain containers: a file that
wants to run code is rejected. What is written is a model folder (weights.safetensors and model.yaml), the only thing
that the sessions read.
"""

from __future__ import annotations

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
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        # torch's first line says how to load the file all the same; the unpickler's own line says what was found
        reason = next((line for line in lines if "GLOBAL " in line), lines[0]).split(". Please use")[0]
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


def save_model(network: torch.nn.Module, facts: ModelFacts, out: str | Path) -> ModelFacts:
    """Writes weights.safetensors and model.yaml into `out`; facts last: a half-written folder is not a model."""
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
