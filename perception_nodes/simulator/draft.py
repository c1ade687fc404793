"""A world under construction."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout import blocks as land
from perception_nodes.simulator.layout.frontage import Frontage
from perception_nodes.simulator.layout.height import GroundHeight
from perception_nodes.simulator.layout.marks import Marks
from perception_nodes.simulator.layout.plan import PlanCrossing, StreetPlan
from perception_nodes.simulator.layout.soup import Soup
from perception_nodes.simulator.layout.warp import Warp
from perception_nodes.simulator.scene import ParkingSpot

Array = NDArray[np.float64]


@dataclass
class Draft:
    """A world under construction; the builders of layout/ and props/ read it and add to its soups."""

    seed: int
    rng: np.random.Generator
    plan: StreetPlan
    warp: Warp
    ground_soup: Soup = field(default_factory=Soup)
    prop_soup: Soup = field(default_factory=Soup)
    crossings: list[PlanCrossing] = field(default_factory=list)
    marks: Marks = field(default_factory=Marks)
    edges: dict[int, land.Edge] = field(default_factory=dict)  # block id -> rim; -1: the land outside
    rims: dict[int, land.Rim] = field(default_factory=dict)
    lands: dict[int, land.Land] = field(default_factory=dict)
    fronts: list[Frontage] = field(default_factory=list)
    outside: land.Outside | None = None
    ground: GroundHeight | None = None
    parking: list[ParkingSpot] = field(default_factory=list)
    carparks: list[Array] = field(default_factory=list)  # polygons [P, 2] in the map
    keep_clear: list[tuple[int, int, float, float]] = field(default_factory=list)  # entrances: road, side, t, half
    lamps: list[tuple[float, float, float]] = field(default_factory=list)
