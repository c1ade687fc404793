"""Checkpoint files: safetensors with notes (JSON) in their metadata, replaced in one move."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from models.facts import ModelError

CHECKPOINT = ".checkpoint.safetensors"  # weights and their running average, by name of the network
OPTIMISER = ".optimiser.safetensors"  # the optimiser's state


def write(path: Path, tensors: dict[str, Tensor], notes: dict[str, Any]) -> None:
    """A safetensors file with notes; a reader sees the old file or the new one, never a part."""
    from safetensors.torch import save_file

    part = path.with_suffix(".part")
    whole = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    save_file(whole, str(part), metadata={"notes": json.dumps(notes)})
    part.replace(path)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, notes) of a file. Raises ModelError where there is none or it cannot be read."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ModelError(f"no {path}: expected the --out folder of an earlier run of the same network")
    try:
        with safe_open(str(path), "pt") as file:
            notes = json.loads((file.metadata() or {}).get("notes", "{}"))
            return {k: file.get_tensor(k) for k in file.keys()}, notes
    except SafetensorError as error:
        raise ModelError(f"{path} is not a readable safetensors file ({error}); train again or copy it anew") from None


def averaged_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(state dict of the running average, notes) of a checkpoint: what is released."""
    tensors, notes = read(path)
    return {k[4:]: v for k, v in tensors.items() if k.startswith("ema.")}, notes


def name_in(path: str | Path) -> str:
    """The network's name in the name of its checkpoint file."""
    return Path(path).name.removesuffix(CHECKPOINT)
