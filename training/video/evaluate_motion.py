"""Scores the predicted motion of a network trained with the motion loss, on held-out worlds.

    python -m training.video.evaluate_motion runs/motion/tsm-events-online.checkpoint.safetensors

Held-out clips are seen through a panning window (as in config/training/tsm_motion.yaml), so that no single frame says
which way the picture moves. For every stride: share of the cells that move by a pixel or more sideways whose
direction, left or right, is right, and the correlation with the true flow. For comparison, the same with clips that
repeat their last frame: the best that a network without past frames can reach.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.facts import ModelError
from training.common.checkpoints import read
from training.common.config_files import merged
from training.video.clips import EventClips
from training.video.config import VideoTrainConfig
from training.video.motion import STRIDES, cell_flow, compressed
from training.video.trainer import Process, VideoTrainer, network_facts

LEAST = 1.0  # px a frame


def opened(checkpoint: Path, cache: Path, split: str) -> VideoTrainer:
    """The network and reader of a checkpoint with clips of a split. Raises ModelError where it has no reader."""
    tensors, notes = read(checkpoint)
    config = merged(VideoTrainConfig(), notes.get("config", {}), str(checkpoint))
    if config.motion <= 0:
        raise ModelError(f"{checkpoint} took no lesson of motion; train with config/training/tsm_motion.yaml")
    config = replace(config, imagenet=False, augment=replace(config.augment, pan=1.0))
    name = checkpoint.name.split(".")[0]
    clips = EventClips(cache, split, config.segments, config.stored)
    trainer = VideoTrainer(name, config, clips, network_facts(name, config), Process())
    parts = {p: {k[len(p) :]: v for k, v in tensors.items() if k.startswith(p)} for p in ("model.", "aside.")}
    trainer.trainee.network.load_state_dict(parts["model."])
    assert trainer.trainee.auxiliary is not None
    trainer.trainee.auxiliary.load_state_dict(parts["aside."])
    trainer.trainee.network.eval()
    return trainer


@torch.inference_mode()
def told(trainer: VideoTrainer, clips: NDArray[np.uint8]) -> list[Tensor]:
    """Compressed flow that is read at the last frame of clips uint8 [N, T, H, W, 3], per stride [N, 2, h, w]."""
    _, found = trainer.trainee.forward(trainer.tensor(clips))
    return [f.unflatten(0, (len(clips), -1))[:, -1] for f in found]


def scores(told: list[Tensor], flow: Tensor) -> dict[str, dict[str, float]]:
    """By stride: `direction` (share of moving cells read rightly, 0.5 is chance) and `correlation`, both sideways.
    flow [N, 2, H / 8, W / 8] px."""
    out = {}
    for stride, found in zip(STRIDES, told):
        true = nn.functional.adaptive_avg_pool2d(flow, found.shape[-2:])[:, 0]
        guess, moves = found[:, 0], true.abs() >= LEAST
        pair = torch.stack([guess.flatten(), compressed(true).flatten()])
        out[str(stride)] = {
            "direction": round(float((guess.sign() == true.sign())[moves].float().mean()), 4),
            "correlation": round(float(torch.corrcoef(pair)[0, 1]), 4),
        }
    return out


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.video.evaluate_motion", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("runs/video"))
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        trainer = opened(options.checkpoint, options.cache, options.split)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    moving, still, flows = [], [], []
    for step in range(options.batches):
        clips, _ = trainer.batch(step)
        flows.append(torch.from_numpy(cell_flow(clips))[:, -1])
        moving.append(told(trainer, clips))
        still.append(told(trainer, np.repeat(clips[:, -1:], clips.shape[1], axis=1)))
        print(f"[{'#' * (24 * (step + 1) // options.batches):24}]", end="\r", file=sys.stderr, flush=True)
    flow = torch.cat(flows)
    joined = {name: [torch.cat(parts) for parts in zip(*rows)] for name, rows in (("clips", moving), ("still", still))}
    print(json.dumps({"windows": len(flow), **{name: scores(rows, flow) for name, rows in joined.items()}}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
