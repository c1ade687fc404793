"""Training of the SPVNAS super network: every step trains a random sub-network; all sub-networks share weights.

    python -m training.segmentation.supernet --config config/training/spvnas.yaml --start spvcnn-lite --minutes 35 \\
        --out runs/supernet
    torchrun --nproc-per-node 2 -m training.segmentation.supernet …

At first every stage is two blocks deep and only widths vary, then depths vary too (progressive shrinking). With
`sandwich`, every step also trains the largest sub-network on the same batch, and with `distil` the drawn one learns
from its logits. Everything else is the training of training/segmentation/trainer.py: streams, buffer, augmentation,
losses, schedule by wall time, checkpoints, resuming. `--start` takes a trained SPVCNN's weights into the super network.

`training.segmentation.supernet_search` then looks for the best sub-network.
"""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.facts import ModelError, ModelFacts, load_network
from models.spvcnn.build import facts_of
from models.spvcnn.presets import LITE_FEATURES, LITE_RANGE, OFFICIAL_FEATURES, NetworkSpec
from models.spvcnn.search_space import SPACES
from models.spvcnn.spvcnn import SPVCNN
from models.spvcnn.subnet import Subnet
from models.spvcnn.supernet import SuperNetwork
from models.spvcnn.warm_start import warm_start
from perception_nodes.classes import IGNORE, POINT_CLASSES
from training.common.checkpoints import CHECKPOINT, averaged_weights, name_in
from training.common.command import launch, training_parser
from training.common.processes import Process
from training.common.trainee import Trainee
from training.segmentation.batch_norms import recalibrate
from training.segmentation.losses import segmentation_loss
from training.segmentation.teacher import distance
from training.segmentation.trainer import ALONE, TrainConfig, Trainer, add_options
from training.segmentation.validation import prepared, run, score
from training.segmentation.voxels import VoxelBatch

NAME = "supernet"


@dataclass(frozen=True)
class SupernetConfig(TrainConfig):
    """space: of models.spvcnn.search_space.SPACES · sandwich: teach the largest sub-network in every step too ·
    distil: share of the drawn sub-network's loss that is the distance to the largest's logits · full_depth: share of
    the schedule during which depth does not vary · recalibration: batches that batch norms are measured on before a
    score."""

    space: str = "lite"
    sandwich: bool = True
    distil: float = 0.3
    full_depth: float = 0.25
    recalibration: int = 4


def spec_for(space: str) -> NetworkSpec:
    """Inputs of a super network's sub-networks, with its largest as the subnet."""
    if space not in SPACES:
        raise ModelError(f"search space {space!r} is unknown; known: {', '.join(SPACES)}")
    subnet = SPACES[space].largest()
    if space.startswith("official"):
        return NetworkSpec("spvnas", subnet.channels, len(POINT_CLASSES), OFFICIAL_FEATURES, subnet=subnet)
    return NetworkSpec("spvnas", subnet.channels, len(POINT_CLASSES), LITE_FEATURES, 0.1, LITE_RANGE, subnet)


def make_supernet(space: str, seed: int = 0) -> SuperNetwork:
    """An untrained super network for the inputs of `spec_for`."""
    spec = spec_for(space)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SuperNetwork(SPACES[space], spec.num_classes, len(spec.features))


def load_supernet(checkpoint: Path) -> tuple[SuperNetwork, str]:
    """(super network with a checkpoint's averaged weights, name of its search space). Raises ModelError."""
    state, notes = averaged_weights(checkpoint)
    space = str(notes.get("space", "lite"))
    network = make_supernet(space)
    if set(state) != set(network.state_dict()):
        maker = "python -m training.segmentation.supernet"
        raise ModelError(f"{checkpoint} holds no super network of the space {space!r}; give one of `{maker}`")
    network.load_state_dict(state)
    return network.eval(), space


class SupernetTrainer(Trainer):
    """Teaches sub-networks. start: a checkpoint, a model folder or a model's name (an SPVCNN)."""

    config: SupernetConfig

    def __init__(self, config: SupernetConfig, process: Process = ALONE, start: str | None = None):
        super().__init__([facts_of(spec_for(config.space), NAME)], config, process)
        # every process draws its own sub-networks: more of them are taught per step
        self.rng = random.Random(config.seed * 1000 + process.rank)
        self.subnet: Subnet | None = None  # the sub-network drawn last
        if start is not None:
            self._start(start)

    def _trainee(self, facts: ModelFacts, config: TrainConfig, process: Process) -> Trainee:
        assert isinstance(config, SupernetConfig)
        network = make_supernet(config.space, config.seed).to(process.device).train()
        return Trainee(NAME, network, config.optimiser)

    @property
    def network(self) -> SuperNetwork:
        """The super network in training."""
        network = self.trainees[0].network
        assert isinstance(network, SuperNetwork)
        return network

    def _start(self, start: str) -> None:
        if start.endswith(CHECKPOINT):
            state, notes = averaged_weights(Path(start))
            name = name_in(start)
            found = notes.get("networks", {}).get(name, {}).get("network")
            channels = tuple(found["channels"]) if found else _widths(state, start)
        else:
            network, facts = load_network(start)
            if not isinstance(network, SPVCNN):
                raise ModelError(f"{start} is {facts.architecture}: a super network starts from an SPVCNN")
            state, channels = network.state_dict(), network.channels
        warm_start(self.network, {k: v.to(self.device) for k, v in state.items()}, channels)
        self.trainees[0].restart(self.network.state_dict(), start)

    def draw(self, progress: float) -> Subnet:
        """The sub-network of a step at `progress` 0..1 of the schedule."""
        full = progress < self.config.full_depth
        return self.network.space.sample(self.rng, min_depth=2 if full else None)

    def step(self, progress: float) -> dict[str, float]:
        """One optimiser step on one batch; losses of the largest and the drawn sub-network."""
        data, trainee, network = self.batch(), self.trainees[0], self.network
        weights = self.class_weights()
        network.train()
        trainee.begin(progress)
        losses: dict[str, float] = {}
        teacher: Tensor | None = None
        if self.config.sandwich:
            network.select(network.space.largest())
            logits, loss = self._loss(network, data, weights)
            losses["largest"] = float(loss.detach())
            loss.backward()
            teacher = logits.detach()
        self.subnet = self.draw(progress)
        network.select(self.subnet)
        logits, loss = self._loss(network, data, weights)
        losses["drawn"] = float(loss.detach())
        if teacher is not None and self.config.distil:
            loss = (1 - self.config.distil) * loss + self.config.distil * distance(logits, teacher)
        loss.backward()
        if self.process.world > 1:
            average_gradients(network, self.process.world)
        if not trainee.finish():
            return dict.fromkeys(losses, float("nan"))
        return losses

    def _loss(self, network: SuperNetwork, data: VoxelBatch, weights: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16 and self.device.type == "cuda"):
            logits = run(network, network, data)
        return logits, segmentation_loss(logits, data.labels, weights, IGNORE, self.config.lovasz)

    def scores(self, sweeps: list[tuple[str, Any]]) -> dict[str, Any]:
        """Scores of the largest and the smallest sub-network with batch norms of their own."""
        held = prepared(sweeps, self.spec)
        batches = [self.batch() for _ in range(self.config.recalibration)]
        out: dict[str, Any] = {}
        space = self.network.space
        with self.trainees[0].averaged() as network:
            assert isinstance(network, SuperNetwork)
            for name, subnet in (("largest", space.largest()), ("smallest", space.smallest())):
                plain = network.extract(subnet)
                recalibrate(plain, batches)
                out[name] = score(plain, held, self.config.bf16)
        return out

    def notes(self) -> dict[str, Any]:
        """See Trainer; the space and the drawing of sub-networks go along."""
        version, numbers, spare = self.rng.getstate()
        return {**super().notes(), "space": self.config.space, "drawing": [version, list(numbers), spare]}

    def restore(self, notes: dict[str, Any]) -> None:
        """See Trainer."""
        super().restore(notes)
        rank = self.process.rank
        if rank == 0 and "drawing" in notes:
            version, numbers, spare = notes["drawing"]
            self.rng.setstate((version, tuple(numbers), spare))
        elif rank:
            self.rng.seed(self.config.seed * 1000 + rank + int(self.elapsed) * 7919)


def average_gradients(network: nn.Module, world: int) -> None:
    """The mean of every gradient over the processes. Each taught another sub-network: what one left out counts as zero
    there, and keeps no gradient at all where all left it out."""
    parameters = list(network.parameters())
    used = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    torch.distributed.all_reduce(used, torch.distributed.ReduceOp.MAX)
    touched = [p for p, flag in zip(parameters, used.tolist()) if flag]
    flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in touched])
    torch.distributed.all_reduce(flat)
    flat /= world
    for parameter, part in zip(touched, flat.split([p.numel() for p in touched])):
        parameter.grad = part.view_as(parameter).clone()


def _widths(state: dict[str, Tensor], source: str) -> tuple[int, ...]:
    from models.official import channels_of

    try:
        return channels_of(state)
    except ModelError as error:
        raise ModelError(f"{source}: {error}") from None


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = training_parser("segmentation.supernet", __doc__, minutes=8.0)
    parser.add_argument("--start", help="a trained SPVCNN: checkpoint, model folder or name (default: random weights)")
    add_options(parser)
    options = parser.parse_args(arguments)

    def make(config: SupernetConfig, process: Process) -> SupernetTrainer:
        trainer = SupernetTrainer(config, process, None if options.resume else options.start)
        trainer.options = options
        return trainer

    return launch(make, SupernetConfig(), options)


if __name__ == "__main__":
    sys.exit(main())
