"""GAN Compression (Li et al., CVPR 2020): a teacher's once-for-all student, and the fine-tuning of one of its parts.

    python -m training.gan compress-pix2pix --data PAIRS --out runs/super --set teacher=models/weights/NAME
    python -m training.gan.compression_search runs/super/NAME.checkpoint.safetensors --held PAIRS --gmacs 0.5 --out …
    python -m training.gan compress-pix2pix --data PAIRS --out runs/part --set teacher=models/weights/NAME \\
        --set start=runs/super/NAME.checkpoint.safetensors --set widths=16_16_24_16_…

Every step of the super network runs a random sub-network, for the discriminator and the generator alike. The loss of
the generator is the adversarial loss, the reconstruction loss (to the truth where pictures are paired, to the teacher's
output where not) and the distance of its features to the teacher's through learned 1x1 convolutions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.facts import ModelError, ModelFacts
from models.gan.build import facts_of
from models.gan.resnet_config import sample_config
from models.gan.spade_input import one_hot
from models.state import load_weights
from training.common.checkpoints import averaged_weights
from training.common.processes import Process
from training.gan.distillation import (
    FeatureMaps,
    captured,
    reconstruction_loss,
    resnet_feature_maps,
    spade_feature_maps,
)
from training.gan.features import perceptual_loss
from training.gan.losses import feature_matching
from training.gan.packs import Pack, drawn
from training.gan.paired import PairedTrainer
from training.gan.recalibrate import recalibrate
from training.gan.settings import GanConfig, GanOptimiser, initialised, new_network
from training.gan.teacher import SUB, SUPER, Teacher, search_space, super_network

CALIBRATION, CALIBRATION_BATCH = 32, 8  # entries that batch norms are measured on


@dataclass(frozen=True)
class CompressionConfig(GanConfig):
    """teacher: model folder · judge: checkpoint of the teacher's discriminator to start from, "": a new one · ngf:
    widest width of the student · space: widths to choose from · start: checkpoint of a super network, a part of which
    is fine-tuned · widths: that part, eight numbers; (): the super network is trained · ndf, layers: of the PatchGAN ·
    reconstruction, distill, matching, perceptual: weights of the losses (the last two for SPADE)."""

    name: str = "student"
    teacher: str = ""
    judge: str = ""
    ngf: int = 32
    space: str = "channels-32"
    start: str = ""
    widths: str = ""
    ndf: int = 32
    layers: int = 3
    loss: str = "lsgan"
    reconstruction: float = 100.0
    distill: float = 1.0
    matching: float = 10.0
    perceptual: float = 10.0


PAIRED_STUDENT = CompressionConfig(name="student-pix2pix")
CYCLE_STUDENT = CompressionConfig(name="student-cyclegan", reconstruction=10.0, distill=0.01)
SPADE_STUDENT = CompressionConfig(
    name="student-spade", loss="hinge", distill=10.0, ngf=48, space="channels-48",
    optimiser=GanOptimiser(lr=1e-4, betas=(0.0, 0.9)), discriminator=GanOptimiser(lr=4e-4, betas=(0.0, 0.9)),
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What a compression is made of. paired: whether the pack's entries belong together · choices: widths per position
    that the student chooses from."""

    teacher: Teacher
    paired: bool
    choices: tuple[tuple[int, ...], ...]

    @property
    def spade(self) -> bool:
        """Whether semantic maps become pictures."""
        return self.teacher.kind == "spade"


class CompressionTrainer(PairedTrainer):
    """The super network's training, or with `widths` the fine-tuning of one part of it."""

    config: CompressionConfig

    def __init__(
        self, config: CompressionConfig, process: Process, pack: Pack, held: Pack | None = None, paired: bool = True
    ):
        teacher = Teacher.open(config.teacher)
        self.plan = plan = Plan(teacher, paired, search_space(teacher.kind, config.space))
        if plan.spade:
            self.source, self.target = "labels", "pictures"
        self.conditional, self.compares = paired, plan.spade
        if not {self.source, self.target} <= set(pack.arrays):
            raise ModelError(f"{config.teacher} is a {teacher.facts.architecture}: the pack holds {list(pack.arrays)}")
        if max(map(max, plan.choices)) > config.ngf:
            raise ModelError(f"space {config.space} has width {max(map(max, plan.choices))}: ngf is {config.ngf}")
        teacher.network.to(process.device)
        self.labels = len(pack.facts.get("label_names", ()))
        generator = _student(config, plan, process)
        self.maps = _maps(config, plan, generator[0]).to(process.device)
        judge = _judge(config, plan, process, self.labels)
        super().__init__(config, process, pack, held, generator, judge, auxiliary=self.maps)
        self._distance = self._taught = torch.zeros(())

    def condition(self, source: Tensor) -> Tensor:
        """One-hot maps for SPADE, pictures otherwise."""
        if not self.plan.spade:
            return super().condition(source)
        return one_hot(source.to(self.process.device).long(), self.labels, dontcare=True)

    def entries(self) -> list[Tensor]:
        """Pairs, or independent entries of the two sides."""
        if self.plan.paired:
            return super().entries()
        c = self.config
        return [drawn((self.pack[s],), c.batch, self.draws, c.flip)[0] for s in (self.source, self.target)]

    def output(self, given: Tensor) -> Tensor:
        """The student's pictures, of a random sub-network while the super network is trained. The distance to the
        teacher's features is kept for `extra_loss`."""
        student, teacher = self.g.network, self.plan.teacher.network
        if not self.config.widths:
            student.select(sample_config(self.plan.choices, self.rng))
        with captured(student, self.maps.layers) as own, captured(teacher, self.maps.layers) as wanted:
            with torch.no_grad():
                self._taught = teacher(given)
            output = student(given)
            self._distance = self.maps(own, wanted)
        return output

    def extra_loss(self, output: Tensor, truth: Tensor, real: Any, fake: Any) -> Tensor:
        """Distillation and reconstruction; for SPADE feature matching and the perceptual loss take the place of the
        reconstruction, as published."""
        c = self.config
        loss = c.distill * self._distance
        if self.plan.spade:
            loss = loss + c.matching * feature_matching(real, fake)
            return loss + c.perceptual * perceptual_loss(self.features, output, truth) if c.perceptual else loss
        truth_or_none = truth if self.plan.paired else None
        return loss + c.reconstruction * reconstruction_loss(output, truth_or_none, self._taught)

    @torch.no_grad()
    def validate(self) -> dict[str, Any]:
        """Scores of the largest and the smallest sub-network, or of the part that is fine-tuned."""
        if self.held is None:
            return {}
        c, held, out = self.config, self.held, {}
        ends: dict[str, Any] = {"": None}
        if not c.widths:
            ends = {f" {f.__name__}imum": tuple(map(f, self.plan.choices)) for f in (max, min)}
        with self.g.averaged() as network:
            for name, widths in ends.items():
                if widths is not None:
                    network.select(widths)
                calibrate(network, self.condition(self.pack[self.source][:CALIBRATION]))
                out[c.name + name] = self.scores(network, held.first(32))
        return out


def calibrate(network: nn.Module, conditions: Tensor) -> None:
    """Measures the batch norms of a (selected) network on these inputs; nothing for networks without any."""
    recalibrate(network, [(part,) for part in conditions.split(CALIBRATION_BATCH)])


def _student(c: CompressionConfig, plan: Plan, process: Process) -> tuple[nn.Module, ModelFacts]:
    numbers = plan.teacher.shared_numbers()
    if not c.widths:
        network, facts = new_network(SUPER[plan.teacher.kind], c.seed, process, **numbers, ngf=c.ngf)
        return (network if plan.spade else initialised(network, c.seed)), facts
    if not c.start:
        raise ModelError("widths without a super network: --set start=RUN/NAME.checkpoint.safetensors")
    part = super_network(c.start)[0].extract(c.widths)
    return part.to(process.device), facts_of(SUB[plan.teacher.kind], {**numbers, "config": c.widths}, c.name)


def _maps(c: CompressionConfig, plan: Plan, student: Any) -> FeatureMaps:
    """1x1 convolutions from the student's widths (the widest ones of a super network) to the teacher's."""
    teacher = plan.teacher
    widths = student.config if c.widths else (c.ngf,) * 8
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(c.seed + 2)
        if not plan.spade:
            return resnet_feature_maps(widths[2], teacher.ngf, teacher.blocks)
        maps = spade_feature_maps(c.ngf, teacher.ngf)
        if not c.widths:
            return maps
        own = (16 * widths[0], 16 * widths[0], 4 * widths[5])  # head_0, G_middle_1, up_1
        return FeatureMaps(maps.layers, own, [m.out_channels for m in maps.maps])


def _judge(c: CompressionConfig, plan: Plan, process: Process, labels: int) -> nn.Module:
    """The discriminator: conditional where pictures are paired, with the teacher's weights where they are given."""
    if plan.spade:
        network, _ = new_network("gan-spade-discriminator", c.seed + 1, process, input_nc=labels + 4, ndf=c.ndf)
    else:
        inputs = 6 if plan.paired else 3
        sizes = {"input_nc": inputs, "ndf": c.ndf, "n_layers": c.layers, "norm": "instance"}
        network = initialised(new_network("gan-patchgan", c.seed + 1, process, **sizes)[0], c.seed + 1)
    if c.judge:
        load_weights(network, averaged_weights(Path(c.judge))[0], c.judge)
    return network
