"""A BEV model frame by frame: `python -m benchmarks.bevfusion --json OUT [--model NAME]`.

Times one frame (six cameras, ten sweeps of a 32-beam LiDAR by default) through the model's session, stage by stage, in
the runtime that `auto` takes and in torch beside it; BEV pooling against an outer product with cumulative sum; how the
time grows with cameras, points and BEV cells; peak memory; the node over DDS. Medians of elapsed time. Any session
with `step(images, points, calibration)` and `seconds` per stage can be measured: SESSIONS names them.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import json
import resource
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from benchmarks.bev_pooling import compare_pooling
from benchmarks.bev_scene import Frame, draw_rows, frame_of, newest_sweeps, with_cameras, with_points
from benchmarks.common import DEFAULT_SWEEPS, machine, median_ms, progress, write_json
from models.facts import family_of, load_facts, load_network

SESSIONS = {
    "bevfusion": "models.bevfusion.session:BevFusionSession",
    "bevfusion-lite": "models.bevfusion.lite.session:LiteSession",
}
SHARES = (0.25, 0.5, 1.0)  # of the points, and of the range that the BEV grid covers


def open_session(name: str, runtime: str, threads: int, precision: str) -> Any:
    """The session of a model by name, folder or `random:<preset>`."""
    network, facts = load_network(name)
    return session_of(network, facts, runtime, threads, precision)


def session_of(network: Any, facts: Any, runtime: str, threads: int, precision: str) -> Any:
    """The session of a network."""
    module, _, attribute = SESSIONS[facts.architecture].partition(":")
    made = getattr(importlib.import_module(module), attribute)
    return made(network, facts, runtime=runtime, threads=threads, precision=precision)


def times_of(session: Any, frame: Frame, rounds: int) -> tuple[list[float], dict[str, list[float]]]:
    """(seconds of whole steps, seconds per stage) of `rounds` steps after two that warm up."""
    whole: list[float] = []
    stages: dict[str, list[float]] = {}
    for i in range(rounds + 2):
        start = perf_counter()
        session.step(frame.images, frame.points, frame.calibration)
        took = perf_counter() - start
        if i >= 2:
            whole.append(took)
            for name, seconds in session.seconds.items():
                stages.setdefault(name, []).append(seconds)
    return whole, stages


def dense_macs(session: Any, frame: Frame) -> float:
    """Multiply-adds of one frame in dense layers (convolutions and linear layers), in units of 1e9."""
    total = 0

    def count(module: Any, given: Any, out: Any) -> None:
        nonlocal total
        weight = module.weight
        if isinstance(module, torch.nn.ConvTranspose1d | torch.nn.ConvTranspose2d):
            total += given[0].numel() * weight[0].numel()
        elif isinstance(module, torch.nn.Linear):
            total += out.numel() * weight.shape[1]
        else:
            total += out.numel() * weight[0].numel()

    kinds = (torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Linear, torch.nn.ConvTranspose2d)
    hooks = [m.register_forward_hook(count) for m in session.network.modules() if isinstance(m, kinds)]
    try:
        plain = session_of(session.network, session.facts, "torch", session.threads, "fp32")
        total = 0  # opening a session runs the network on examples
        plain.step(frame.images, frame.points, frame.calibration)
        total = 0  # so does the first step
        plain.step(frame.images, frame.points, frame.calibration)
    finally:
        for hook in hooks:
            hook.remove()
    return total / 1e9


def peak_gmacs(threads: int) -> float | None:
    """Peak of float32 multiply-adds of these threads, 1e9 per second; None without the compiled extension."""
    from benchmarks.sparse import peaks

    found = peaks((threads,)).get("fma_fp32_gflops", {}).get(str(threads))
    return None if found is None else round(found / 2, 1)


def scaling(name: str, frame: Frame, given: argparse.Namespace) -> dict[str, list[list[float]]]:
    """{cameras, points, cells}: rows [number, median ms of a step]."""
    out: dict[str, list[list[float]]] = {"cameras": [], "points": [], "cells": []}

    def row(session: Any, what: Frame) -> float:
        return median_ms(times_of(session, what, max(given.rounds // 2, 2))[0])

    session = open_session(name, given.runtime, given.threads, given.precision)
    if session.facts.image is not None:
        for count in range(1, len(frame.images) + 1):
            out["cameras"].append([count, row(session, with_cameras(frame, count))])
    if session.uses_points:
        for share in SHARES:
            fewer = with_points(frame, share)
            out["points"].append([len(fewer.points), row(session, fewer)])
    for share in SHARES:
        facts = replace(session.facts, network=shrunk(session.facts.network, share), trained=False, sha256="")
        if "lidar" in facts.network:
            facts = replace(facts, point_range=tuple(facts.network["lidar"]["point_range"]))
        elif "edge" in facts.network:
            edge, (low, high) = facts.network["edge"], facts.network["heights"]
            facts = replace(facts, point_range=(-edge, -edge, low, edge, edge, high))
        smaller = session_of(
            family_of(facts).build_network(facts, seed=0), facts, given.runtime, given.threads, given.precision
        )
        cells = int(np.prod(smaller.bev_cells))
        out["cells"].append([cells, row(smaller, frame)])
        progress(f"{cells} cells: {out['cells'][-1][1]} ms")
    return out


def shrunk(config: dict[str, Any], share: float) -> dict[str, Any]:
    """The configuration on `share` of its range in x and y, in whole multiples of 16 BEV cells."""
    out = copy.deepcopy(config)
    if "pillar" in out:  # bevfusion-lite
        cell = 32 * out["pillar"]
        out["edge"] = max(round(out["edge"] * share / cell), 1) * cell
        out["map"] = [[-min(edge, out["edge"] - 0.8), min(edge, out["edge"] - 0.8), step]
                      for _, edge, step in out["map"]]  # fmt: skip
        return out
    source = out["camera"]["grid"][0] if "camera" in out else out["lidar"]["point_range"][0::3]
    cell = out["camera"]["grid"][0][2] * 2 if "camera" in out else out["lidar"]["voxel_size"][0] * 8
    edge = max(round(-source[0] * share / (8 * cell)), 1) * 8 * cell
    if "camera" in out:
        for axis in (0, 1):
            out["camera"]["grid"][axis][:2] = [-edge, edge]
    if "lidar" in out:
        low, high = out["lidar"]["point_range"][2], out["lidar"]["point_range"][5]
        out["lidar"]["point_range"] = [-edge, -edge, low, edge, edge, high]
    if "object" in out:
        out["object"]["corner"] = [-edge, -edge]
    if "map" in out:
        out["map"]["input"] = [[-edge, edge, step] for *_, step in out["map"]["input"]]
    return out


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """The figures of figures.md."""
    facts = load_facts(given.model)
    frame = frame_of(given.cameras, tuple(given.image_size), given.sweeps, seed=0)
    session = open_session(given.model, given.runtime, given.threads, given.precision)
    frame = newest_sweeps(frame, session.past_sweeps + 1)
    whole, stages = times_of(session, frame, given.rounds)
    result: dict[str, Any] = {
        "machine": machine(),
        "model": facts.name,
        "trained": facts.trained,
        "runtime": session.engine,
        "precision": session.precision,
        "threads": given.threads,
        "cameras": len(frame.images),
        "points": len(frame.points),
        "points_from": frame.source,
        "step_ms": median_ms(whole),
        "stages_ms": {name: median_ms(seconds) for name, seconds in stages.items()},
        "overhead_share": round(1 - sum(map(sum, stages.values())) / sum(whole), 4),
        "message_to_message_ms_p50": None,  # with --no-node
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "peak_gmacs_per_s": peak_gmacs(given.threads),
    }
    progress(f"{facts.name} in {session.engine}: {result['step_ms']} ms, {result['stages_ms']}")
    beside, beside_stages = times_of(
        open_session(given.model, "torch", given.threads, "fp32"), frame, max(given.rounds // 2, 2)
    )
    result["torch_ms"] = median_ms(beside)
    result["torch_stages_ms"] = {name: median_ms(seconds) for name, seconds in beside_stages.items()}
    result["torch_over_runtime"] = round(result["torch_ms"] / result["step_ms"], 3)
    result["dense_gmacs"] = round(dense_macs(session, frame), 1)
    if session.facts.image is not None and facts.architecture == "bevfusion":
        pooling = compare_pooling(session, frame, given.threads, 3)
        pooling["share_of_total"] = round(result["stages_ms"]["pool"] / result["step_ms"], 4)
        result["bev_pool"] = pooling
        progress(f"pooling: {pooling}")
    if given.node:
        from benchmarks.bevfusion_node import node_row

        sweep = frame.points[frame.points[:, 4] == 0, :4]
        row = node_row(given.model, sweep, given.cameras, tuple(given.image_size), given.runtime, given.threads)
        result["message_to_message_ms_p50"] = row["latency_ms_p50"]
        result["node"] = row
        progress(f"over DDS: {row}")
    if not given.quick:
        result["scaling"] = scaling(given.model, frame, given)
    return result


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bevfusion", description=__doc__)
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--plot", type=Path, help="a PNG of the cost against cameras, points and cells")
    parser.add_argument("--model", default="random:bevfusion-det", help="a model by name, folder or random:<preset>")
    parser.add_argument("--runtime", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=6, help="steps that are timed")
    parser.add_argument("--cameras", type=int, default=6)
    parser.add_argument("--image-size", nargs=2, type=int, default=[900, 1600], metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--sweeps", type=Path, default=DEFAULT_SWEEPS, help="folder of recorded sweeps")
    parser.add_argument(
        "--node", action=argparse.BooleanOptionalAction, default=True, help="measure the node over DDS, too"
    )
    parser.add_argument("--quick", action="store_true", help="without scaling")
    given = parser.parse_args(arguments)
    result = measure(given)
    print(json.dumps(result))
    if given.json:
        write_json(given.json, result)
    if given.plot and "scaling" in result:
        import cv2

        cv2.imwrite(str(given.plot), draw_rows(result["scaling"]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
