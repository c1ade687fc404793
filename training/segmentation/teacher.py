"""A trained network whose logits another one learns from (Hinton et al., 2015), on the batches of its training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from models.facts import ModelError, load_network
from models.sparse import fused, native
from models.sparse.maps import MapSet
from models.spvcnn.build import spec_of
from models.spvcnn.fused_network import FusedNetwork
from models.spvcnn.presets import NetworkSpec
from training.segmentation.validation import run
from training.segmentation.voxels import VoxelBatch


class Teacher:
    """Logits of a model (name or folder) on voxel batches; through the fused engine on the CPU where it was built.

    Raises ModelError where the model takes other inputs than `spec` says.
    """

    def __init__(self, model: str | Path, spec: NetworkSpec, device: torch.device):
        network, facts = load_network(model)
        own = spec_of(facts)
        if (own.features, own.voxel_size, own.num_classes) != (spec.features, spec.voxel_size, spec.num_classes):
            raise ModelError(f"{model} takes other voxels or features than the network that is to learn from it")
        self._network = network.to(device).eval()
        self._engine = None
        if device.type == "cpu" and native.library() is not None:
            self._engine = FusedNetwork(network, fused.reduced(), native.threads())

    @torch.no_grad()
    def __call__(self, data: VoxelBatch) -> Tensor:
        """Logits float32 [N, classes] of a batch's voxels."""
        if self._engine is None:
            return run(self._network, self._network, data).float()
        return torch.from_numpy(self._engine(fused.Rows.of(data.x.feats.numpy()), maps_of(data)))


def maps_of(data: VoxelBatch) -> MapSet:
    """A CPU batch's maps as the fused engine takes them."""
    levels: list[Any] = [data.x.level]
    for _ in range(4):
        levels.append(levels[-1].down()[0])
    return MapSet(levels, dict(data.view.maps))  # type: ignore[arg-type]


def distance(logits: Tensor, teacher: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence from the teacher's classes to the student's."""
    return F.kl_div(logits.float().log_softmax(1), teacher.float().softmax(1), reduction="batchmean")
