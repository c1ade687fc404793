"""Sparse convolution side by side: `python -m benchmarks.sparse --json OUT`.

The U-Net of SPVCNN (cr 0.5: stem, 4 down, 16 residual blocks, 4 up, classifier; batch norm folded for every engine)
over a 64-beam sweep at 0.05 m and a 32-beam sweep at 0.1 m. Engines take turns round by round, so that whatever else
the machine does falls on all of them alike; index_ms, compute_ms and total_ms are medians of wall time, total_ms_min
the least, *_cpu_ms the processor time of all threads. share_of_fma_peak is the multiply-adds of the layers over
compute_ms, against the peak of float multiply-adds at that number of threads; reduced precisions may pass 1. rel_err
is max|a - b| / max|b| of the logits against plain torch in float32. The peaks are independent multiply-adds in
registers, measured in the same run. `ours_bf16` is the 16-bit precision that stands for bfloat16 (int16: its row says
so), `ours_int8` the 8-bit one.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from .common import DEFAULT_SWEEPS, Seconds, machine, median_ms, progress, real_sweeps, timed, write_json
from .sparse_engines import Engine, Ours, Spconv, Torch
from .sparse_plan import UNet, build, macs

ARITHMETIC = {
    "ours_fp32": "float32",
    "ours_bf16": "int16 rows and weights, int32 sums",
    "ours_int8": "rows of 7 bits, weights of 8, int32 sums",
}
WORKLOADS = {"64beam_0.05_cr0.5": ("64beam", 0.05), "32beam_0.1_cr0.5": ("32beam", 0.1)}


def peaks(threads: tuple[int, ...]) -> dict[str, Any]:
    """GFLOP/s (2 per multiply-add) of the instruction set in use; the best of several short runs."""
    from models.sparse import native

    library = native.library()
    if library is None:
        return {"note": native.absence()}
    out: dict[str, Any] = {
        "isa": native.LEVELS[native.level()],
        "fma_fp32_gflops": {},
        "int16_gops": {},
        "int8_gops": {},
        "bf16": None,
    }
    for kind, name in ((0, "fma_fp32_gflops"), (1, "int16_gops"), (2, "int8_gops")):
        for count in threads:
            best = 0.0
            for _ in range(400):  # runs of about a millisecond: some fall between the turns of other processes
                begin = time.perf_counter()
                width = library.sparse_peak(100_000, kind, native.level(), count)
                best = max(best, 2 * 100_000 * width * count / (time.perf_counter() - begin) / 1e9)
            out[name][str(count)] = round(best, 1)
    return out


def _engines(plan: UNet, names: list[str]) -> list[Engine]:
    from models.sparse import native

    out: list[Engine] = []
    for name in names:
        if name in Ours.PRECISIONS:
            if name == "ours_fp32" or native.library() is not None:
                out.append(Ours(plan, name))
        elif name == "torch":
            out.append(Torch(plan))
        elif name == "spconv":
            try:
                out.append(Spconv(plan))
            except ImportError as error:
                progress(f"spconv is not installed ({error}): pip install spconv, or `make bench`")
        else:
            raise SystemExit(f"unknown engine {name!r}: expected ours_fp32, ours_bf16, ours_int8, spconv, torch")
    return out


def _round(engine: Engine, coords: np.ndarray, feats: np.ndarray) -> tuple[Seconds, Seconds, np.ndarray]:
    """(time of index, time of compute, logits) of one pass from bare coordinates."""
    index, maps = timed(lambda: engine.index(coords))
    compute, logits = timed(lambda: engine.compute(maps, feats))
    if engine.name == "spconv":
        # The first pass built the maps on the way; the second finds them. The difference is the index.
        again, logits = timed(lambda: engine.compute(maps, feats))
        return index + (compute - again), again, logits
    return index, compute, logits


def measure(
    workload: str, xyzi: np.ndarray, size: float, source: str, fma: dict[str, float], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Rows of one workload: every engine at every thread count, `options.rounds` rounds each. fma: the float
    peaks by threads."""
    from models.sparse import build_maps, native, voxelize

    plan = build(0.5)
    voxels = voxelize(xyzi[:, :3], size)
    feats = np.ascontiguousarray(xyzi[voxels.first]) * np.array([0.05, 0.05, 0.3, 1], np.float32)
    maps = build_maps(voxels.coords)
    counts = [len(level) for level in maps.levels]
    work = macs(plan, [len(level.submanifold(3)) for level in maps.levels], counts)
    progress(f"{workload}: {source}, {len(xyzi)} points, voxels by level {counts}, {work / 1e9:.2f} GMAC")
    engines = _engines(plan, options.engines)
    reference = Torch(plan)
    reference.threads(1)
    expected = reference.compute(reference.index(voxels.coords), feats)
    rows = []
    for threads in options.threads:
        times: dict[str, list[tuple[Seconds, Seconds]]] = {e.name: [] for e in engines}
        errors = {e.name: 0.0 for e in engines}
        for turn in range(options.rounds + 1):
            for engine in engines:
                engine.threads(threads)
                index, compute, logits = _round(engine, voxels.coords, feats)
                errors[engine.name] = max(
                    errors[engine.name], float(abs(logits - expected).max() / abs(expected).max())
                )
                if turn:  # the first round warms up
                    times[engine.name].append((index, compute))
            progress(f"{workload}, {threads} threads: round {turn} of {options.rounds}")
        for engine in engines:
            index, compute = zip(*times[engine.name])
            total = [a + b for a, b in times[engine.name]]
            row = {
                "workload": workload,
                "engine": engine.name,
                "threads": threads,
                "index_ms": median_ms([t.wall for t in index]),
                "compute_ms": median_ms([t.wall for t in compute]),
                "total_ms": median_ms([t.wall for t in total]),
                "total_ms_min": round(min(t.wall for t in total) * 1e3, 2),
                "compute_cpu_ms": median_ms([t.cpu for t in compute]),
                "total_cpu_ms": median_ms([t.cpu for t in total]),
                "total_cpu_ms_min": round(min(t.cpu for t in total) * 1e3, 2),
                "rel_err": errors[engine.name],
                "gmacs": round(work / 1e9, 3),
                "rounds": options.rounds,
                "input": source,
            }
            if engine.name.startswith("ours"):
                isa = native.LEVELS[native.level()] if native.library() is not None else "numpy"
                row["arithmetic"] = f"{ARITHMETIC[engine.name]}, {isa}"
            if str(threads) in fma:
                row["share_of_fma_peak"] = round(2 * work / (row["compute_ms"] * 1e6) / fma[str(threads)], 3)
            rows.append(row)
            progress(f"  {engine.name:10s} {threads} threads: index {row['index_ms']} + compute {row['compute_ms']} ms")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sparse", description=__doc__)
    parser.add_argument("--json", type=Path, required=True, help="where the result goes")
    parser.add_argument("--sweeps", type=Path, default=DEFAULT_SWEEPS, help="folder of real sweeps")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds per engine")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--engines", nargs="+", default=["ours_fp32", "ours_bf16", "ours_int8", "spconv", "torch"])
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=list(WORKLOADS))
    options = parser.parse_args()
    sweeps = real_sweeps(options.sweeps)
    result: dict[str, Any] = {"machine": machine(), "peaks": peaks(tuple(options.threads)), "rows": []}
    for workload in options.workloads:
        sweep, size = WORKLOADS[workload]
        fma = result["peaks"].get("fma_fp32_gflops", {})
        result["rows"] += measure(workload, sweeps[sweep][0], size, sweeps[sweep][1], fma, options)
        write_json(options.json, result)
    progress(f"written: {options.json}")


if __name__ == "__main__":
    main()
