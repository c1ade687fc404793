"""Training of bevfusion-lite on both sensors, from a LiDAR branch and a camera branch that were trained before.

    python -m training.bevfusion.fusion --config config/training/bevfusion.yaml --camera camera-lite \\
        --start runs/bevfusion_run/bevfusion-lite.checkpoint.safetensors --features runs/bevfusion_features \\
        --moments runs/bevfusion_fused --frames runs/bevfusion --minutes 120 --out runs/fusion_run
    …                                                                       (and with --resume for --start, to go on)

The camera backbone is frozen and its maps come from the disk (`features`). In every step sensors are left out at
random: a moment is seen by both sensors, by the LiDAR alone or by cameras alone, and of the cameras some may be missing
(Yan et al., "CMT", ICCV 2023). Moments of worlds without pictures keep the LiDAR branch in training. The lift's depth
is supervised by the world's depth (Li et al., "BEVDepth", AAAI 2023).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.bevfusion.lite.build import SIZE
from models.bevfusion.lite.lift import cells_association, view_cells
from models.bevfusion.lite.network import BevFusionLite, LiteOutputs
from models.bevfusion.pool.reduce import bev_pool
from models.facts import ModelError
from training.bevfusion.augment import augmented
from training.bevfusion.features import UNKNOWN, Cache, Features, open_camera
from training.bevfusion.frames import BOX_NAMES, Cameras, Moment, read_moment, world_path
from training.bevfusion.loss import lite_loss
from training.bevfusion.scores import conditions_of, score
from training.bevfusion.targets import box_targets
from training.bevfusion.trainer import BevTrainConfig, BevTrainer, masks_of
from training.common.checkpoints import averaged_weights
from training.common.command import launch, training_parser
from training.common.processes import Process

MODES = ("fused", "lidar", "camera")


@dataclass(frozen=True)
class FusionConfig(BevTrainConfig):
    """batch: moments without pictures per step · pictured: moments with pictures per step · shares: of the pictured
    ones that are seen by (both sensors, the LiDAR alone, cameras alone) · missing: chance that cameras are missing, one
    to all but one · depth: weight of the depth loss · held: moments with pictures that a validation takes."""

    batch: int = 1
    pictured: int = 3
    shares: tuple[float, float, float] = (0.6, 0.1, 0.3)
    missing: float = 0.25
    depth: float = 0.5
    held: int = 24
    validate_minutes: float = 0.0


@dataclass(frozen=True, eq=False)
class Sample:
    """A moment as a network sees it: `features` of the pictures that are there (None: none), whose calibration is
    moment.cameras; lidar: whether the points count."""

    moment: Moment
    features: Features | None
    lidar: bool = True


def pictured(moment: Moment, features: Features, kept: Sequence[int] | None = None, lidar: bool = True) -> Sample:
    """A sample with these pictures of a moment (None: all); intrinsics are those of the features."""
    assert moment.cameras is not None
    at = list(range(len(features.intrinsics)) if kept is None else kept)
    found = Features(features.c8[at], features.c16[at], features.depth[at], features.intrinsics[at])
    cameras = Cameras(found.intrinsics, moment.cameras.points_from_camera[at])
    return Sample(replace(moment, cameras=cameras), found, lidar)


def answer(network: BevFusionLite, samples: Sequence[Sample]) -> tuple[LiteOutputs, Tensor | None]:
    """(what the network says of a batch, logits of depth of all pictures or None where there are none)."""
    clouds = [s.moment.points if s.lidar else s.moment.points[:0] for s in samples]
    sample = torch.arange(len(clouds)).repeat_interleave(torch.tensor([len(c) for c in clouds]))
    pillars = network.pillars(torch.from_numpy(np.concatenate(clouds)), sample, len(clouds))
    context, logits = lifted(network, samples)
    return network.bev(pillars, context, *network.no_past(len(samples))), logits


def lifted(network: BevFusionLite, samples: Sequence[Sample]) -> tuple[Tensor, Tensor | None]:
    """(the cameras' map [B, K, X, Y], logits of depth [V, bins + 1, H/8, W/8] of all pictures)."""
    shown = [s.features for s in samples if s.features is not None]
    if not shown:
        return network.no_context(len(samples)), None
    lift, grid = network.lift, network.coarse
    logits, context = lift.from_maps(torch.cat([f.c8 for f in shown]), torch.cat([f.c16 for f in shown]))
    depth, features = lift.for_pool(logits, context)
    _, _, width, height = depth.shape
    nothing = np.empty((0, lift.bins.count, width, height, 3), np.int64)
    cells = []
    for one in samples:
        cameras = one.moment.cameras
        if one.features is None or cameras is None:
            cells.append(nothing)
        else:
            cells.append(view_cells(cameras.intrinsics, cameras.points_from_camera, SIZE, lift.bins, grid))
    association = cells_association(cells, grid)
    return bev_pool(depth.contiguous(), features.reshape(-1, lift.channels), association), logits


def depth_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross-entropy of the classes of depth, over the cells where it is known. classes int64 [V, h, w]."""
    return F.cross_entropy(logits, classes, ignore_index=UNKNOWN)


class FusionTrainer(BevTrainer):
    """The network, its moments with and without pictures, and its steps."""

    config: FusionConfig

    def __init__(self, settings: FusionConfig, frames: Path, moments: Path, cache: Cache):
        super().__init__(settings, frames)
        self.moments, self.cache = moments, cache
        self.files = cache.files("train")
        if not self.files:
            raise ModelError(f"no features in {cache.folder / 'train'}; type python -m training.bevfusion.features")

    def frozen(self) -> nn.Module:
        """The camera backbone: its maps come from the disk."""
        return self.network.lift.branch.backbone

    def start(self, lidar: Path, camera: str) -> None:
        """Takes the LiDAR branch, trunk and heads of a checkpoint, and the camera branch of a camera-lite."""
        state, _ = averaged_weights(lidar)
        network, facts = open_camera(camera)
        for part, own in (("branch", network.branch), ("depth", network.depth)):
            state |= {f"lift.{part}.{key}": value for key, value in own.state_dict().items()}
        self.trainees[0].restart(state, f"{lidar} and {facts.name}")

    def samples(self) -> list[Sample]:
        """The next augmented samples: pictured moments, then moments of worlds without pictures."""
        found = [self._pictured() for _ in range(self.config.pictured)]
        return [*found, *(Sample(one, None) for one in self.batch())]

    def _pictured(self) -> Sample:
        path, rng = self.files[self.rng.integers(len(self.files))], self.rng
        moment = augmented(moment_of(self.moments, path, "train"), self.config.augment, rng)
        mode = MODES[rng.choice(len(MODES), p=np.array(self.config.shares) / sum(self.config.shares))]
        if mode == "lidar":
            return Sample(moment, None)
        features = self.cache.read(path, int(rng.integers(self.cache.views)))
        views = len(features.intrinsics)
        kept = np.arange(views)
        if rng.random() < self.config.missing:
            kept = np.sort(rng.permutation(views)[: rng.integers(1, views)])
        return pictured(moment, features, kept, lidar=mode == "fused")

    def step(self, progress: float) -> dict[str, float]:
        """One step on the next samples; the losses, NaN where the step was skipped."""
        samples = self.samples()
        self.network.train()
        self.frozen().eval()
        found, logits = answer(self.network, samples)
        moments = [one.moment for one in samples]
        targets = box_targets(moments, self.network.coarse)
        loss, parts = lite_loss(found, len(BOX_NAMES), targets, masks_of(moments, found.map), self.config.loss)
        parts["depth"] = 0.0
        if logits is not None:
            truth = torch.cat([one.features.depth for one in samples if one.features is not None])
            depth = self.config.depth * depth_loss(logits, truth)
            loss, parts["depth"] = loss + depth, float(depth.detach())
        self.seen += len(samples)
        taken = self.trainees[0].learn(loss, progress)
        return parts if taken else dict.fromkeys(parts, float("nan"))

    def validate(self) -> dict[str, Any]:
        """Scores of the averaged weights on held-out moments, by the sensors that see them."""
        files = self.cache.files("val")[: self.config.held]
        with self.trainees[0].averaged():
            scores = by_mode(self.network, self.cache, self.moments, files, "val")
        return {name: {k: v for k, v in found.items() if isinstance(v, float)} for name, found in scores.items()}


def moment_of(moments: Path, features: Path, split: str) -> Moment:
    """The moment to which a file of features belongs."""
    seed, i = features.stem.split("_")
    return read_moment(world_path(moments, split, int(seed)), int(i))


def held_out(cache: Cache, moments: Path, path: Path, split: str, mode: str, missing: int = 0) -> Sample:
    """A held-out moment as `mode` sees it, its plain pictures; missing: so many cameras from the first one on are
    left out."""
    moment = moment_of(moments, path, split)
    if mode == "lidar":
        return Sample(moment, None)
    features = cache.read(path, 0)
    return pictured(moment, features, range(missing, len(features.intrinsics)), lidar=mode == "fused")


def by_mode(
    network: BevFusionLite, cache: Cache, moments: Path, files: Sequence[Path], split: str
) -> dict[str, dict[str, Any]]:
    """Scores (see `scores.score`) of a network in eval mode, by the sensors that see the moments of these files."""
    conditions = [conditions_of(int(path.stem.split("_")[0])) for path in files]
    return {
        mode: score_samples(network, (held_out(cache, moments, path, split, mode) for path in files), conditions)
        for mode in MODES
    }


def score_samples(
    network: BevFusionLite, samples: Iterable[Sample], conditions: Sequence[Sequence[str]] = ()
) -> dict[str, Any]:
    """Scores (see `scores.score`) of a network in eval mode on samples; one of them is held at a time."""
    worlds = ([one] for one in samples)
    return score(lambda one: answer(network, [one])[0], network, worlds, conditions, lambda one: one.moment)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = training_parser("bevfusion.fusion", __doc__, minutes=120.0)
    parser.add_argument("--frames", type=Path, default=Path("runs/bevfusion"), help="worlds without pictures")
    parser.add_argument("--moments", type=Path, default=Path("runs/bevfusion_fused"), help="moments of the pictures")
    parser.add_argument("--features", type=Path, default=Path("runs/bevfusion_features"))
    parser.add_argument("--start", type=Path, help="checkpoint of the LiDAR branch")
    parser.add_argument("--camera", default="camera-lite", help="the camera branch: name or model folder")
    options = parser.parse_args(arguments)

    def make(settings: FusionConfig, process: Process) -> FusionTrainer:
        process.alone("bevfusion trains")
        if (options.start is None) == (options.resume is None):
            raise ModelError("give either --start, a checkpoint of the LiDAR branch, or --resume")
        trainer = FusionTrainer(settings, options.frames, options.moments, Cache(options.features))
        if options.start is not None:
            trainer.start(options.start, options.camera)
        return trainer

    return launch(make, FusionConfig(), options)


if __name__ == "__main__":
    sys.exit(main())
