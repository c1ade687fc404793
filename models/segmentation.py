"""The session that labels clouds with a model, whatever its family: `open_segmentation("pvcnn-lite")`."""

from __future__ import annotations

from pathlib import Path

from models.facts import ModelError, load_network
from models.pvcnn.crops import FEATURES
from models.pvcnn.session import PointSession
from models.spvcnn.minkunet import MinkUNet
from models.spvcnn.point_voxel import PointVoxelNetwork
from models.spvcnn.session import SegmentationSession


def open_segmentation(
    name_or_path: str | Path, precision: str = "auto", threads: int = 2
) -> SegmentationSession | PointSession:
    """Session of a model by name, folder or `random:<preset>`: `step(xyz, intensity) -> PointLabels`.

    precision: see models.spvcnn.inference; networks on dense grids (pvcnn-lite, pointnet-lite, voxel-lite) run in fp32.
    Raises ModelError (one sentence, what to do) for a model that does not label street sweeps.
    """
    network, facts = load_network(name_or_path)
    if isinstance(network, (MinkUNet, PointVoxelNetwork)):
        return SegmentationSession(network, facts, precision, threads)
    if tuple(facts.features) != FEATURES:
        raise ModelError(
            f"{facts.name} is a {facts.architecture} network and does not label LiDAR sweeps: take a model for points, "
            "see `perception weights list`"
        )
    if precision not in ("auto", "fp32"):
        raise ModelError(f"{facts.name} runs in fp32 alone: take precision auto or fp32, not {precision!r}")
    return PointSession(network, facts, threads=threads)
