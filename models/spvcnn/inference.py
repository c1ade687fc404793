"""Runs a MinkUNet, SPVCNN or SPVNAS on the CPU for inference: the fused engine where its extension was built, else
the module.

Precisions: "fp32"; "int16", which is also what "bf16" asks for: the engine's 16-bit path has four more bits than
bfloat16 and runs on processors without it; "int8", twice as fast as fp32 with AVX2, whose labels of real sweeps are
those of fp32 for 99.6 % of the points at the same mIoU (`benchmarks.precision`); "auto", int8 where the processor has
instructions for it. tests/models/test_fused_network.py bounds the errors.
Without the extension everything is fp32.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from models.facts import ModelError
from models.sparse import Level, MapSet, SparseTensor, build_maps, fused, native
from models.sparse.program import Frame, Program
from models.spvcnn.fused_network import FusedNetwork
from models.spvcnn.minkunet import MinkUNet
from models.spvcnn.point_voxel import PointVoxelNetwork

PRECISIONS = ("auto", "fp32", "int16", "int8", "bf16")
POINT_STRIDES = FusedNetwork.point_strides


class Predictor:
    """features float32 [N, C], coords int32 [N, 4] (sorted, unique, stride 1) -> logits float32 [N, classes]."""

    def __init__(self, network: torch.nn.Module, precision: str, threads: int):
        if not isinstance(network, (MinkUNet, PointVoxelNetwork)):
            raise ModelError(f"expected a MinkUNet, SPVCNN or SPVNAS, got {type(network).__name__}")
        self.threads = threads
        self._with_points = isinstance(network, PointVoxelNetwork)
        self._network, self._fused = network.eval(), None
        self.program: Program | None = None  # the whole network as one call, where the extension is there
        if native.library() is not None:
            fastest = "int8" if native.level() > 0 else "fp32"  # plain C has no use for narrow integers
            self.precision = {"auto": fastest, "bf16": "int16"}.get(precision, precision)
            self._fused = FusedNetwork(network, self.precision, threads)
            self.program, self._frame = self._fused.program(), Frame()
            instructions = native.LEVELS[native.level()]
            self.engine = f"fused, {self.precision}, {instructions}, {threads} thread{'s' * (threads > 1)}"
        else:
            self.precision = "fp32"
            self.engine = f"plain torch, fp32, {threads} thread{'s' * (threads > 1)}"

    def maps(self, level: Level) -> MapSet:
        """Every kernel map of the plan, and the point branch's maps; its points are the voxels of `level`."""
        if native.threads() != self.threads:
            native.set_threads(self.threads)
        if not self._with_points:
            return build_maps(level)
        rows = np.arange(len(level), dtype=np.int32)
        return build_maps(level, points=level.coords[:, :3], point_voxel=rows, point_strides=POINT_STRIDES)

    def run(self, feats: NDArray[np.float32], maps: MapSet) -> NDArray[np.float32]:
        """Logits float32 [N, classes] of features on the voxels of maps.levels[0]."""
        if self._fused is not None:
            return self._fused(fused.Rows.of(feats), maps)
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        with torch.inference_mode():
            x = SparseTensor(torch.from_numpy(np.ascontiguousarray(feats)), level=maps.levels[0])
            network = self._network
            logits = network(x, network.prepared(maps)) if isinstance(network, PointVoxelNetwork) else network(x)
        return logits.numpy()

    def __call__(self, feats: NDArray[np.float32], coords: NDArray[np.int32]) -> NDArray[np.float32]:
        level = Level(coords)
        if self.program is None or level.order is not None:
            return self.run(feats, self.maps(level))
        self._frame.index(self.program, level.keys, self.threads)
        return self._frame.compute(self.program, feats, self.threads)
