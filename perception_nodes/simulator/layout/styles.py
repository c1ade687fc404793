"""Kinds of neighbourhood as ranges of numbers; a world draws its own values from them (domain randomisation)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

Range = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """Ranges (low, high) and chances (0..1) of one kind of neighbourhood. Lengths in metres, speeds in m/s."""

    name: str
    size: Range = (215.0, 280.0)  # side of the ring road
    cell: Range = (55.0, 105.0)  # blocks are split until about this size
    ring_lanes: tuple[int, ...] = (1,)
    inner_lanes: tuple[int, ...] = (1,)
    lane_width: Range = (2.8, 3.5)
    speed: Range = (8.3, 13.9)
    park: float = 0.5  # chance of a parking strip per road side
    bike: float = 0.15  # chance of a cycle strip
    median: float = 0.0  # chance that a multi-lane road has a raised median
    walk: Range = (1.4, 2.8)  # walkway width
    no_walk: float = 0.05  # chance that a block side has no walkway
    paved: float = 0.06  # chance that the land behind the walkway is paved
    strip: float = 0.3  # chance of a grass strip between kerb and walkway
    kerb: Range = (0.04, 0.16)
    bend: Range = (0.08, 0.3)
    hills: Range = (0.0, 0.06)
    setback: Range = (1.5, 8.0)
    gap: Range = (2.0, 9.0)  # between neighbouring buildings
    storeys: tuple[int, int] = (1, 3)
    pitched: float = 0.9  # chance of a pitched roof
    fence: float = 0.82  # chance that a lot has something on its front line
    lot: Range = (13.0, 24.0)
    empty: float = 0.16  # chance that a lot has no building
    tree_spacing: Range = (9.0, 22.0)  # street trees
    street_trees: float = 0.5  # chance per block side
    garden_plants: Range = (1.5, 7.0)  # trees and bushes per lot
    hedge: float = 0.42  # chance that what closes a lot is a hedge
    thicket: float = 0.6  # chance of a belt of bushes on a green lot's front or of a bed in a garden
    carpark: float = 0.2  # chance per block
    park_block: float = 0.15  # chance that a block is a green park
    signals: float = 0.3  # chance that a junction has traffic lights
    sites: Range = (3.0, 8.0)  # road works
    bank: Range = (-0.5, 1.2)  # height of gardens over the walkway
    backdrop: str = "houses"  # what stands behind the ring road: houses | blocks | fields
    extras: dict[str, float] = field(default_factory=dict)


STYLES: dict[str, Style] = {
    "suburb": Style("suburb"),
    "city": Style(
        "city",
        cell=(60, 105),
        ring_lanes=(1, 2, 2),
        inner_lanes=(1, 1, 2),
        lane_width=(2.9, 3.5),
        park=0.6,
        bike=0.3,
        median=0.4,
        walk=(2.2, 5.0),
        no_walk=0.0,
        strip=0.25,
        paved=0.35,
        kerb=(0.08, 0.2),
        bend=(0.02, 0.2),
        hills=(0.0, 0.03),
        setback=(0.0, 3.0),
        gap=(0.0, 3.0),
        thicket=0.2,
        storeys=(3, 8),
        pitched=0.35,
        fence=0.2,
        lot=(14, 34),
        empty=0.1,
        street_trees=0.6,
        garden_plants=(0.5, 3),
        carpark=0.25,
        signals=0.7,
        bank=(0.0, 0.15),
        backdrop="blocks",
    ),
    "rural": Style(
        "rural",
        size=(260, 320),
        cell=(110, 170),
        lane_width=(2.6, 3.2),
        speed=(11, 22),
        park=0.05,
        bike=0.0,
        walk=(1.2, 1.8),
        no_walk=0.6,
        strip=0.5,
        kerb=(0.0, 0.08),
        bend=(0.15, 0.4),
        hills=(0.01, 0.09),
        setback=(5, 14),
        gap=(8, 40),
        storeys=(1, 2),
        fence=0.6,
        lot=(25, 60),
        empty=0.6,
        street_trees=0.6,
        garden_plants=(3, 7),
        carpark=0.08,
        park_block=0.35,
        signals=0.0,
        bank=(-1.2, 2.0),
        backdrop="fields",
    ),
    "arterial": Style(
        "arterial",
        size=(280, 340),
        cell=(90, 150),
        ring_lanes=(2, 3),
        inner_lanes=(1, 2),
        lane_width=(3.2, 3.75),
        speed=(13.9, 22.2),
        park=0.1,
        bike=0.35,
        median=0.8,
        walk=(1.8, 3.0),
        no_walk=0.2,
        strip=0.7,
        bend=(0.05, 0.2),
        hills=(0.0, 0.04),
        setback=(6, 16),
        gap=(5, 20),
        storeys=(1, 6),
        pitched=0.3,
        fence=0.6,
        lot=(25, 50),
        empty=0.35,
        street_trees=0.6,
        garden_plants=(1, 5),
        carpark=0.4,
        signals=0.8,
        bank=(-0.8, 2.5),
        backdrop="blocks",
    ),
    "industrial": Style(
        "industrial",
        size=(240, 300),
        cell=(90, 140),
        ring_lanes=(1, 2),
        lane_width=(3.2, 3.8),
        park=0.3,
        bike=0.1,
        walk=(1.5, 2.5),
        no_walk=0.3,
        strip=0.4,
        bend=(0.0, 0.15),
        hills=(0.0, 0.03),
        setback=(5, 14),
        gap=(6, 20),
        storeys=(1, 3),
        pitched=0.15,
        fence=0.8,
        lot=(35, 65),
        empty=0.15,
        street_trees=0.25,
        garden_plants=(0, 4),
        carpark=0.6,
        park_block=0.06,
        signals=0.3,
        bank=(-0.2, 0.4),
        backdrop="blocks",
    ),
}

MIX: tuple[tuple[str, float], ...] = (
    ("suburb", 0.42),
    ("city", 0.26),
    ("rural", 0.1),
    ("arterial", 0.12),
    ("industrial", 0.1),
)


def grown(style: Style, rng: np.random.Generator) -> Style:
    """The style with its plants scaled by a random factor: bare in one world, lush in the next."""
    lush = float(rng.uniform(0.5, 2.0))
    low, high = style.garden_plants
    return replace(
        style,
        garden_plants=(low * lush, high * lush),
        thicket=min(style.thicket * lush, 0.9),
        street_trees=min(style.street_trees * (0.5 + 0.5 * lush), 0.95),
        hedge=min(style.hedge * (0.4 + 0.6 * lush), 0.85),
    )
