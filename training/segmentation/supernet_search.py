"""Search for the best sub-network of a trained super network under a budget of latency or of MACs.

    python -m training.segmentation.supernet_search runs/supernet/supernet.checkpoint.safetensors \\
        --calibrate runs/sweeps.bin --budget latency --than spvcnn-lite --share 0.75 --out runs/search
    python -m training.segmentation.supernet_search CHECKPOINT --calibrate FILE --budget macs --limit 1.2 \\
        --population 50 --out runs/s

Fitness is the mIoU on cached validation sweeps after the candidate's batch norms were measured anew. Cost is predicted
latency (training/segmentation/latency_table.py: layers measured on this machine) or MACs. Every candidate is a line of
candidates.jsonl; the same command again goes on where it was stopped. The winner is written as a model folder, to be
trained further by `python -m training.segmentation --model OUT/winner …`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.facts import ModelError, load_facts, load_network
from models.official import save_model
from models.sparse import Level, fused, native
from models.spvcnn.build import facts_of, spec_of
from models.spvcnn.fused_network import FusedNetwork
from models.spvcnn.presets import NetworkSpec
from models.spvcnn.search_space import SPACES
from models.spvcnn.subnet import Subnet, gmacs
from models.spvcnn.supernet import SuperNetwork
from training.common.seeds import VAL
from training.segmentation.batch_norms import recalibrate
from training.segmentation.evolution import Candidate, EvolutionConfig, evolve
from training.segmentation.held_out import read_world, world_files
from training.segmentation.latency_table import LatencyTable, correlation, sweep_voxels
from training.segmentation.search_plot import save_search
from training.segmentation.sources import recorded
from training.segmentation.supernet import load_supernet, spec_for
from training.segmentation.sweep_buffer import collate, compact
from training.segmentation.teacher import maps_of
from training.segmentation.validation import HeldSweep, add, prepared, score, summary
from training.segmentation.voxels import VoxelBatch, in_range, voxel_batch

CPU = torch.device("cpu")
UNITS = {"latency": "predicted network latency, CPU ms of one thread", "macs": "GMAC"}


@dataclass
class Fitness:
    """mIoU of a sub-network with its own batch-norm statistics. sweeps: scored on · batches: measured on."""

    network: SuperNetwork
    sweeps: list[HeldSweep]
    batches: list[VoxelBatch]

    def measured(self, subnet: Subnet) -> torch.nn.Module:
        """The sub-network as a plain network with its batch norms measured anew."""
        plain = self.network.extract(subnet)
        recalibrate(plain, self.batches)
        return plain

    def __call__(self, subnet: Subnet) -> dict[str, Any]:
        """{miou, iou, by_pattern}."""
        return quick_score(self.measured(subnet), self.sweeps)


def quick_score(network: torch.nn.Module, sweeps: list[HeldSweep]) -> dict[str, Any]:
    """Scores through the fused engine where it was built, else through the modules."""
    if native.library() is None:
        return score(network, sweeps)
    engine = FusedNetwork(network, fused.reduced(), native.threads())
    matrices: dict[str, torch.Tensor] = {}
    for sweep in sweeps:
        logits = engine(fused.Rows.of(sweep.data.x.feats.numpy()), maps_of(sweep.data))
        add(matrices, sweep, torch.from_numpy(logits).argmax(1))
    return summary(matrices)


def held_sweeps(cache: Path, worlds: int, spec: NetworkSpec, show: Callable[[str], None]) -> list[HeldSweep]:
    """Validation sweeps, three rigs per world, made once and kept in `cache`."""
    sweeps = []
    for path in world_files(cache, worlds, 1, seeds=VAL):
        sweeps += [(sweep.pattern, compact(sweep, CPU)) for sweep in read_world(path)]
        show(f"validation sweeps {len(sweeps)} of {3 * worlds}")
    return prepared(sweeps, spec)


def calibration_batches(paths: list[Path], count: int, spec: NetworkSpec) -> list[VoxelBatch]:
    """Training sweeps without augmentation, spread over the files' first ones."""
    found = []
    for i, sweep in enumerate(recorded(paths)):
        if i % 7 == 0:
            found.append(compact(sweep, CPU))
        if len(found) == count:
            break
    return [voxel_batch(in_range(collate([sweep]), spec), spec) for sweep in found]


class Log:
    """candidates.jsonl: what was scored, by subnet; and the bar."""

    def __init__(self, path: Path, total: int):
        self.path, self.total, self.started = path, total, time.monotonic()
        self.known: dict[Subnet, dict[str, Any]] = {}
        self.fresh = 0
        if path.is_file():
            for line in path.read_text().splitlines():
                row = json.loads(line)
                self.known[Subnet.from_numbers(**row["plan"])] = row

    def write(self, row: dict[str, Any]) -> None:
        """Appends a line."""
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self.fresh += 1

    def show(self, done: int, text: str) -> None:
        """The bar on standard error."""
        bar = "#" * (24 * done // max(self.total, 1))
        left = (time.monotonic() - self.started) / max(self.fresh, 1) * max(self.total - done, 0)
        print(f"[{bar:24}] {done}/{self.total}  {text}  about {left / 60:.0f} min left", file=sys.stderr, flush=True)


def search(options: argparse.Namespace) -> dict[str, Any]:
    """Runs the search; what is also written to OUT/winner.json. Raises ModelError."""
    network, space_name = load_supernet(options.checkpoint)
    spec, space = spec_for(space_name), SPACES[space_name]
    options.out.mkdir(parents=True, exist_ok=True)
    clouds = sweep_voxels(options.real, spec.voxel_size, spec.point_range)
    table = LatencyTable(clouds, len(spec.features), spec.num_classes, path=options.out / "latency.json")
    costs: dict[str, Callable[[Subnet], float]] = {
        "latency": table.milliseconds,
        "macs": lambda subnet: float(
            np.mean([gmacs(subnet, Level(c), len(spec.features), spec.num_classes) for c in clouds])
        ),
    }
    cost = _cached(costs[options.budget])
    rival = None
    if options.than:
        facts = load_facts(options.than)
        rival = spec_of(facts).subnet or Subnet.of_spvcnn(facts.network["channels"])
    limit = options.limit if options.limit else options.share * cost(rival) if rival else float("inf")
    say = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: E731
    fitness = Fitness(
        network,
        held_sweeps(options.cache, options.worlds, spec, say),
        calibration_batches(options.calibrate, options.recalibration, spec),
    )
    config = EvolutionConfig(
        options.population, options.generations, options.parents, options.mutation, options.mutants, options.seed
    )
    say(f"budget: {limit:.2f} {UNITS[options.budget]}; smallest {cost(space.smallest()):.2f}, "
        f"largest {cost(space.largest()):.2f}")  # fmt: skip
    log = Log(options.out / "candidates.jsonl", config.population * (config.generations + 1))
    done: list[Candidate] = []

    def value(subnet: Subnet) -> float:
        if subnet not in log.known:
            scores = fitness(subnet)
            log.known[subnet] = {
                "plan": subnet.numbers(), "miou": scores["miou"], "by_pattern": scores["by_pattern"],
                "latency_ms": round(table.milliseconds(subnet), 3), "gmacs": round(costs["macs"](subnet), 4),
            }  # fmt: skip
            log.write(log.known[subnet])
        return float(log.known[subnet]["miou"])

    def scored(candidate: Candidate) -> None:
        done.append(candidate)
        best = max(done, key=lambda c: c.fitness)
        log.show(len(done), f"generation {candidate.generation}, best {best.fitness:.4f} at {best.cost:.1f}")

    start = [Subnet.from_numbers(**json.loads(line)) for line in _lines(options.start)]
    ranking = evolve(space, value, cost, limit, config, start, scored)
    return _finish(options, fitness, ranking, rival, cost, spec, table)


def _finish(
    options: argparse.Namespace,
    fitness: Fitness,
    ranking: list[Candidate],
    rival: Subnet | None,
    cost: Callable[[Subnet], float],
    spec: NetworkSpec,
    table: LatencyTable,
) -> dict[str, Any]:
    """Picture, winner's model folder, winner.json."""
    best = ranking[0]
    marks: dict[str, tuple[float, float]] = {}
    if rival is not None:
        own, _ = load_network(options.than)
        marks[str(Path(options.than).name)] = (cost(rival), float(quick_score(own, fitness.sweeps)["miou"]))
    title = f"SPVNAS: sub-networks of {options.checkpoint.parent.name}, {len(fitness.sweeps)} validation sweeps"
    save_search(options.out / "search.png", ranking, marks, UNITS[options.budget], title)
    checked = table.verify([c.subnet for c in ranking[: options.check]])
    facts = facts_of(replace(spec, channels=best.subnet.channels, subnet=best.subnet), "winner")
    facts = replace(facts, trained=True, training_data="sub-network of a super network; to be trained further")
    save_model(fitness.measured(best.subnet), facts, options.out / "winner")
    told = {
        "config": best.subnet.config(), "plan": best.subnet.numbers(), "miou": best.fitness, "cost": best.cost,
        "unit": UNITS[options.budget], "candidates": len(ranking), "to_beat": marks,
        "predicted_and_measured_ms": [[round(a, 2), round(b, 2)] for a, b in checked],
        "correlation": round(correlation(checked), 4),
    }  # fmt: skip
    (options.out / "winner.json").write_text(json.dumps(told, indent=1) + "\n")
    return told


def _cached(cost: Callable[[Subnet], float]) -> Callable[[Subnet], float]:
    known: dict[Subnet, float] = {}

    def found(subnet: Subnet) -> float:
        if subnet not in known:
            known[subnet] = cost(subnet)
        return known[subnet]

    return found


def _lines(path: Path | None) -> list[str]:
    if path is None:
        return []
    if not path.is_file():
        raise ModelError(f"no {path}: expected a file of sub-networks, one JSON object of numbers a line")
    return [line for line in path.read_text().splitlines() if line.strip()]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Command line."""
    prog = "python -m training.segmentation.supernet_search"
    parser = argparse.ArgumentParser(prog=prog, description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint", type=Path, help="checkpoint of training.segmentation.supernet")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budget", choices=sorted(UNITS), default="latency")
    parser.add_argument("--limit", type=float, default=0.0, help="ms or GMAC that a candidate may cost")
    parser.add_argument("--than", default="", help="model to beat; without --limit the budget is --share of its cost")
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--population", type=int, default=50)
    parser.add_argument("--generations", type=int, default=20)
    parser.add_argument("--parents", type=int, default=20)
    parser.add_argument("--mutation", type=float, default=0.1)
    parser.add_argument("--mutants", type=float, default=0.5, help="share of a generation that is mutated, not crossed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="sub-networks of the first generation, one JSON object a line")
    parser.add_argument("--worlds", type=int, default=4, help="validation worlds, three rigs each")
    parser.add_argument("--cache", type=Path, default=Path("runs/validation_sweeps"))
    parser.add_argument("--calibrate", type=Path, nargs="+", required=True, help="recorded training sweeps")
    parser.add_argument("--recalibration", type=int, default=4, help="of them, how many measure batch norms")
    parser.add_argument("--real", type=Path, default=Path("../shared/data"), help="real sweeps that latency is for")
    parser.add_argument("--check", type=int, default=3, help="best candidates whose latency is measured whole")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    try:
        told = search(parse(arguments))
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"winner: mIoU {told['miou']:.4f}, {told['cost']:.2f} {told['unit']}; to beat: {told['to_beat']}")
    print(f"  {told['plan']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
