"""Scores of a network on held-out sweeps whose voxels and maps were made once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.spvcnn.presets import NetworkSpec
from perception_nodes.classes import IGNORE, POINT_CLASSES
from training.segmentation.confusion import confusion, iou, mean_iou
from training.segmentation.sweep_buffer import collate
from training.segmentation.voxels import VoxelBatch, in_range, voxel_batch


@dataclass
class HeldSweep:
    """pattern: the beam pattern · data: voxels and maps · label int64 [P]: of the points that `data.inverse` places."""

    pattern: str
    data: VoxelBatch
    label: Tensor


def prepared(sweeps: list[tuple[str, Any]], spec: NetworkSpec) -> list[HeldSweep]:
    """Sweeps as (pattern, compact tensors), voxelised as `spec` asks, without augmentation."""
    out = []
    for pattern, tensors in sweeps:
        points = in_range(collate([tensors]), spec)
        out.append(HeldSweep(pattern, voxel_batch(points, spec), points.label))
    return out


def run(call: nn.Module, network: nn.Module, data: VoxelBatch) -> Tensor:
    """Logits [N, classes]; `call` is the network or what wraps it."""
    return call(data.x, data.view) if hasattr(network, "prepared") else call(data.x)


@torch.no_grad()
def score(network: nn.Module, sweeps: list[HeldSweep], bf16: bool = False) -> dict[str, Any]:
    """Point-level {miou, iou, by_pattern} of a network in eval mode."""
    matrices: dict[str, Tensor] = {}
    for sweep in sweeps:
        device = sweep.data.x.feats.device
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16 and device.type == "cuda"):
            predicted = run(network, network, sweep.data).argmax(1)
        add(matrices, sweep, predicted)
    return summary(matrices)


def add(matrices: dict[str, Tensor], sweep: HeldSweep, predicted: Tensor) -> None:
    """Counts the classes int64 [N] that were given to a sweep's voxels."""
    found = confusion(predicted[sweep.data.inverse], sweep.label, len(POINT_CLASSES), IGNORE).cpu()
    matrices[sweep.pattern] = matrices.get(sweep.pattern, torch.zeros_like(found)) + found


def summary(matrices: dict[str, Tensor]) -> dict[str, Any]:
    """miou, iou by class, mIoU by pattern."""
    classes = [c.name for c in POINT_CLASSES]
    total = sum(matrices.values(), torch.zeros(len(classes), len(classes), dtype=torch.long))
    scores = {n: round(float(v), 4) for n, v in zip(classes, iou(total)) if not torch.isnan(v)}
    by_pattern = {p: round(mean_iou(m), 4) for p, m in matrices.items()}
    return {"miou": round(mean_iou(total), 4), "iou": scores, "by_pattern": by_pattern}
