"""Named networks of this family as plain numbers: architecture, widths, voxel size, input features.

`spvcnn-lite` is meant for real time on two CPU cores: 0.1 m voxels and narrow high-resolution layers, 2.3 to 4.2 GMAC
for real 120 k-point 64-beam sweeps, 1.6 for a 32-beam one. `minkunet-lite` is its twin of equal MACs (macs.py; within
2 % at 64 beams) without the point branch, its lowest stage that much wider. The others are the released
SemanticKITTI networks.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.spvcnn.subnet import Subnet

OFFICIAL_WIDTHS = (32, 32, 64, 128, 256, 256, 128, 96, 96)
OFFICIAL_FEATURES = ("x", "y", "z", "intensity")
LITE_FEATURES = ("height", "range", "intensity", "known", "offset_x", "offset_y", "offset_z", "count")
LITE_RANGE = (-102.4, -102.4, -12.8, 102.4, 102.4, 38.4)


def scaled(cr: float) -> tuple[int, ...]:
    """The nine official widths times `cr`, each rounded down."""
    return tuple(int(cr * width) for width in OFFICIAL_WIDTHS)


@dataclass(frozen=True)
class NetworkSpec:
    """What `build_network` needs. architecture: "spvcnn", "minkunet" or "spvnas"; channels: nine widths (stem, four
    down, four up); voxel_size m; features: names of the input channels; point_range: x, y, z least and most, m (points
    outside get no label), or None for no limit; subnet: the sub-network of an "spvnas", its widths again."""

    architecture: str
    channels: tuple[int, ...]
    num_classes: int = 19
    features: tuple[str, ...] = OFFICIAL_FEATURES
    voxel_size: float = 0.05
    point_range: tuple[float, ...] | None = None
    subnet: Subnet | None = None


LITE_WIDTHS = (16, 16, 32, 48, 64, 48, 32, 16, 16)  # multiples of 16: the compiled engine's panel
# The sub-network that the search chose among 48 within 0.8 of spvcnn-lite's latency (docs/spvnas.md).
NAS_SUBNET = Subnet.from_numbers(
    channels=(16, 16, 32, 48, 48, 48, 32, 16, 16),
    transitions=(16, 16, 32, 48, 48, 32, 16, 8),
    middles=((16,), (32, 32), (40, 48), (64, 64), (48,), (32,), (16,), (16,)),
)
TWIN_WIDTHS = (16, 16, 32, 48, 80, 48, 32, 16, 16)

PRESETS: dict[str, NetworkSpec] = {
    "spvcnn-lite": NetworkSpec("spvcnn", LITE_WIDTHS, 19, LITE_FEATURES, 0.1, LITE_RANGE),
    "spvnas-lite": NetworkSpec("spvnas", NAS_SUBNET.channels, 19, LITE_FEATURES, 0.1, LITE_RANGE, NAS_SUBNET),
    "minkunet-lite": NetworkSpec("minkunet", TWIN_WIDTHS, 19, LITE_FEATURES, 0.1, LITE_RANGE),
    "spvcnn-cr0.5": NetworkSpec("spvcnn", scaled(0.5)),
    "spvcnn-cr0.64": NetworkSpec("spvcnn", scaled(0.64)),
    "spvcnn-cr1.0": NetworkSpec("spvcnn", scaled(1.0)),
    "minkunet-cr0.5": NetworkSpec("minkunet", scaled(0.5)),
    "minkunet-cr0.64": NetworkSpec("minkunet", scaled(0.64)),
    "minkunet-cr1.0": NetworkSpec("minkunet", scaled(1.0)),
}
