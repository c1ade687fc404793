"""System "sparse convolution layers": 3^3, 2^3 stride 2, its transpose, 3^3 stride 2 and 1^3 convolutions."""

from __future__ import annotations

import numpy as np
import torch

from models.sparse import SparseTensor, conv3d
from tests.parity.vectors import Vector


def run(vector: Vector) -> dict[str, np.ndarray]:
    """Our outputs, strided ones in the order of the expected coordinates."""
    kernel = {k.split(".")[0]: torch.from_numpy(v) for k, v in vector.weights.items()}
    x = SparseTensor(torch.from_numpy(vector.inputs["feats"]), vector.inputs["coords"].astype(np.int32))
    k3 = conv3d(x, kernel["k3"], 3)
    down = conv3d(k3, kernel["k2s2"], 2, stride=2)
    back = conv3d(down, kernel["k2s2_t"], 2, stride=2, transposed=True)
    wide = conv3d(k3, kernel["k3s2"], 3, stride=2)
    out = {"k3": k3.feats, "k2s2_t": back.feats, "k1": conv3d(k3, kernel["k1"], 1).feats}
    found = {name: value.detach().numpy() for name, value in out.items()}
    for name, result in (("k2s2", down), ("k3s2", wide)):
        found[f"{name}_coords"], found[name] = _in_order(result, vector.expected[f"{name}_coords"])
    return found


def _in_order(x: SparseTensor, coords: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(coords, feats) of `x` with rows in the order of `coords`; as they are where the voxels differ."""
    own = x.coords.numpy()
    rows = {tuple(c): i for i, c in enumerate(own.tolist())}
    wanted = [tuple(c) for c in coords.tolist()]
    if len(rows) != len(wanted) or any(c not in rows for c in wanted):
        return own, x.feats.detach().numpy()
    order = [rows[c] for c in wanted]
    return own[order], x.feats.detach().numpy()[order]
