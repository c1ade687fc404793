"""Systems "PVConv", "PVCNN S3DIS" and "PVCNN ShapeNet": outputs of the layer or network of the vector's constructor."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.pvcnn.grid import Grids
from models.pvcnn.layers import PVConv
from models.pvcnn.networks import PVCNN, ShapePVCNN
from models.pvcnn.ops import ENGINES, voxelise
from models.state import load_weights
from tests.parity.vectors import Vector


def filled(network: nn.Module, vector: Vector) -> nn.Module:
    """The module with the vector's weights, in eval mode."""
    load_weights(network, {k: torch.from_numpy(v) for k, v in vector.weights.items()}, vector.name)
    return network.eval()


def tensors(vector: Vector) -> dict[str, Tensor]:
    return {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in vector.inputs.items()}


@torch.inference_mode()
def run_layer(vector: Vector) -> dict[str, np.ndarray]:
    """norm_coords, voxels and out of a PVConv."""
    layer = filled(PVConv(**vector.meta["constructor"]), vector)
    given = tensors(vector)
    grids = Grids(given["coords"])
    grid = grids.at(layer.resolution, layer.normalize, layer.eps)
    voxels = {engine: voxelise(given["feats"], grid, engine).numpy() for engine in ENGINES}
    reference = vector.expected.get("voxels")
    steps = tuple(slice(None, None, s) for s in vector.meta["outputs"].get("voxels", {}).get("stride") or ())
    worst = max(voxels.values(), key=lambda v: 0.0 if reference is None else np.abs(v[steps] - reference).max())
    return {"norm_coords": grid.coords.numpy(), "voxels": worst, "out": layer(given["feats"], grids).numpy()}


@torch.inference_mode()
def run_network(vector: Vector) -> dict[str, np.ndarray]:
    """logits of a whole network."""
    given = tensors(vector)
    parts = [given["coords"], given["feats"]]
    told: dict[str, Any] = dict(vector.meta["constructor"])
    if vector.system == "PVCNN ShapeNet":
        network: nn.Module = ShapePVCNN(**told)
        shapes = nn.functional.one_hot(given["shape_index"].long(), told["num_shapes"]).float()
        parts.append(shapes[:, :, None].expand(-1, -1, parts[0].shape[2]))
    else:
        network = PVCNN(**told)
    return {"logits": filled(network, vector)(torch.cat(parts, 1)).numpy()}
