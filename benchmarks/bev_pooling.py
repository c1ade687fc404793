"""BEV pooling against the way of the LSS paper: outer product, sort, cumulative sum, differences."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.bev_scene import Frame
from benchmarks.common import median_ms
from models.bevfusion.calibration import matrices_of
from models.bevfusion.geometry import cells_of, frustum_in_lidar
from models.bevfusion.pool.reduce import sum_cells


def by_cumulative_sum(depth: Tensor, context: Tensor, cells: Tensor, size: tuple[int, int, int]) -> Tensor:
    """depth [V, D, W, H], context [V, W, H, C], cells int64 [V * D * W * H, 3] -> [X * Y * Z, C] (Philion and Fidler,
    ECCV 2020, section 4.2).
    """
    lifted = (depth[..., None] * context[:, None]).reshape(-1, context.shape[-1])
    inside = ((cells >= 0) & (cells < torch.tensor(size))).all(1)
    lifted, kept = lifted[inside], cells[inside]
    rank = (kept[:, 0] * size[1] + kept[:, 1]) * size[2] + kept[:, 2]
    order = rank.argsort()
    lifted, rank = lifted[order].cumsum(0), rank[order]
    last = torch.ones(len(rank), dtype=torch.bool)
    last[:-1] = rank[1:] != rank[:-1]
    sums, rank = lifted[last], rank[last]
    sums[1:] = sums[1:] - sums[:-1]
    out = torch.zeros(int(np.prod(size)), context.shape[-1])
    out[rank] = sums
    return out


def compare_pooling(session: Any, frame: Frame, threads: int, rounds: int) -> dict[str, Any]:
    """{ms, cumsum_ms, speedup_over_cumsum, associate_ms, points, rel_err} on random probabilities and features of the
    session's size. The cumulative sum is exact in its cells only as far as float32 carries it: rel_err says so.
    """
    transform = session.network.camera.transform
    matrices = matrices_of(frame.calibration, session.geometry, session.x_forward)
    views, (height, width) = len(frame.calibration), transform.feature_size
    generator = torch.Generator().manual_seed(0)
    depth = torch.rand(views, transform.bins, width, height, generator=generator)
    context = torch.randn(views, width, height, transform.channels, generator=generator)
    cells = cells_of(frustum_in_lidar(transform.frustum, matrices), transform.grid)
    cells = cells[0].transpose(2, 3).reshape(-1, 3).contiguous()
    start = perf_counter()
    association = transform.new_association(matrices)
    associated = perf_counter() - start
    out = np.zeros((int(np.prod(association.shape)), transform.channels), np.float32)
    ours: list[float] = []
    theirs: list[float] = []
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for _ in range(rounds + 1):
            start = perf_counter()
            sum_cells(depth.numpy().reshape(-1), context.numpy().reshape(-1, transform.channels), association, out)
            ours.append(perf_counter() - start)
            start = perf_counter()
            expected = by_cumulative_sum(depth, context, cells, transform.grid.cells)
            theirs.append(perf_counter() - start)
    finally:
        torch.set_num_threads(before)
    error = float(np.abs(out - expected.numpy()).max() / np.abs(out).max())
    return {
        "ms": median_ms(ours[1:]),
        "cumsum_ms": median_ms(theirs[1:]),
        "speedup_over_cumsum": round(float(np.median(theirs[1:]) / np.median(ours[1:])), 1),
        "associate_ms": round(associated * 1e3, 1),
        "points": len(association),
        "rel_err": float(f"{error:.1e}"),
    }
