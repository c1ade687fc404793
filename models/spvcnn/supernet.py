"""The super network of SPVNAS (3D-NAS, Tang et al., ECCV 2020): every sub-network's weights in one, in the released
layout (`downsample.0.feature.layers.0.net.layers.0.net.conv.kernel`, …).

    network = SuperNetwork(OFFICIAL)
    subnet = OFFICIAL.sample(random.Random(0))
    network.select(subnet)                     # the calls to come run this sub-network
    plain = network.extract(subnet)            # the same as a network of its own
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from models.facts import ModelError
from models.spvcnn.blocks import Layers
from models.spvcnn.elastic import (
    ElasticConvolution,
    ElasticLinear,
    ElasticPointTransform,
    ElasticResidual,
    Inputs,
    joined,
    leading,
    take,
)
from models.spvcnn.point_voxel import PointVoxelNetwork
from models.spvcnn.search_space import SearchSpace
from models.spvcnn.spvnas import SPVNAS, stem
from models.spvcnn.subnet import MAX_DEPTH, STAGES, Subnet


class _Stage(nn.Module):
    """`transition`, then `feature.layers.0` and `.1`; the chosen depth says how many of them run."""

    def __init__(self, transition: ElasticConvolution, blocks: list[ElasticResidual]):
        super().__init__()
        self.transition, self.feature = transition, nn.ModuleDict({"layers": nn.ModuleList(blocks)})
        self.depth = len(blocks)

    def blocks(self) -> list[Any]:
        """Both residual blocks, the unused one too."""
        feature: Any = self.feature
        return list(feature["layers"])


class SuperNetwork(PointVoxelNetwork):
    """Logits per point of the selected sub-network (at first the largest).

    space: the widths and depths there are · num_classes: outputs · in_channels: input features per voxel · pres, vres:
    see PointVoxelNetwork.
    """

    def __init__(
        self,
        space: SearchSpace,
        num_classes: int = 19,
        in_channels: int = 4,
        pres: float = 0.05,
        vres: float = 0.05,
        dropout: float = 0.3,
    ):
        super().__init__()
        self.space, self.num_classes, self.in_channels = space, num_classes, in_channels
        self.pres, self.vres = pres, vres
        c = space.upper
        self.stem = stem(in_channels, c[0])
        stages, width = [], c[0]
        for i in range(len(STAGES)):
            outputs, up = c[i + 1], i >= 4
            transition = outputs if up else width
            inputs = transition + c[7 - i] if up else width
            blocks = [ElasticResidual(inputs, outputs, True), ElasticResidual(outputs, outputs, False)]
            stages.append(_Stage(ElasticConvolution(width, transition, 2, 2, transposed=up), blocks))
            width = outputs
        self.downsample, self.upsample = nn.ModuleList(stages[:4]), nn.ModuleList(stages[4:])
        branches = [ElasticPointTransform(a, b) for a, b in ((c[0], c[4]), (c[4], c[6]), (c[6], c[8]))]
        self.point_transforms = nn.ModuleList(branches)
        self.classifier = ElasticLinear(c[8], num_classes)
        self.dropout = nn.Dropout(dropout)
        self.select(space.largest())

    def _stages(self) -> Iterator[Any]:
        yield from self.downsample
        yield from self.upsample

    def select(self, subnet: Subnet) -> None:
        """Chooses the sub-network that the next calls run. Raises ModelError where it is not part of this one."""
        self._check(subnet)
        for i, (stage, chosen) in enumerate(zip(self._stages(), subnet.stages)):
            stage.transition.select(chosen.transition)
            sources = self._sources(subnet, i) if i >= 4 else None
            for block, middle in zip(stage.blocks(), chosen.middles):
                block.select(middle, chosen.outputs, sources)
                sources = None
            stage.depth = len(chosen.middles)
        branches: Any = self.point_transforms
        for branch, at in zip(branches, (4, 6, 8)):
            branch.select(subnet.channels[at])
        self.subnet = subnet

    def _sources(self, subnet: Subnet, i: int) -> Inputs:
        """Input channels of stage i's first block among the full layer's."""
        if i < 4:
            return leading(subnet.stages[i].transition)
        return joined(subnet.stages[i].transition, self.space.upper[i + 1], subnet.skip(i - 4))

    def _check(self, subnet: Subnet) -> None:
        if subnet.stem != self.space.upper[0]:
            raise ModelError(
                f"the sub-network's stem has {subnet.stem} channels, this super network's {self.space.upper[0]}"
            )
        width = subnet.stem
        for i, (name, stage) in enumerate(zip(STAGES, subnet.stages)):
            most = self.space.upper[i + 1]
            widest = most if i >= 4 else self.space.upper[i]
            found = {"transition": (stage.transition, widest), "outputs": (stage.outputs, most)}
            found |= {f"middle of block {j}": (m, most) for j, m in enumerate(stage.middles)}
            for what, (value, limit) in found.items():
                if not 1 <= value <= limit:
                    raise ModelError(f"{name}: {what} is {value}, the super network has 1 to {limit} there")
            if not 1 <= len(stage.middles) <= MAX_DEPTH:
                raise ModelError(f"{name}: {len(stage.middles)} residual blocks, expected 1 or {MAX_DEPTH}")
            width = stage.outputs
        assert width == subnet.channels[8]

    def down_layers(self) -> list[Layers]:
        """See PointVoxelNetwork; as deep as selected."""
        stages: Any = self.downsample
        return [(stage.transition, stage.blocks()[: stage.depth]) for stage in stages]

    def up_layers(self) -> list[Layers]:
        """See PointVoxelNetwork; as deep as selected."""
        stages: Any = self.upsample
        return [(stage.transition, stage.blocks()[: stage.depth]) for stage in stages]

    def part(self, subnet: Subnet) -> dict[str, Tensor]:
        """The state dict of a sub-network, by the keys of SPVNAS: slices of this one's tensors, copied."""
        self._check(subnet)
        out = {f"stem.{k}": v for k, v in self.stem.state_dict().items()}
        width = subnet.stem
        for i, (name, stage, chosen) in enumerate(zip(STAGES, self._stages(), subnet.stages)):
            out |= _convolution(f"{name}.transition", stage.transition, leading(width), chosen.transition)
            sources = self._sources(subnet, i)
            for j, (block, middle) in enumerate(zip(stage.blocks(), chosen.middles)):
                first, second = block.layers()
                at = f"{name}.feature.{j}"
                out |= _convolution(f"{at}.net.0", first, sources, middle)
                out |= _convolution(f"{at}.net.1", second, leading(middle), chosen.outputs)
                if j == 0:
                    out |= _convolution(f"{at}.downsample", block.downsample, sources, chosen.outputs)
                sources = leading(chosen.outputs)
            width = chosen.outputs
        c = subnet.channels
        branches: Any = self.point_transforms
        for i, (branch, (a, b)) in enumerate(zip(branches, ((c[0], c[4]), (c[4], c[6]), (c[6], c[8])))):
            out |= {f"point_transforms.{i}.net.conv.{k}": v for k, v in _linear(branch.net["conv"], a, b).items()}
            out |= _norm(f"point_transforms.{i}.net.bn", branch.net["bn"], b)
        classifier: Any = self.classifier
        out |= {f"classifier.linear.{k}": v for k, v in _linear(classifier, c[8], self.num_classes).items()}
        return {k: v.detach().clone() for k, v in out.items()}

    def extract(self, subnet: Subnet) -> SPVNAS:
        """A sub-network as a plain network with its own copy of the weights, in eval mode. Equal to this one after
        `select(subnet)`."""
        network = SPVNAS(
            self.num_classes, **subnet.numbers(), in_channels=self.in_channels, pres=self.pres, vres=self.vres,
            dropout=self.dropout.p,
        )  # fmt: skip
        network.load_state_dict(self.part(subnet))
        return network.to(next(self.parameters()).device).eval()

    @torch.no_grad()
    def sort_middle_channels(self) -> None:
        """Puts the channels between the convolutions of every residual block in order of importance (sum of absolute
        weights into the channel), so that narrow sub-networks keep the heaviest. The largest network stays the same."""
        for stage in self._stages():
            for block in stage.blocks():
                first, second = block.layers()
                kernel = first.net["conv"].kernel
                order = kernel.abs().sum((0, 1)).argsort(descending=True, stable=True)
                kernel.copy_(kernel[:, :, order])
                for tensor in first.net["bn"].part(len(order)).values():
                    tensor.copy_(tensor[order])
                second.net["conv"].kernel.copy_(second.net["conv"].kernel[:, order])


def _convolution(name: str, layer: Any, inputs: Inputs, outputs: int) -> dict[str, Tensor]:
    out = {f"{name}.net.conv.kernel": layer.net["conv"].part(inputs, outputs)}
    return out | _norm(f"{name}.net.bn", layer.net["bn"], outputs)


def _norm(name: str, layer: Any, channels: int) -> dict[str, Tensor]:
    out = {f"{name}.{k}": v for k, v in layer.part(channels).items()}
    return out | {f"{name}.num_batches_tracked": layer.bn.num_batches_tracked}


def _linear(layer: Any, inputs: int, outputs: int) -> dict[str, Tensor]:
    return {
        "weight": take(layer.linear.weight, leading(inputs), 1)[:outputs],
        "bias": layer.linear.bias[:outputs],
    }
