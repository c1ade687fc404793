"""Where the time of a point network goes: making indices, moving rows irregularly, or dense arithmetic.

    input       cutting squares or quantising, input features
    index       kernel maps, voxels of points, corners and their weights
    movement    rows gathered from and scattered to places that depend on the points
    arithmetic  products, norms, activations on rows that lie side by side

CPU time of one thread. Our sparse engines gather inside the product, where no clock can look: there, movement is what a
pass costs more than the same pass through orderly maps (as many pairs per offset, but neighbouring rows). `plain` is
the gather, multiply, scatter of plain torch, operation by operation, as the published engines do it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

PARTS = ("input", "index", "movement", "arithmetic")
IRREGULAR = ("index", "gather", "scatter", "take", "sort", "unique", "searchsorted", "bincount", "nonzero")


class Clock:
    """CPU seconds of this thread by part; `wrap` replaces functions by ones that are timed."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def add(self, part: str, work: Callable[[], Any]) -> Any:
        began = time.thread_time()
        result = work()
        self.seconds[part] = self.seconds.get(part, 0.0) + time.thread_time() - began
        return result

    @contextmanager
    def wrap(self, *targets: tuple[Any, str, str]) -> Iterator[None]:
        """Each target: (module or class, name of the function, part)."""
        kept = [(owner, name, getattr(owner, name)) for owner, name, _ in targets]

        def timed(function: Callable[..., Any], part: str) -> Callable[..., Any]:
            return lambda *a, **k: self.add(part, lambda: function(*a, **k))

        for (owner, name, part), (_, _, function) in zip(targets, kept):
            setattr(owner, name, timed(function, part))
        try:
            yield
        finally:
            for owner, name, function in kept:
                setattr(owner, name, function)


def orderly(kernel_map: Any) -> Any:
    """A map of as many pairs per offset whose rows follow each other: the same arithmetic without the jumps."""
    from models.sparse.kernel_map import KernelMap

    counts = np.diff(kernel_map.starts)
    rows = np.concatenate([np.arange(n, dtype=np.int32) for n in counts]) if len(counts) else np.empty(0, np.int32)
    return KernelMap(
        np.stack((rows, rows)), kernel_map.starts, kernel_map.inputs, kernel_map.outputs, kernel_map.centre
    )


def street_parts(session: Any, xyz: NDArray[np.float32], intensity: NDArray[np.float32]) -> dict[str, float]:
    """CPU ms by part of one step of a PointSession with one thread."""
    from models.pvcnn import frugal, layers, voxel_unet
    from models.pvcnn import session as sessions
    from models.pvcnn.grid import Grids

    targets = [(Grids, "at", "index"), (sessions, "crop_features", "input")]
    if isinstance(session.network, frugal.FrugalNetwork):
        targets += [(frugal, "needed", "index"), (frugal, "_means", "movement"), (frugal, "_add_corners", "movement")]
    else:
        targets += [(m, f, "movement") for m in (layers, voxel_unet) for f in ("voxelise", "devoxelise")]
        targets += [(voxel_unet, "point_grid", "index")]

    def once() -> dict[str, float]:
        clock = Clock()
        with clock.wrap(*targets):
            clock.add("total", lambda: session.step(xyz, intensity))
            clock.add("input", lambda: list(session._squares(xyz)))
        found = clock.seconds
        known = sum(found.get(part, 0.0) for part in ("input", "index", "movement"))
        return {**found, "arithmetic": found["total"] - known}

    session.step(xyz[:500], intensity[:500])  # compiles and loads everything
    real = once()
    if isinstance(session.network, frugal.FrugalNetwork):
        made = frugal.needed
        frugal.needed = lambda *a: _orderly_plan(made(*a))  # type: ignore[assignment]
        try:
            less = once()
        finally:
            frugal.needed = made  # type: ignore[assignment]
        jumps = max(real["arithmetic"] - less["arithmetic"], 0.0)
        real["movement"] = real.get("movement", 0.0) + jumps
        real["arithmetic"] -= jumps
    return {part: round(real.get(part, 0.0) * 1e3, 2) for part in PARTS}


def _orderly_plan(plan: Any) -> Any:
    from dataclasses import replace

    return replace(plan, first=orderly(plan.first), second=orderly(plan.second))


def sweep_parts(
    session: Any, xyz: NDArray[np.float32], intensity: NDArray[np.float32]
) -> tuple[dict[str, float], dict[str, float]]:
    """(fused, plain): CPU ms by part of one sweep through a SegmentationSession's network with one thread."""
    from models.sparse import fused

    clock = Clock()
    session.step(xyz, intensity)
    cloud = clock.add("input", lambda: session._quantiser(xyz, intensity))
    feats = clock.add("input", lambda: session._features(cloud, xyz, intensity))
    predictor = session._predict
    maps = clock.add("index", lambda: _complete(predictor.maps(cloud.level())))
    rows = fused.Rows.of(feats)

    def compute(known: Any) -> Clock:
        inner = Clock()
        with inner.wrap((fused, "interpolate", "movement"), (fused, "point_mean", "movement")):
            inner.add("total", lambda: predictor._fused(rows, known))
        return inner

    compute(maps)
    real = compute(maps).seconds
    _make_orderly(maps)
    compute(maps)
    less = compute(maps).seconds
    moved = real.get("movement", 0.0)
    jumps = max(real["total"] - moved - (less["total"] - less.get("movement", 0.0)), 0.0)
    found = {**clock.seconds, "movement": moved + jumps, "arithmetic": real["total"] - moved - jumps}
    ours = {part: round(found.get(part, 0.0) * 1e3, 2) for part in PARTS}
    shared = {part: ours[part] for part in ("input", "index")}
    return ours, {**shared, **_plain(session, feats, predictor.maps(cloud.level()))}


def _complete(maps: Any) -> Any:
    """Maps that are made when they are first asked for, made now."""
    for level in maps.levels:
        level.submanifold(3)
    for level in maps.levels[1:]:
        level.up()
    return maps


def _make_orderly(maps: Any) -> None:
    for level in maps.levels:
        for key, found in list(level._maps.items()):
            level._maps[key] = orderly(found)
        for table in (level._coarser, level._finer):
            for key, (other, found) in list(table.items()):
                table[key] = (other, orderly(found))


def _plain(session: Any, feats: NDArray[np.float32], maps: Any) -> dict[str, float]:
    """CPU ms of movement and arithmetic of the modules on plain torch."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from models.sparse import SparseTensor

    spent = {"movement": 0.0, "arithmetic": 0.0}

    class Operations(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            began = time.thread_time()
            result = function(*args, **(kwargs or {}))
            name = function.name().removeprefix("aten::")
            spent["movement" if name.startswith(IRREGULAR) else "arithmetic"] += time.thread_time() - began
            return result

    network, _ = _network_of(session)
    before = os.environ.get("PERCEPTION_SPARSE_BACKEND")
    os.environ["PERCEPTION_SPARSE_BACKEND"] = "torch"
    try:
        with torch.no_grad():
            x = SparseTensor(torch.from_numpy(np.ascontiguousarray(feats)), level=maps.levels[0])
            given = (x, network.prepared(maps)) if hasattr(network, "prepared") else (x,)
            network(*given)
            with Operations():
                network(*given)
    finally:
        if before is None:
            del os.environ["PERCEPTION_SPARSE_BACKEND"]
        else:
            os.environ["PERCEPTION_SPARSE_BACKEND"] = before
    return {part: round(value * 1e3, 2) for part, value in spent.items()}


def _network_of(session: Any) -> tuple[Any, Any]:
    from models.facts import load_network

    return load_network(session.facts.folder or session.facts.name)
