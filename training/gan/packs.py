"""Packs: pictures for training in one file each, `.npz` without pickled objects, held in memory as uint8.

    pictures uint8 [N, H, W, 3]   RGB: unconditional GANs; also the pictures of semantic maps
    labels   uint8 [N, H, W]      semantic map of each picture
    a, b     uint8 [N, H, W, 3]   two sides; with `paired` in the facts, a[i] and b[i] show one scene
    classes  uint8 [N]            class of each picture, for class-conditional GANs
    facts    JSON text            where they come from: {"source": …, "paired": …, "label_names": …}
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.facts import ModelError

NAMES = {"pictures": 4, "labels": 3, "a": 4, "b": 4, "classes": 1}  # number of axes


@dataclass(frozen=True, eq=False)
class Pack:
    """arrays: by the names above, pictures as uint8 [N, 3, H, W] · facts: what the file says of them."""

    arrays: dict[str, Tensor]
    facts: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Tensor:
        return self.arrays[name]

    def __len__(self) -> int:
        return min(len(v) for v in self.arrays.values())

    def first(self, count: int) -> Pack:
        """The first `count` entries of every array."""
        return Pack({k: v[:count] for k, v in self.arrays.items()}, self.facts)


def write_pack(path: Path, facts: dict[str, Any], **arrays: NDArray[np.uint8]) -> None:
    """Writes a pack in one move. ValueError for arrays of another name, type or shape."""
    for name, array in arrays.items():
        if name not in NAMES or array.dtype != np.uint8 or array.ndim != NAMES[name] or not len(array):
            raise ValueError(
                f"{name} is {array.dtype} {array.shape}: expected uint8 of {NAMES.get(name, 'no')} axes, not empty"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez(file, facts=np.array(json.dumps(facts)), **arrays)  # type: ignore[arg-type]
    part.replace(path)


def read_pack(
    path: str | Path, needed: tuple[str, ...], paired: bool = False, also: tuple[str, ...] = ()
) -> Pack:
    """A pack with the arrays `needed`, and those of `also` that it has.

    paired: a[i] and b[i] (or labels and pictures) must belong together.

    Raises ModelError where the file is absent, damaged or holds something else.
    """
    make = "make it: python -m training.gan.gather --help"
    if not Path(path).is_file():
        raise ModelError(f"no pack {path}; {make}")
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {k: file[k] for k in file.files}
        facts = json.loads(str(found.pop("facts", "{}")))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path} cannot be read as a pack ({' '.join(str(error).split())}); {make}") from None
    missing = [k for k in needed if k not in found]
    if missing:
        raise ModelError(f"{path} holds {', '.join(found) or 'nothing'}: expected {', '.join(needed)}; {make}")
    arrays = {}
    for name in (*needed, *(k for k in also if k in found)):
        array = found[name]
        if array.dtype != np.uint8 or array.ndim != NAMES[name] or not len(array):
            raise ModelError(f"{path}: {name} is {array.dtype} {array.shape}: expected uint8, not empty; {make}")
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        arrays[name] = tensor.permute(0, 3, 1, 2).contiguous() if tensor.ndim == 4 else tensor
    lengths = {len(v) for v in arrays.values()}
    if paired and len(lengths) > 1:
        raise ModelError(f"{path} holds {sorted(lengths)} entries: expected pairs, as many on each side; {make}")
    if paired and {"a", "b"} <= set(needed) and not facts.get("paired"):
        raise ModelError(f"{path} holds two unpaired sides: train `cyclegan` on it, or gather pairs")
    return Pack(arrays, facts)


def to_float(pictures: Tensor, device: torch.device | None = None) -> Tensor:
    """uint8 -> float in -1..1."""
    return pictures.to(device).float() / 127.5 - 1.0


def drawn(arrays: tuple[Tensor, ...], batch: int, generator: torch.Generator, flip: bool) -> list[Tensor]:
    """The same `batch` random entries of every array; with `flip`, each mirrored left to right with chance 1/2, alike
    in all arrays."""
    count = len(arrays[0])
    at = torch.randint(count, (batch,), generator=generator)
    mirrored = torch.rand(batch, generator=generator) < 0.5
    out = []
    for array in arrays:
        entries = array[at]
        if flip and entries.ndim > 2:
            shape = (-1,) + (1,) * (entries.ndim - 1)
            entries = torch.where(mirrored.reshape(shape), entries.flip(-1), entries)
        out.append(entries)
    return out
