"""Search for the best part of a super network within a budget (GAN Compression, section 3.3).

    python -m training.gan.compression_search runs/super/NAME.checkpoint.safetensors --data PAIRS --held PAIRS_VAL \\
        --gmacs 0.3 --out runs/search                  (or --ms 20: latency measured here, in the chosen runtime)

Every candidate is scored on held-out entries with fid_lite0 (lower is better), its batch norms measured on the training
pack. Small spaces are searched exhaustively, large ones by evolution. `search.json` lists every candidate, `search.png`
shows them; the last line says the widths to fine-tune.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from models.facts import ModelError
from models.gan.macs import count_macs
from models.gan.resnet_config import Config, config_name
from models.gan.spade_input import one_hot
from models.runtime import compile_network
from training.common.progress import Progress
from training.gan.compression import CALIBRATION, calibrate
from training.gan.features import LiteFeatures
from training.gan.packs import Pack, read_pack, to_float
from training.gan.paired import translated
from training.gan.scores import frechet_distance, pooled_features
from training.gan.teacher import search_space, super_network
from training.gan.width_space import WidthSpace
from training.segmentation.evolution import Candidate, EvolutionConfig, evolve, ranked
from training.segmentation.search_plot import save_search

EXHAUSTIVE = 200  # sub-networks up to which all are scored
RUNS = 7  # of one latency: the fastest counts


class Judge:
    """Scores sub-networks of a super network on the first `pictures` held-out entries."""

    def __init__(self, network: Any, kind: str, pack: Pack, held: Pack, pictures: int):
        self.network, self.spade = network, kind == "spade"
        source, target = ("labels", "pictures") if self.spade else ("a", "b")
        self.labels = len(pack.facts.get("label_names", ()))
        self.given = self.condition(held[source][:pictures])
        self.calibration = self.condition(pack[source][:CALIBRATION])
        self.features = LiteFeatures()
        self.truth = pooled_features(self.features, held[target][:pictures])

    def condition(self, source: Tensor) -> Tensor:
        """Entries as the network reads them."""
        return one_hot(source.long(), self.labels, dontcare=True) if self.spade else to_float(source)

    def __call__(self, plan: Config) -> float:
        """-fid_lite0: higher is better."""
        part = self.network.extract(plan).eval()
        calibrate(part, self.calibration)
        return -frechet_distance(pooled_features(self.features, translated(part, self.given)), self.truth)


def gmacs_of(network: Any, example: Tensor) -> Callable[[Config], float]:
    """Multiply-accumulates (10^9, as computed) of sub-networks on one entry of this shape."""
    twin = copy.deepcopy(network).to("meta")

    def gmacs(plan: Config) -> float:
        twin.select(plan)
        return count_macs(twin, example[:1]).true / 1e9

    return cache(gmacs)


def latency_of(network: Any, example: Tensor, runtime: str, threads: int) -> Callable[[Config], float]:
    """Measured latency of sub-networks, ms: the fastest of some runs on one entry."""
    return cache(lambda plan: milliseconds(network.extract(plan).eval(), example[:1], runtime, threads))


def milliseconds(network: nn.Module, example: Tensor, runtime: str = "auto", threads: int = 2) -> float:
    """The fastest of some runs of a network, compiled for a runtime, ms."""
    compiled = compile_network(network, (example,), runtime, threads)
    given, best = example.numpy(), float("inf")
    for _ in range(RUNS + 1):  # the first warms up
        begun = time.perf_counter()
        compiled(given)
        best = min(best, time.perf_counter() - begun)
    return 1e3 * best


def search(
    space: WidthSpace, fitness: Callable[[Config], float], cost: Callable[[Config], float], budget: float,
    config: EvolutionConfig, on_scored: Callable[[Candidate], None] = lambda candidate: None,
    exhaustive: int = EXHAUSTIVE,
) -> list[Candidate]:  # fmt: skip
    """All candidates, best first, none above the budget: every sub-network where the space has at most `exhaustive`,
    otherwise those of an evolution. ModelError where none keeps the budget."""
    if len(space) > exhaustive:
        return evolve(space, fitness, cost, budget, config, on_scored=on_scored)  # type: ignore[arg-type]
    within = [p for p in space.all() if cost(p) <= budget]
    if not within:
        raise ModelError(
            f"no sub-network keeps the budget of {budget:g}: the smallest costs {cost(space.smallest()):g}"
        )
    scored: dict[Any, Candidate] = {}
    for plan in within:
        scored[plan] = Candidate(plan, fitness(plan), cost(plan), 0, "all")  # type: ignore[arg-type]
        on_scored(scored[plan])
    return ranked(scored)


def main(arguments: list[str] | None = None) -> int:
    """Command line; 2 where something is missing or no sub-network keeps the budget."""
    parser = argparse.ArgumentParser(
        prog="python -m training.gan.compression_search", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    add = parser.add_argument
    add("checkpoint", type=Path, help="of the super network")
    add("--data", type=Path, required=True, help="training pack, for the batch norms")
    add("--held", type=Path, required=True, help="pack to score on; not the one that figures are published on")
    add("--out", type=Path, required=True)
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--gmacs", type=float, help="budget in multiply-accumulates, 10^9 for one entry")
    budget.add_argument("--ms", type=float, help="budget in measured latency")
    add("--space", default="channels-32")
    add("--pictures", type=int, default=32, help="held-out entries that a candidate is scored on")
    add("--population", type=int, default=16)
    add("--generations", type=int, default=4)
    add("--runtime", default="auto")
    add("--threads", type=int, default=2, help="of a latency")
    options = parser.parse_args(arguments)
    try:
        network, kind, _ = super_network(options.checkpoint)
        needed = ("labels", "pictures") if kind == "spade" else ("a", "b")
        judge = Judge(network, kind, *(read_pack(p, needed) for p in (options.data, options.held)), options.pictures)
        by_macs = options.gmacs is not None
        cost = gmacs_of(network, judge.given) if by_macs else latency_of(
            network, judge.given, options.runtime, options.threads)  # fmt: skip
        space = WidthSpace(search_space(kind, options.space))
        config = EvolutionConfig(options.population, options.generations, max(options.population // 4, 2), 0.2)
        evolved = options.population * (1 + options.generations)
        bar = Progress("sub-networks", min(evolved, len(space)) if len(space) > EXHAUSTIVE else len(space))
        limit = options.gmacs if by_macs else options.ms
        found = search(space, judge, cost, limit, config, lambda candidate: bar.step())
    except (ModelError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    unit = "10^9 multiply-accumulates" if by_macs else "ms"
    _write(options.out, found, unit, limit, cost(space.largest()))
    best: Any = found[0]
    print(f"best of {len(found)}: {config_name(best.subnet)}, fid_lite0 {-best.fitness:.3f}, {best.cost:.4g} {unit}")
    return 0


def _write(out: Path, found: list[Candidate], unit: str, budget: float, largest: float) -> None:
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        {"widths": config_name(c.subnet), "fid_lite0": round(-c.fitness, 4), "cost": round(c.cost, 5),  # type: ignore
         "generation": c.generation, "origin": c.origin}
        for c in found
    ]  # fmt: skip
    told = {"unit": unit, "budget": budget, "largest": round(largest, 5), "candidates": rows}
    (out / "search.json").write_text(json.dumps(told, indent=1) + "\n")
    best = {"best": (found[0].cost, found[0].fitness)}
    save_search(out / "search.png", found, best, unit, f"-fid_lite0, budget {budget:g}", score="-fid_lite0")


if __name__ == "__main__":
    sys.exit(main())
