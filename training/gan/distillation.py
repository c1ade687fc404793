"""Distillation of a teacher's features into a narrower student (GAN Compression, Li et al., CVPR 2020, section 3.1).

At each mapping layer k the student's features go through a learned 1x1 convolution A_k to the teacher's width:
L = sum_k mean (A_k(S_k(x)) - T_k(x))^2. The convolutions are trained with the generator's optimiser and never released.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.gan.elastic import ElasticConv2d

# Published mapping layers: ResNet generators after the second down-convolution and after each third of the blocks.
RESNET_LAYERS = ("model.9", "model.12", "model.15", "model.18")
SPADE_LAYERS = ("head_0", "G_middle_1", "up_1")
SPADE_WIDTHS = (16, 16, 4)  # of those layers, in multiples of ngf


@contextmanager
def captured(network: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Outputs of named layers, filled in by every forward pass inside the `with`. ValueError for an unknown name."""
    known = dict(network.named_modules())
    missing = [name for name in layers if name not in known]
    if missing:
        raise ValueError(
            f"{type(network).__name__} has no layer {missing[0]}: expected names such as {list(known)[1:4]}"
        )
    found: dict[str, Tensor] = {}

    def keep(name: str) -> torch.utils.hooks.RemovableHandle:
        return known[name].register_forward_hook(lambda module, given, result: found.__setitem__(name, result))

    handles = [keep(name) for name in layers]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


class FeatureMaps(nn.Module):
    """The learned 1x1 convolutions; of a super network's features they read the leading channels.

    layers: mapping layers · student, teacher: channels at each.
    """

    def __init__(self, layers: Sequence[str], student: Sequence[int], teacher: Sequence[int]):
        super().__init__()
        if not len(layers) == len(student) == len(teacher):
            raise ValueError(f"{len(layers)} layers, {len(student)} and {len(teacher)} widths: expected equal numbers")
        self.layers = tuple(layers)
        self.maps = nn.ModuleList(ElasticConv2d(s, t, 1) for s, t in zip(student, teacher))

    def forward(self, student: dict[str, Tensor], teacher: dict[str, Tensor]) -> Tensor:
        """The sum over layers of the mean squared differences; no gradient flows into the teacher."""
        losses = [F.mse_loss(m(student[k]), teacher[k].detach()) for k, m in zip(self.layers, self.maps)]
        return torch.stack(losses).sum()


def resnet_layers(n_blocks: int = 9) -> tuple[str, ...]:
    """The mapping layers of a ResNet generator of so many blocks: RESNET_LAYERS for the published 9."""
    return tuple(f"model.{9 + round(n_blocks * third / 3)}" for third in range(4))


def resnet_feature_maps(student_ngf: int, teacher_ngf: int, n_blocks: int = 9) -> FeatureMaps:
    """For ResNet generators: all mapping layers have 4 ngf channels."""
    layers = resnet_layers(n_blocks)
    return FeatureMaps(layers, (4 * student_ngf,) * len(layers), (4 * teacher_ngf,) * len(layers))


def spade_feature_maps(student_ngf: int, teacher_ngf: int) -> FeatureMaps:
    """For SPADE generators."""
    return FeatureMaps(SPADE_LAYERS, *([f * n for f in SPADE_WIDTHS] for n in (student_ngf, teacher_ngf)))


def reconstruction_loss(output: Tensor, truth: Tensor | None, teacher: Tensor | None) -> Tensor:
    """Mean absolute difference to the ground truth where pictures are paired, to the teacher's output (which serves as
    a pseudo pair) where they are not."""
    target = teacher if truth is None else truth
    if target is None:
        raise ValueError("neither ground truth nor the teacher's output was given: reconstruction needs one of them")
    return F.l1_loss(output, target.detach())
