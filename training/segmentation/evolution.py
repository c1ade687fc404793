"""Evolutionary search over sub-networks, as published for SPVNAS: a population, the best as parents, mutation and
crossover half each, a budget that every candidate keeps.

The search is a pure function of its seed, its fitness and its budget. Earlier scores are looked up, so running a
stopped search again with the same arguments continues it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from models.facts import ModelError
from models.spvcnn.search_space import SearchSpace
from models.spvcnn.subnet import Subnet

TRIES = 2000  # draws for one candidate within the budget


@dataclass(frozen=True)
class EvolutionConfig:
    """population: candidates of a generation · generations: after the first · parents: the best of all so far that
    breed · mutation: chance that a choice is drawn anew in a mutated child · mutants: share of the children that are
    mutated, the rest are crossed."""

    population: int = 50
    generations: int = 20
    parents: int = 20
    mutation: float = 0.1
    mutants: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class Candidate:
    """A scored sub-network. origin: "start", "random", "mutation" or "crossover" · cost: in the budget's unit."""

    subnet: Subnet
    fitness: float
    cost: float
    generation: int
    origin: str


def evolve(
    space: SearchSpace,
    fitness: Callable[[Subnet], float],
    cost: Callable[[Subnet], float],
    budget: float,
    config: EvolutionConfig,
    start: list[Subnet] | None = None,
    on_scored: Callable[[Candidate], None] = lambda candidate: None,
) -> list[Candidate]:
    """Every candidate, best first; none costs more than `budget`.

    start: sub-networks that belong to the first generation (those within the budget) · on_scored: called after each.
    Raises ModelError where hardly any sub-network keeps the budget.
    """
    rng = random.Random(config.seed)
    scored: dict[Subnet, Candidate] = {}

    def consider(subnet: Subnet, generation: int, origin: str) -> None:
        if subnet not in scored:
            scored[subnet] = Candidate(subnet, fitness(subnet), cost(subnet), generation, origin)
            on_scored(scored[subnet])

    for subnet in start or []:
        if space.contains(subnet) and cost(subnet) <= budget and len(scored) < config.population:
            consider(subnet, 0, "start")
    while len(scored) < config.population:
        drawn = _within(lambda: space.sample(rng), cost, budget, scored)
        if drawn is None:
            raise ModelError(
                f"no new sub-network within the budget of {budget:g} in {TRIES} draws; the smallest costs "
                f"{cost(space.smallest()):g}, the largest {cost(space.largest()):g}"
            )
        consider(drawn, 0, "random")
    for generation in range(1, config.generations + 1):
        parents = [c.subnet for c in ranked(scored)[: config.parents]]
        mutants = round(config.population * config.mutants)
        for i in range(config.population):
            origin = "mutation" if i < mutants else "crossover"
            child = _within(partial(_child, space, parents, origin, config, rng), cost, budget, scored)
            if child is not None:  # None: nothing new left around these parents
                consider(child, generation, origin)
    return ranked(scored)


def _child(
    space: SearchSpace, parents: list[Subnet], origin: str, config: EvolutionConfig, rng: random.Random
) -> Subnet:
    if origin == "mutation" or len(parents) < 2:
        return space.mutate(rng.choice(parents), rng, config.mutation)
    one, other = rng.sample(parents, 2)
    return space.cross(one, other, rng)


def _within(
    draw: Callable[[], Subnet], cost: Callable[[Subnet], float], budget: float, seen: dict[Subnet, Candidate]
) -> Subnet | None:
    """A new sub-network within the budget; None where none came up."""
    for _ in range(TRIES):
        subnet = draw()
        if subnet not in seen and cost(subnet) <= budget:
            return subnet
    return None


def ranked(scored: dict[Subnet, Candidate]) -> list[Candidate]:
    """Best first; of equals, the cheaper."""
    return sorted(scored.values(), key=lambda c: (-c.fitness, c.cost))


def frontier(candidates: list[Candidate]) -> list[Candidate]:
    """Those that no other beats in both fitness and cost, cheapest first."""
    best, out = float("-inf"), []
    for candidate in sorted(candidates, key=lambda c: (c.cost, -c.fitness)):
        if candidate.fitness > best:
            best = candidate.fitness
            out.append(candidate)
    return out
