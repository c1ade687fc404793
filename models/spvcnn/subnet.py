"""Sub-networks of SPVNAS as values: widths and depths of every layer, and the released `net.config` form of the same.

A sub-network is a stem width, four down stages and four up stages. A stage has a transition width (its strided or
transposed convolution), an output width, and one or two residual blocks, each with a middle width of its own. The
released form is a flat dictionary: `output_channels` (nine widths) and module name -> width or depth, None for what the
chosen depth leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models.facts import ModelError
from models.sparse import Level

STAGES = tuple(f"{kind}.{i}" for kind in ("downsample", "upsample") for i in range(4))
MAX_DEPTH = 2  # residual blocks in a stage


@dataclass(frozen=True)
class SubnetStage:
    """transition: channels out of the strided or transposed convolution · outputs: channels out of the stage · middles:
    channels between the two convolutions of each residual block; as many blocks as entries (1 or 2)."""

    transition: int
    outputs: int
    middles: tuple[int, ...]


@dataclass(frozen=True)
class Subnet:
    """stem: channels at full resolution · stages: four down (to strides 2, 4, 8, 16), then four up."""

    stem: int
    stages: tuple[SubnetStage, ...]

    @property
    def channels(self) -> tuple[int, ...]:
        """The nine widths: stem, four down, four up."""
        return (self.stem, *(stage.outputs for stage in self.stages))

    @property
    def depths(self) -> tuple[int, ...]:
        """Residual blocks of the eight stages."""
        return tuple(len(stage.middles) for stage in self.stages)

    def skip(self, up: int) -> int:
        """Channels that up stage 0..3 is given beside its transition's."""
        return self.channels[3 - up]

    def inputs(self, stage: int) -> int:
        """Channels into the first residual block of stage 0..7 (after the concatenation, where there is one)."""
        return self.stages[stage].transition + (self.skip(stage - 4) if stage >= 4 else 0)

    def numbers(self) -> dict[str, Any]:
        """What a model's facts hold of it; `from_numbers` is the inverse."""
        return {
            "channels": list(self.channels),
            "transitions": [stage.transition for stage in self.stages],
            "middles": [list(stage.middles) for stage in self.stages],
        }

    @staticmethod
    def from_numbers(channels: Sequence[int], transitions: Sequence[int], middles: Sequence[Sequence[int]]) -> Subnet:
        """From nine output widths, eight transition widths and eight lists of middle widths. Raises ModelError."""
        shaped = len(channels) == 9 and len(transitions) == 8 and len(middles) == 8
        if not shaped or any(not 1 <= len(m) <= MAX_DEPTH for m in middles):
            raise ModelError(
                f"a sub-network has {len(channels)} output widths, {len(transitions)} transitions and blocks "
                f"{[len(m) for m in middles]}: expected 9, 8 and eight times 1 or 2"
            )
        stages = zip(transitions, channels[1:], middles)
        subnet = Subnet(int(channels[0]), tuple(SubnetStage(int(t), int(c), tuple(map(int, m))) for t, c, m in stages))
        if min(subnet.stem, *transitions, *channels, *(w for m in middles for w in m)) < 1:
            raise ModelError(f"a sub-network has a width below 1: {subnet.numbers()}")
        return subnet

    @staticmethod
    def of_spvcnn(channels: Sequence[int]) -> Subnet:
        """The sub-network that has the shape of an SPVCNN of nine widths."""
        c = list(channels)
        return Subnet.from_numbers(c, c[0:4] + c[5:9], [(width, width) for width in c[1:]])

    def config(self) -> dict[str, Any]:
        """The released form."""
        out: dict[str, Any] = {"output_channels": list(self.channels)}
        for name, stage in zip(STAGES, self.stages):
            out[f"{name}.transition"] = stage.transition
            out[f"{name}.feature"] = len(stage.middles)
            for j in range(MAX_DEPTH):
                block, chosen = f"{name}.feature.layers.{j}", j < len(stage.middles)
                out[f"{block}.net"] = 2 if chosen else None
                out[f"{block}.net.layers.0"] = stage.middles[j] if chosen else None
                out[f"{block}.net.layers.1"] = stage.outputs if chosen else None
                if j == 0:
                    out[f"{block}.downsample"] = stage.outputs
        for i, at in enumerate((4, 6, 8)):
            out[f"point_transforms.{i}"] = self.channels[at]
        return out

    @staticmethod
    def from_config(config: Mapping[str, Any]) -> Subnet:
        """From the released form; keys that say nothing about the shape (num_classes, …) are passed over.

        Raises ModelError where a key is missing, is not a number, or contradicts `output_channels`.
        """
        widths = config.get("output_channels")
        if not isinstance(widths, (list, tuple)) or len(widths) != 9:
            raise ModelError(f"output_channels is {widths!r}: expected nine widths (stem, four down, four up)")
        transitions, middles = [], []
        for i, name in enumerate(STAGES):
            depth = _number(config, f"{name}.feature")
            if not 1 <= depth <= MAX_DEPTH:
                raise ModelError(f"{name}.feature is {depth}: expected 1 or 2 residual blocks")
            transitions.append(_number(config, f"{name}.transition"))
            middles.append([_number(config, f"{name}.feature.layers.{j}.net.layers.0") for j in range(depth)])
            for key in (f"{name}.feature.layers.{j}.net.layers.1" for j in range(depth)):
                _agrees(config, key, widths[i + 1])
            _agrees(config, f"{name}.feature.layers.0.downsample", widths[i + 1])
        for i, at in enumerate((4, 6, 8)):
            _agrees(config, f"point_transforms.{i}", widths[at])
        return Subnet.from_numbers(widths, transitions, middles)


def _number(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ModelError(
            f"the sub-network's config has {key} = {value!r}: expected a whole number; is it a net.config?"
        )
    return value


def _agrees(config: Mapping[str, Any], key: str, width: int) -> None:
    """A layer that ends a block has its stage's width; the key may be absent, as nothing is chosen by it."""
    if config.get(key, width) not in (width, None):
        raise ModelError(f"the config has {key} = {config[key]!r}, output_channels ask for {width} there")


def macs_by_part(subnet: Subnet, level: Level, in_channels: int = 4, classes: int = 19) -> dict[str, int]:
    """MACs by part (stem, downsample.0, …, points, classifier) on the voxels of `level` (stride 1): kernel-map pairs x
    Cin x Cout and the linear layers, as in `models.spvcnn.macs`."""
    levels = [level]
    for _ in range(4):
        levels.append(levels[-1].down()[0])
    pairs = [len(found.submanifold(3)) for found in levels]
    voxels = [len(found) for found in levels]
    c = subnet.channels
    parts = {"stem": pairs[0] * (in_channels * c[0] + c[0] * c[0])}
    width = subnet.stem
    for i, (name, stage) in enumerate(zip(STAGES, subnet.stages)):
        at = i + 1 if i < 4 else 7 - i
        # every voxel of the finer level meets one of the coarser: down from it, or up onto it
        total = voxels[i if i < 4 else at] * width * stage.transition
        inputs = subnet.inputs(i)
        total += voxels[at] * inputs * stage.outputs  # the first block's shortcut
        for middle in stage.middles:
            total += pairs[at] * (inputs * middle + middle * stage.outputs)
            inputs = stage.outputs
        parts[name], width = total, stage.outputs
    parts["points"] = voxels[0] * (c[0] * c[4] + c[4] * c[6] + c[6] * c[8])
    parts["classifier"] = voxels[0] * c[8] * classes
    return parts


def gmacs(subnet: Subnet, level: Level, in_channels: int = 4, classes: int = 19) -> float:
    """Total in 10^9 multiply-accumulates."""
    return sum(macs_by_part(subnet, level, in_channels, classes).values()) / 1e9
