"""Training of the street networks on dense grids: PVCNN, PointNet and a voxel U-Net of equal multiply-accumulates.

    python -m training.points.street_crops --split train --worlds 32 --out runs/crops      (once; also val and test)
    python -m training.points --network pvcnn-lite --config config/training/pvcnn.yaml --out runs/points
    python -m training.points --network pvcnn-lite --config config/training/pvcnn.yaml --out runs/points --resume

Every network sees the same batches in the same order (training/points/batches.py), for the same number of steps.
Checkpoints hold the running average of the weights, which `training.points.evaluate` releases.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.pvcnn.build import PRESETS, build_network, facts_of
from perception_nodes.classes import IGNORE, POINT_CLASSES
from training.common import loop
from training.common.command import launch, training_parser
from training.common.processes import Process
from training.common.trainee import OptimiserConfig, Trainee
from training.points import batches as point_batches
from training.points.batches import CropAugment
from training.points.street_crops import Crop, load
from training.segmentation.confusion import confusion, iou, mean_iou
from training.segmentation.losses import class_weights, segmentation_loss

NETWORKS = tuple(name for name, spec in PRESETS.items() if spec.on_streets)
CLASSES = len(POINT_CLASSES)


@dataclass(frozen=True)
class PointTrainConfig(loop.LoopConfig):
    """batch: crops per step · points: of a crop · dropout: rate in place of the network's own · lovasz: its weight in
    the loss."""

    steps: int = 600
    threads: int = 1
    validate_minutes: float = 5.0
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(ema=0.99))
    batch: int = 8
    points: int = 2048
    dropout: float = 0.0
    lovasz: float = 1.0
    augment: CropAugment = field(default_factory=CropAugment)


def label_counts(crops: Iterable[Crop]) -> torch.Tensor:
    """Labelled points by class, float64 [19]."""
    total = np.zeros(256, np.int64)
    for crop in crops:
        total += np.bincount(crop.label, minlength=256)
    return torch.from_numpy(total[:CLASSES].astype(np.float64))


@torch.inference_mode()
def validate(network: nn.Module, crops: list[Crop], points: int) -> dict[str, Any]:
    """miou and iou by class on one undisturbed square of every crop."""
    network.eval()
    total = torch.zeros(CLASSES, CLASSES, dtype=torch.long)
    for number, crop in enumerate(crops):
        found = point_batches.sample(crop, points, np.random.default_rng(number), point_batches.NONE)
        if found is None:
            continue
        predicted = network(torch.from_numpy(found[0])[None]).argmax(1)[0]
        total += confusion(predicted, torch.from_numpy(found[1].astype(np.int64)), CLASSES, IGNORE)
    values = {c.name: round(float(v), 4) for c, v in zip(POINT_CLASSES, iou(total)) if v == v}
    return {"miou": round(mean_iou(total), 4), "iou": values}


class PointTrainer(loop.Trainer):
    """One network and the crops that it learns from; `held`: crops that it is validated on."""

    config: PointTrainConfig

    def __init__(self, name: str, config: PointTrainConfig, crops: list[Crop], held: list[Crop]):
        self.crops, self.held = crops, held
        network = build_network(facts_of(PRESETS[name], name), seed=config.seed)
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = config.dropout
        self.trainee = Trainee(name, network, config.optimiser)
        super().__init__(config, [self.trainee], Process())
        self.weights = class_weights(label_counts(crops)).float()

    def step(self, progress: float) -> dict[str, float]:
        """One step on the next batch; the loss, NaN where the step was skipped."""
        c, trainee = self.config, self.trainee
        features, labels = point_batches.batch(self.crops, c.batch, c.points, self.step_number, c.seed, c.augment)
        trainee.network.train()
        logits = trainee.network(torch.from_numpy(features))  # [B, classes, N]
        flat = logits.transpose(1, 2).reshape(-1, CLASSES)
        truth = torch.from_numpy(labels.astype(np.int64)).flatten()
        loss = segmentation_loss(flat, truth, self.weights, IGNORE, c.lovasz)
        taken = trainee.learn(loss, progress)
        return {trainee.name: float(loss.detach()) if taken else float("nan")}

    def validate(self) -> dict[str, Any]:
        """Scores of the averaged weights on the held-out crops."""
        if not self.held:
            return {}
        with self.trainee.averaged() as network:
            return {self.trainee.name: validate(network, self.held, self.config.points)}

    def notes(self) -> dict[str, Any]:
        """How many crops there are to draw from."""
        return {"crops": len(self.crops)}


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = training_parser("points", __doc__)
    parser.add_argument("--network", choices=NETWORKS, default="pvcnn-lite")
    parser.add_argument("--crops", type=Path, default=Path("runs/crops"))
    options = parser.parse_args(arguments)

    def make(config: PointTrainConfig, process: Process) -> PointTrainer:
        process.alone("the networks of this room train")
        return PointTrainer(options.network, config, load(options.crops, "train"), load(options.crops, "val"))

    return launch(make, PointTrainConfig(), options)
