"""The layers give the numbers of the reference implementation (torchsparse 1.4)."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models.sparse import Conv3d, SparseTensor


def _vector(shared: Path, name: str):
    path = shared / "parity" / "fill.py"
    if not path.is_file():
        pytest.skip("no parity vectors here")
    spec = importlib.util.spec_from_file_location("parity_fill", path)
    assert spec and spec.loader
    fill = importlib.util.module_from_spec(spec)
    sys.modules["parity_fill"] = fill
    spec.loader.exec_module(fill)
    meta, arrays, inputs = fill.load(shared / "parity" / f"{name}.npz")
    return meta, arrays, inputs, fill.fill_state(meta["state"], **meta["fill"])


def _error(got: np.ndarray, expected: np.ndarray) -> float:
    return float(abs(got - expected).max() / abs(expected).max())


def _layer(weights: dict, name: str, **arguments) -> Conv3d:
    kernel = torch.from_numpy(weights[f"{name}.kernel"])
    layer = Conv3d(kernel.shape[-2], kernel.shape[-1], **arguments)
    layer.load_state_dict({"kernel": kernel})
    return layer


def _sorted_rows(tensor: SparseTensor, coords: np.ndarray, feats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mine, theirs = np.lexsort(tensor.coords.numpy().T), np.lexsort(coords.T)
    assert np.array_equal(tensor.coords.numpy()[mine], coords[theirs])
    return tensor.feats.numpy()[mine], feats[theirs]


@torch.no_grad()
def test_layers_meet_the_reference(shared: Path) -> None:
    _, arrays, inputs, weights = _vector(shared, "sparse_conv_layers_4_8")
    x = SparseTensor(torch.from_numpy(inputs["feats"]), inputs["coords"])
    k3 = _layer(weights, "k3")(x)
    assert _error(k3.feats.numpy(), arrays["out/k3"]) < 1e-5
    assert _error(_layer(weights, "k1", kernel_size=1)(k3).feats.numpy(), arrays["out/k1"]) < 1e-5
    down = _layer(weights, "k2s2", kernel_size=2, stride=2)(k3)
    assert _error(*_sorted_rows(down, arrays["out/k2s2_coords"], arrays["out/k2s2"])) < 1e-5
    back = _layer(weights, "k2s2_t", kernel_size=2, stride=2, transposed=True)(down)
    assert _error(back.feats.numpy(), arrays["out/k2s2_t"]) < 1e-5
    odd = _layer(weights, "k3s2", kernel_size=3, stride=2)(k3)
    assert _error(*_sorted_rows(odd, arrays["out/k3s2_coords"], arrays["out/k3s2"])) < 1e-5
