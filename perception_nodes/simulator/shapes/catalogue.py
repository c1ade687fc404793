"""A seeded catalogue of road users; a body is built when first asked for and then shared.

Renderers cache acceleration structures by the identity of a `Shape`, so two actors that look alike hold the same one.
`shape_catalogue` keeps the four last seeds; a program that draws many worlds should reuse a handful of seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np

from perception_nodes.simulator.scene import Mesh, Shape
from perception_nodes.simulator.shapes import cars, heavy, light_trailers, lorries, people, two_wheelers, works

Size = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Body:
    """What an actor looks like: box category, box size (l, w, h) and its shapes.

    A body with `phases` > 1 has a cycle of shapes that repeats every `cycle` metres of travel (a walk, turning pedals).
    `make` draws the mesh of a phase, or of someone standing (None); every shape is drawn once, when first shown.
    """

    kind: str
    category: str
    size: Size
    name: str
    make: Callable[[int | None], Mesh]
    phases: int = 1
    cycle: float = 1.0
    _shapes: dict[int | None, Shape] = field(default_factory=dict, repr=False)

    def shape(self, phase: int | None = 0) -> Shape:
        """Shape of a phase, always the same object."""
        if phase not in self._shapes:
            suffix = "" if self.phases == 1 else f"/{'standing' if phase is None else phase}"
            self._shapes[phase] = Shape(self.name + suffix, self.make(phase))
        return self._shapes[phase]

    def shape_after(self, travelled: float, moving: bool = True) -> Shape:
        """Shape after so many metres of travel; a person who does not move stands."""
        if self.phases == 1:
            return self.shape(0)
        if not moving and self.category == "pedestrian":
            return self.shape(None)
        return self.shape(int(travelled / self.cycle * self.phases) % self.phases)


CAR_SHARES = {
    "hatchback": 0.24,
    "saloon": 0.20,
    "estate": 0.13,
    "suv": 0.23,
    "minivan": 0.08,
    "sports": 0.03,
    "van": 0.09,
}
PICKUP_SHARES = {"pickup": 0.3, "pickup_large": 0.45, "pickup_regular": 0.25}
VARIANTS = {  # bodies of each kind in one catalogue
    "car": 32,
    "pickup": 16,
    "lorry": 18,
    "truck": 10,
    "tractor": 4,
    "trailer": 5,
    "parked_trailer": 4,
    "light_trailer": 6,
    "bus": 6,
    "construction_vehicle": 8,
    "motorcycle": 8,
    "motorcyclist": 10,
    "bicycle": 10,
    "bicyclist": 10,
    "adult": 18,
    "child": 5,
    "cone": 8,
    "barrier": 6,
}


class Catalogue:
    """Bodies by kind (`VARIANTS`) and variant number."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._bodies: dict[tuple[str, int], Body] = {}

    def draw(self, kind: str, rng: np.random.Generator) -> Body:
        """A random body of a kind; raises KeyError for a kind that is not in `VARIANTS`."""
        return self.body(kind, int(rng.integers(VARIANTS[kind])))

    def body(self, kind: str, variant: int) -> Body:
        """The `variant`-th body of a kind, always the same object."""
        key = (kind, variant)
        if key not in self._bodies:
            self._bodies[key] = _MAKERS[kind](kind, self.seed * 1000 + variant)
        return self._bodies[key]


@lru_cache(maxsize=4)
def shape_catalogue(seed: int) -> Catalogue:
    """The catalogue of a seed; the same object while it is among the four last used."""
    return Catalogue(seed)


def _rigid(kind: str, category: str, name: str, mesh: Mesh, size: Size) -> Body:
    return Body(kind, category, size, name, lambda _: mesh)


def _car(kind: str, seed: int) -> Body:
    rng = np.random.default_rng((0x11, seed))
    shares = PICKUP_SHARES if kind == "pickup" else CAR_SHARES
    form = str(rng.choice(list(shares), p=list(shares.values())))
    mesh, size, category = cars.car(form, seed)
    return _rigid(kind, category, f"{form}-{seed}", mesh, size)


def _pick(names: tuple[str, ...], seed: int) -> str:
    return names[seed % len(names)]


def _truck(kind: str, seed: int) -> Body:
    form = "tractor" if kind == "tractor" else _pick(heavy.TRUCKS[:-1], seed)
    return _rigid(kind, "truck", f"truck-{form}-{seed}", *heavy.truck(form, seed))


def _lorry(kind: str, seed: int) -> Body:
    form = _pick(lorries.LORRIES, seed)
    return _rigid(kind, "truck", f"lorry-{form}-{seed}", *lorries.lorry(form, seed))


def _light_trailer(kind: str, seed: int) -> Body:
    form = _pick(light_trailers.LIGHT_TRAILERS, seed)
    return _rigid(kind, "trailer", f"light-trailer-{form}-{seed}", *light_trailers.light_trailer(form, seed))


def _trailer(kind: str, seed: int) -> Body:
    form = _pick(heavy.TRAILERS, seed)
    return _rigid(kind, "trailer", f"{kind}-{form}-{seed}", *heavy.trailer(form, seed, pulled=kind == "trailer"))


def _bus(kind: str, seed: int) -> Body:
    form = _pick(heavy.BUSES, seed)
    return _rigid(kind, "bus", f"bus-{form}-{seed}", *heavy.bus(form, seed))


def _machine(kind: str, seed: int) -> Body:
    form = _pick(works.MACHINES, seed)
    return _rigid(kind, "construction_vehicle", f"{form}-{seed}", *works.machine(form, seed))


def _motorcycle(kind: str, seed: int) -> Body:
    return _rigid(kind, "motorcycle", f"{kind}-{seed}", *two_wheelers.motorcycle(seed, kind == "motorcyclist"))


def _bicycle(kind: str, seed: int) -> Body:
    if kind == "bicycle":
        return _rigid(kind, "bicycle", f"bicycle-{seed}", *two_wheelers.bicycle(seed, False))
    size = two_wheelers.bicycle(seed, True)[1]
    return Body(
        kind,
        "bicycle",
        size,
        f"bicyclist-{seed}",
        lambda phase: two_wheelers.bicycle(seed, True, phase or 0)[0],
        two_wheelers.PEDAL_PHASES,
        5.0,
    )


def _person(kind: str, seed: int) -> Body:
    figure = people.draw_figure(np.random.default_rng((0x9E, seed, kind == "child")), kind == "child")
    size = (figure.depth, figure.width, figure.height)
    make = partial(people.person, figure)
    return Body(kind, "pedestrian", size, f"{kind}-{seed}", make, people.PHASES, 0.8 * figure.height)


def _cone(kind: str, seed: int) -> Body:
    return _rigid(kind, "traffic_cone", f"cone-{seed}", *works.cone(seed))


def _barrier(kind: str, seed: int) -> Body:
    form = _pick(works.BARRIERS, seed)
    return _rigid(kind, "barrier", f"barrier-{form}-{seed}", *works.barrier(form, seed))


_MAKERS: dict[str, Callable[[str, int], Body]] = {
    "car": _car,
    "pickup": _car,
    "lorry": _lorry,
    "light_trailer": _light_trailer,
    "truck": _truck,
    "tractor": _truck,
    "trailer": _trailer,
    "parked_trailer": _trailer,
    "bus": _bus,
    "construction_vehicle": _machine,
    "motorcycle": _motorcycle,
    "motorcyclist": _motorcycle,
    "bicycle": _bicycle,
    "bicyclist": _bicycle,
    "adult": _person,
    "child": _person,
    "cone": _cone,
    "barrier": _barrier,
}
