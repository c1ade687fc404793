"""Reading parity vectors: deterministic weights and inputs by name, stored outputs.

A vector is an .npz of plain arrays (`meta` is JSON). Weights are not stored: value i of the entry called `key` is the
i-th number of a counter-based generator (splitmix64) keyed by the name, so that both sides can make them.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def stream(name: str, count: int, seed: int = 0) -> np.ndarray:
    """`count` numbers in [0, 1) of the stream (name, seed), float64: splitmix64 at counters 1, 2, …"""
    start = np.uint64((zlib.crc32(name.encode()) << 32) | (seed & 0xFFFFFFFF))
    with np.errstate(over="ignore"):
        z = start + np.arange(1, count + 1, dtype=np.uint64) * GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def standard(name: str, shape: Any, seed: int = 0) -> np.ndarray:
    """Zero mean, unit variance (uniform), float64."""
    count = int(np.prod(shape, dtype=np.int64))
    return ((stream(name, count, seed) - 0.5) * np.sqrt(12.0)).reshape(shape)


def generated_input(
    name: str, shape: Any, seed: int = 0, scale: float = 1.0, clip: Any = None, up: int = 1
) -> np.ndarray:
    """An input that is not stored; `up` makes each number fill an up x up block of the last two axes."""
    if up > 1:
        small = (*shape[:-2], shape[-2] // up, shape[-1] // up)
        x = (scale * standard(name, small, seed)).repeat(up, -2).repeat(up, -1)
    else:
        x = scale * standard(name, shape, seed)
    return (x if clip is None else np.clip(x, *clip)).astype(np.float32)


def entry(key: str, shape: Any, seed: int, gain: float, layout: str) -> np.ndarray:
    """The filled value of one state-dict entry: its last name and its shape decide the distribution."""
    last, shape = key.rsplit(".", 1)[-1], tuple(shape)
    if last == "running_var":
        value = 0.5 + stream(key, int(np.prod(shape, dtype=np.int64)), seed).reshape(shape)
    elif last.startswith("noise_") and shape:
        value = standard(key, shape, seed)
    elif last.endswith("bias"):
        value = 0.1 * gain * standard(key, shape, seed)
    elif last == "running_mean" or (len(shape) < 2 and not last.endswith("weight")):
        value = 0.1 * standard(key, shape, seed)
    elif len(shape) < 2:
        value = 1.0 + 0.1 * standard(key, shape, seed)
    else:
        value = gain * standard(key, shape, seed) / np.sqrt(_fan_in(last, shape, layout))
    return np.asarray(value, np.float32)


def _fan_in(last: str, shape: tuple[int, ...], layout: str) -> float:
    total = float(np.prod(shape, dtype=np.int64))
    if last == "kernel":  # kernels are always [..., in, out]
        return total / shape[-1]
    return {"oi": total / shape[0], "io": total / shape[-1], "unit": 1.0}[layout]


def filled_state(
    state: list[Any], seed: int = 0, gain: float = 1.0, layout: str = "oi", gains: Any = ()
) -> dict[str, np.ndarray]:
    """{key: array} for every filled entry of meta["state"]; entries kept by the constructor are left out."""
    out: dict[str, np.ndarray] = {}
    for key, shape, _, how in state:
        if how == "fill":
            factor = float(np.prod([f for part, f in gains if part in key]))
            out[key] = entry(key, shape, seed, gain * factor, layout)
    for key, shape, _, how in state:
        if how == "spectral":
            out[key] = _spectral(key, shape, out, seed)
    return out


def _spectral(key: str, shape: Any, weights: dict[str, np.ndarray], seed: int) -> np.ndarray:
    """weight_u or weight_v of a spectral-norm layer: one power iteration from a named start."""
    base = key.rsplit(".", 1)[0]
    matrix = weights[base + ".weight_orig"].astype(np.float64)
    matrix = matrix.reshape(len(matrix), -1)
    v = matrix.T @ standard(base + ".weight_u", matrix.shape[:1], seed)
    v /= np.linalg.norm(v)
    u = matrix @ v
    return (v if key.endswith("_v") else u / np.linalg.norm(u)).astype(np.float32)


@dataclass(frozen=True)
class Vector:
    """One parity vector: meta · inputs by name · expected outputs by name · weights by official key."""

    name: str
    meta: dict[str, Any]
    inputs: dict[str, np.ndarray]
    expected: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]

    @property
    def system(self) -> str:
        """Which of our systems must reproduce it."""
        return str(self.meta["system"])


def system_of(path: Path) -> str:
    """The system of a vector, without making its weights."""
    with np.load(path, allow_pickle=False) as file:
        return str(json.loads(file["meta"].tobytes())["system"])


def load_vector(path: Path) -> Vector:
    """Reads a vector and makes its weights and generated inputs. ValueError for a file that is not a vector."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {k: file[k] for k in file.files}
        meta = json.loads(arrays.pop("meta").tobytes())
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is not a parity vector ({error}): expected an .npz with `meta`, `in/…`, `out/…`"
        ) from None
    inputs = {
        name: arrays["in/" + name] if how["rule"] == "stored" else generated_input(**how["args"])
        for name, how in meta["inputs"].items()
    }
    expected = {k[4:]: v for k, v in arrays.items() if k.startswith("out/")}
    return Vector(path.stem, meta, inputs, expected, filled_state(meta["state"], **meta["fill"]))
