"""The point networks side by side: `python -m benchmarks.point_family --json OUT --png OUT`.

PointNet, a voxel U-Net and PVCNN (squares of 8 m; equal multiply-accumulates a square), MinkUNet, SPVCNN and SPVNAS
(whole sweeps at once): parameters, multiply-accumulates of one real 64-beam sweep, peak memory of a step above the
loaded network, latency of a step (models take turns), where the time goes (benchmarks/point_parts.py), mIoU on held-out
worlds and on real sweeps, and the real sweeps by class, beam pattern and range. The scores on held-out worlds come from
each model's metrics.json, which names the sweeps; models scored on others are marked.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .common import DEFAULT_SWEEPS, machine, median_ms, progress, real_sweeps, write_json
from .point_picture import save
from .point_real import real_table

MODELS = ("pointnet-lite", "voxel-lite", "pvcnn-lite", "minkunet-lite", "spvcnn-lite", "spvnas-lite")
STREET = ("pointnet", "voxel-unet", "pvcnn-s3dis")
BUDGET = 4.0  # CPU seconds of one model on one sweep, after which it has no further round
Points = NDArray[np.float32]


def open_session(name: str, threads: int) -> Any:
    """The session that feeds a model: squares for the dense family, whole sweeps for the sparse one."""
    from models.facts import load_facts

    if load_facts(name).architecture in STREET:
        from models.pvcnn.session import PointSession

        return PointSession.from_weights(name, threads=threads)
    from models.spvcnn.session import SegmentationSession

    return SegmentationSession.from_weights(name, threads=threads)


def work(session: Any, sweep: Points) -> dict[str, float]:
    """GMAC of one sweep: `nominal`, as the papers count; `done`, what the engine multiplies where that differs."""
    from models.facts import load_network

    network, facts = load_network(session.facts.folder or session.facts.name)
    xyz = np.ascontiguousarray(sweep[:, :3])
    if facts.architecture not in STREET:
        return {"nominal": round(_sparse_macs(session, sweep, facts) / 1e9, 3)}
    import torch

    from models.pvcnn.macs import count_macs

    squares = [len(rows) for rows, _ in session._squares(xyz)]
    one, two = (count_macs(network, torch.rand(1, len(facts.features), n)) for n in (1, 2))
    per_point = two["points"] - one["points"]
    fixed = sum(v for k, v in one.items() if k != "points")
    found = {"nominal": round((fixed * len(squares) + per_point * sum(squares)) / 1e9, 3), "squares": len(squares)}
    if facts.architecture == "pvcnn-s3dis":
        found["done"] = round(_frugal_macs(session, sweep, per_point) / 1e9, 3)
    return found


def _sparse_macs(session: Any, sweep: Points, facts: Any) -> int:
    from models.spvcnn import macs, subnet

    cloud = session._quantiser(np.ascontiguousarray(sweep[:, :3]), np.ascontiguousarray(sweep[:, 3]))
    level, given, numbers = cloud.level(), len(facts.features), facts.network
    if facts.architecture == "spvnas":
        chosen = subnet.Subnet.from_numbers(numbers["channels"], numbers["transitions"], numbers["middles"])
        return sum(subnet.macs_by_part(chosen, level, given, numbers["num_classes"]).values())
    branch = facts.architecture == "spvcnn"
    return sum(macs.macs_by_part(level, numbers["channels"], given, numbers["num_classes"], branch).values())


def _frugal_macs(session: Any, sweep: Points, per_point: int) -> int:
    """Products of PVCNN's convolutions on the voxels that are read, and of its layers on points."""
    import torch

    from models.pvcnn.crops import crop_features
    from models.pvcnn.grid import Grids
    from models.pvcnn.layers import PVConv
    from models.pvcnn.needed import needed

    layers = [m for m in session.network.network.modules() if isinstance(m, PVConv)]
    total = 0
    for rows, centre in session._squares(np.ascontiguousarray(sweep[:, :3])):
        features = torch.from_numpy(crop_features(sweep[rows, :3], sweep[rows, 3], centre))[None]
        grids = Grids(features[:, :3])
        subnets: dict[int, Any] = {}
        for m in layers:
            if m.resolution not in subnets:
                subnets[m.resolution] = needed(grids.at(m.resolution, m.normalize, m.eps), 0, False)
            found = subnets[m.resolution]
            total += len(found.first) * m.in_channels * m.out_channels + len(found.second) * m.out_channels**2
        total += per_point * len(rows)
    return total


def peak_memory(name: str, sweep: Path) -> float | str:
    """MB that one step needs above the loaded network, in a process of its own; "no data" where that failed."""
    command = [sys.executable, "-m", "benchmarks.point_family", "--probe", name, str(sweep)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=600)
    try:
        return float(json.loads(told.stdout.splitlines()[-1])["peak_mb"])
    except (ValueError, IndexError, KeyError):
        return "no data"


def probe(name: str, sweep: str) -> None:
    """Prints the growth of the resident set over one step, after a small one that loads everything."""
    session = open_session(name, 1)
    points = np.load(sweep, allow_pickle=False)
    xyz, intensity = np.ascontiguousarray(points[:, :3]), np.ascontiguousarray(points[:, 3])
    session.step(xyz[:500], intensity[:500])
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = _status("VmRSS")
    session.step(xyz, intensity)
    print(json.dumps({"peak_mb": round((_status("VmHWM") - before) / 1024, 1)}))


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key + ":")).split()[1])


def latencies(names: list[str], sweeps: dict[str, Points], rounds: int, threads: int) -> dict[str, dict[str, Any]]:
    """{model: {sweep: {points, rounds, wall_ms …, wall_ms_min, cpu_ms_1_thread}}}: medians and least, models in turns.

    A model that takes seconds has fewer rounds: no more than fit into BUDGET."""
    alone = {name: open_session(name, 1) for name in names}
    several = {name: open_session(name, threads) for name in names}
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for which, sweep in sweeps.items():
        xyz, intensity = np.ascontiguousarray(sweep[:, :3]), np.ascontiguousarray(sweep[:, 3])
        wall: dict[str, list[float]] = {name: [] for name in names}
        cpu: dict[str, list[float]] = {name: [] for name in names}
        for name in names:
            for session in (alone[name], several[name]):
                session.step(xyz[:500], intensity[:500])
        for turn in range(rounds):
            for name in names:
                if sum(cpu[name]) > BUDGET:
                    continue
                began = time.thread_time()
                alone[name].step(xyz, intensity)
                cpu[name].append(time.thread_time() - began)
                start = time.perf_counter()
                several[name].step(xyz, intensity)
                wall[name].append(time.perf_counter() - start)
            progress(f"latency, {which}: round {turn + 1} of {rounds}")
        for name in names:
            found[name][which] = {
                "points": len(sweep),
                "rounds": len(wall[name]),
                f"wall_ms_{threads}_threads": median_ms(wall[name]),
                "wall_ms_min": round(min(wall[name]) * 1e3, 2),
                "cpu_ms_1_thread": round(min(cpu[name]) * 1e3, 2),
            }
    return found


def parts_of(name: str, sweep: Points) -> dict[str, dict[str, float]]:
    """{engine: ms by part}."""
    from .point_parts import street_parts, sweep_parts

    xyz, intensity = np.ascontiguousarray(sweep[:, :3]), np.ascontiguousarray(sweep[:, 3])
    session = open_session(name, 1)
    if session.facts.architecture in STREET:
        found = {session.engine.split(",")[0]: street_parts(session, xyz, intensity)}
        if "frugal" in found and session.facts.voxel_size:
            from models.pvcnn.session import PointSession

            dense = PointSession.from_weights(name, threads=1, engine="dense")
            found["dense"] = street_parts(dense, xyz, intensity)
        return found
    ours, plain = sweep_parts(session, xyz, intensity)
    return {"fused": ours, "plain": plain}


def row_of(name: str, sweep: Points, path: Path) -> dict[str, Any]:
    """Parameters, work, memory, parts and recorded scores of one model."""
    from models.facts import load_network

    network, facts = load_network(name)
    session = open_session(name, 1)
    metrics = json.loads((Path(facts.folder) / "metrics.json").read_text()) if facts.folder else {}
    row: dict[str, Any] = {
        "model": name,
        "sha256": facts.sha256,
        "architecture": facts.architecture,
        "engine": session.engine,
        "parameters": sum(p.numel() for p in network.parameters()),
        "gmacs": work(session, sweep),
        "peak_mb": peak_memory(name, path),
        "parts_ms": parts_of(name, sweep),
        "sim_miou": metrics.get("sim", {}).get("miou", "no data"),
        "real_miou10": metrics.get("real", {}).get("miou10", "no data"),
        "real_miou10_classes": metrics.get("real", {}).get("miou10_classes", "no data"),
        "crop_miou": metrics.get("crops", {}).get("miou", "no data"),
        "crop_accuracy": metrics.get("crops", {}).get("accuracy", "no data"),
        "training": metrics.get("training", {}),
        "test_sweeps_sha256": metrics.get("sweeps_sha256", "no data"),
    }
    progress(f"{name}: {row['gmacs']}, {row['peak_mb']} MB, parts {row['parts_ms']}")
    return row


def text_table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as lines of text."""
    lines = ["model            params k   GMAC  peak MB    CPU ms   wall ms  crops   sim  real10"]
    for row in rows:
        time64 = row.get("latency", {}).get("64beam", {})
        wall = next((v for k, v in time64.items() if k.startswith("wall_ms_") and k != "wall_ms_min"), "-")
        scores = [
            f"{row[k]:.3f}" if isinstance(row[k], float) else "-" for k in ("crop_miou", "sim_miou", "real_miou10")
        ]
        lines.append(
            f"{row['model']:15} {row['parameters'] / 1e3:9.0f} {row['gmacs']['nominal']:6.2f} {row['peak_mb']!s:>8} "
            f"{time64.get('cpu_ms_1_thread', '-')!s:>9} {wall!s:>9}  {scores[0]:>5} {scores[1]:>5}  {scores[2]:>5}"
        )
    return lines


def _weights(name: str) -> str:
    from models.facts import load_facts

    return load_facts(name).sha256


def _earlier(path: Path) -> dict[str, dict[str, Any]]:
    """Rows of a broken or earlier run by the hash of their weights: what was measured is not measured again."""
    try:
        rows = json.loads(path.read_text())["rows"]
    except (OSError, ValueError, KeyError):
        return {}
    return {row["sha256"]: row for row in rows if row.get("sha256") and row["sim_miou"] != "no data"}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.point_family", description=__doc__)
    parser.add_argument("--json", type=Path, help="where the result goes")
    parser.add_argument("--png", type=Path, help="where the picture goes")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--sweeps", type=Path, default=DEFAULT_SWEEPS, help="folder of real sweeps")
    parser.add_argument("--rounds", type=int, default=5, help="of the latencies; 0: rows only")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--no-real", action="store_true", help="leave out the tables of the whole-sweep models on real sweeps"
    )
    parser.add_argument("--probe", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.probe:
        probe(*options.probe)
        return
    if options.json is None:
        parser.error("--json is needed")
    from models.facts import RANDOM, list_models

    known = list_models()
    names = [n for n in options.models if n in known or n.startswith(RANDOM) or Path(n).is_dir()]
    absent = [name for name in options.models if name not in names]
    sweeps = real_sweeps(options.sweeps)
    path = options.json.with_suffix(".sweep.npy")
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, sweeps["64beam"][0])
    earlier = _earlier(options.json)
    result: dict[str, Any] = {"machine": machine(), "absent": absent, "rows": []}
    result["sweeps"] = {k: {"points": len(v), "from": where} for k, (v, where) in sweeps.items()}
    try:
        for name in names:
            result["rows"].append(earlier.get(_weights(name)) or row_of(name, sweeps["64beam"][0], path))
            write_json(options.json, result)
    finally:
        path.unlink(missing_ok=True)
    if options.rounds == 0:
        return
    times = latencies(names, {k: v for k, (v, _) in sweeps.items()}, options.rounds, options.threads)
    for row in result["rows"]:
        row["latency"] = times[row["model"]]
    write_json(options.json, result)
    if not options.no_real:
        whole = [row["model"] for row in result["rows"] if row["architecture"] not in STREET]
        result["real"] = real_table({n: open_session(n, options.threads) for n in whole}, options.sweeps)
        write_json(options.json, result)
    lines = text_table(result["rows"])
    print("\n".join(lines))
    if options.png:
        bars = [(f"{row['model']}, {e}", parts) for row in result["rows"] for e, parts in row["parts_ms"].items()]
        save(options.png, bars, lines, "One 64-beam sweep on one core: where the time goes")
    progress(f"written: {options.json}")


if __name__ == "__main__":
    main()
