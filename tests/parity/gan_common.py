"""What the parity runs of all GAN systems share: weights by official key, tensors, the worst of several ways."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tests.parity.vectors import Vector


def filled(network: nn.Module, vector: Vector) -> Any:
    """The network with the vector's weights, in eval mode. Its keys and shapes must be exactly the reference's; kept
    buffers stay as the constructor made them."""
    own = {k: list(v.shape) for k, v in network.state_dict().items()}
    told = {key: list(shape) for key, shape, _, _ in vector.meta["state"]}
    if own != told:
        differing = sorted(k for k in own.keys() | told.keys() if own.get(k) != told.get(k))
        first = differing[0]
        pair = f"{own.get(first)} here, {told.get(first)} there"
        raise ValueError(f"{len(differing)} entries differ, first {first}: {pair}")
    network.load_state_dict({k: torch.from_numpy(v) for k, v in vector.weights.items()}, strict=False)
    return network.eval()


def options(vector: Vector, names: dict[str, str]) -> dict[str, Any]:
    """Constructor arguments by our names; `names`: theirs -> ours. ValueError for one that is not known."""
    told = vector.meta["constructor"]
    unknown = sorted(set(told) - set(names))
    if unknown:
        raise ValueError(f"constructor arguments {unknown} are unknown; known: {sorted(names)}")
    return {names[k]: v for k, v in told.items() if names[k]}


def tensor(vector: Vector, name: str) -> Tensor:
    """An input of the vector."""
    return torch.from_numpy(np.ascontiguousarray(vector.inputs[name]))


def furthest(vector: Vector, name: str, ways: list[Tensor]) -> np.ndarray:
    """Of several results that must all equal output `name`, the one that is furthest off."""
    reference = vector.expected[name]
    steps = vector.meta["outputs"].get(name, {}).get("stride")
    seen = tuple(slice(None, None, s) for s in steps) if steps else ()
    arrays = [w.detach().numpy() for w in ways]
    return max(arrays, key=lambda a: float(np.abs(a[seen] - reference).max()))
