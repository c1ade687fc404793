"""Runs a MinkUNet or SPVCNN on the CPU for inference: batch norms folded, kernel maps built once per sweep."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from models.sparse import Level, SparseTensor, build_maps
from models.spvcnn.minkunet import MinkUNet
from models.spvcnn.spvcnn import SPVCNN


class Predictor:
    """features float32 [N, C], coords int32 [N, 4] (sorted, unique, stride 1) -> logits float32 [N, classes]."""

    def __init__(self, network: torch.nn.Module, precision: str, threads: int):
        if not isinstance(network, MinkUNet):
            raise TypeError(f"expected a MinkUNet or SPVCNN, got {type(network).__name__}")
        self.network = network.eval()
        self.threads = threads
        self.engine = f"plain torch, fp32, {threads} threads"

    def __call__(self, feats: NDArray[np.float32], coords: NDArray[np.int32]) -> NDArray[np.float32]:
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        with torch.inference_mode():
            x = SparseTensor(torch.from_numpy(np.ascontiguousarray(feats)), level=Level(coords))
            if isinstance(self.network, SPVCNN):
                maps = build_maps(
                    x.level,
                    points=coords[:, :3],
                    point_voxel=np.arange(len(coords), dtype=np.int32),
                    point_strides=(4, 16),
                )
                logits = self.network(x, self.network.prepared(maps))
            else:
                logits = self.network(x)
        return logits.numpy()
