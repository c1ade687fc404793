"""Training of the street networks on dense grids: PVCNN, PointNet and a voxel U-Net of equal multiply-accumulates.

    python -m training.points.street_crops --split train --worlds 32 --out runs/crops      (once; also val and test)
    python -m training.points --network pvcnn-lite --config config/training/pvcnn.yaml --out runs/points
    python -m training.points --network pvcnn-lite --config config/training/pvcnn.yaml --out runs/points --resume

Every network sees the same batches in the same order (training/points/batches.py), for the same number of steps.
Checkpoints hold the running average of the weights, which `training.points.evaluate` releases.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.facts import ModelError
from models.pvcnn.build import PRESETS, build_network, facts_of
from perception_nodes.classes import IGNORE, POINT_CLASSES
from training.common.config_files import load_yaml_config
from training.common.trainee import OptimiserConfig, Trainee
from training.points import batches as point_batches
from training.points.batches import CropAugment
from training.points.street_crops import Crop, load
from training.segmentation.confusion import confusion, iou, mean_iou
from training.segmentation.losses import class_weights, segmentation_loss

NETWORKS = tuple(name for name, spec in PRESETS.items() if spec.on_streets)
CLASSES = len(POINT_CLASSES)


@dataclass(frozen=True)
class PointTrainConfig:
    """batch: crops per step · points: of a crop · steps: length of the schedule · dropout: rate in place of the
    network's own · lovasz: its weight in the loss · validate, checkpoint: steps between them · threads of torch."""

    batch: int = 8
    points: int = 2048
    steps: int = 600
    dropout: float = 0.0
    lovasz: float = 1.0
    checkpoint: int = 50
    validate: int = 200
    seed: int = 0
    threads: int = 1
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(ema=0.99))
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


class PointTrainer:
    """One network, its optimiser, the crops."""

    def __init__(self, name: str, config: PointTrainConfig, crops: list[Crop], held: list[Crop]):
        self.config, self.crops, self.held = config, crops, held
        network = build_network(facts_of(PRESETS[name], name), seed=config.seed)
        for module in network.modules():
            if isinstance(module, nn.Dropout):
                module.p = config.dropout
        self.trainee = Trainee(name, network, config.optimiser)
        self.weights = class_weights(label_counts(crops)).float()
        self.cpu_seconds = 0.0

    def step(self) -> float:
        """One step on the next batch; the loss, NaN where it was skipped."""
        c, trainee = self.config, self.trainee
        number = trainee.step_count + trainee.skipped
        features, labels = point_batches.batch(self.crops, c.batch, c.points, number, c.seed, c.augment)
        trainee.network.train()
        logits = trainee.network(torch.from_numpy(features))  # [B, classes, N]
        flat = logits.transpose(1, 2).reshape(-1, CLASSES)
        truth = torch.from_numpy(labels.astype(np.int64)).flatten()
        loss = segmentation_loss(flat, truth, self.weights, IGNORE, c.lovasz)
        taken = trainee.learn(loss, number / c.steps)
        return float(loss.detach()) if taken else float("nan")

    def validated(self) -> dict[str, Any]:
        """Scores of the averaged weights on the held-out crops."""
        network = self.trainee.network
        own = {k: v.clone() for k, v in network.state_dict().items()}
        network.load_state_dict(self.trainee.ema)
        scores = validate(network, self.held, self.config.points)
        network.load_state_dict(own)
        return scores

    def save(self, out: Path) -> None:
        """Checkpoint and optimiser files; see `Trainee.save`."""
        notes = {"cpu_seconds": round(self.cpu_seconds, 1), "config": asdict(self.config), "crops": len(self.crops)}
        self.trainee.save(out, notes)

    def resume(self, out: Path) -> None:
        """Goes on where the last checkpoint in `out` stands."""
        self.cpu_seconds = float(self.trainee.load(out).get("cpu_seconds", 0.0))


def train(trainer: PointTrainer, out: Path) -> None:
    """The loop: step, log, checkpoint, validate."""
    config, trainee = trainer.config, trainer.trainee
    recent: float | None = None
    spoken = 0.0
    with (out / f"{trainee.name}.metrics.jsonl").open("a") as log:

        def note(**what: Any) -> None:
            log.write(json.dumps(what) + "\n")
            log.flush()

        note(config=asdict(config), crops=len(trainer.crops), resumed_at=trainee.step_count)
        while (done := trainee.step_count + trainee.skipped) < config.steps:
            began = time.process_time()
            loss = trainer.step()
            trainer.cpu_seconds += time.process_time() - began
            done += 1
            if loss == loss:
                recent = loss if recent is None else 0.95 * recent + 0.05 * loss
            if time.monotonic() - spoken > 10.0 or done == config.steps:
                spoken = time.monotonic()
                note(step=done, loss=recent, cpu_seconds=round(trainer.cpu_seconds, 1))
                bar = "#" * (24 * done // config.steps)
                print(
                    f"{trainee.name} [{bar:24}] {done}/{config.steps}  loss {recent or 0:.3f}  "
                    f"{trainer.cpu_seconds:.0f} CPU s",
                    flush=True,
                )
            if done % config.checkpoint == 0 or done == config.steps:
                trainer.save(out)
            if trainer.held and (done % config.validate == 0 or done == config.steps):
                scores = trainer.validated()
                note(step=done, validation=scores)
                print(f"  {trainee.name}: validation mIoU {scores['miou']:.3f}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.points", description=__doc__.split("\n")[0])
    parser.add_argument("--network", choices=NETWORKS, default="pvcnn-lite")
    parser.add_argument("--config", help="YAML over the defaults (config/training/pvcnn.yaml)")
    parser.add_argument("--crops", type=Path, default=Path("runs/crops"))
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and logs")
    parser.add_argument("--resume", action="store_true", help="go on with the checkpoint in --out")
    options = parser.parse_args(arguments)
    try:
        config = load_yaml_config(PointTrainConfig(), options.config)
        torch.set_num_threads(config.threads)
        options.out.mkdir(parents=True, exist_ok=True)
        trainer = PointTrainer(options.network, config, load(options.crops, "train"), load(options.crops, "val"))
        if options.resume:
            trainer.resume(options.out)
        train(trainer, options.out)
    except (ModelError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0
