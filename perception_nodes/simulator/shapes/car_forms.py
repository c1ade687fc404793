"""Proportions and paints of the kinds of cars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perception_nodes.simulator.shapes.builder import RGB


@dataclass(frozen=True)
class CarForm:
    """Proportions of one kind of car; lengths in metres, the rest as shares of length (from the front) or height."""

    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    screen_foot: float  # where the windscreen meets the bonnet, share of length from the front
    screen_top: float
    roof_end: float
    tail_foot: float  # where the rear window meets the body
    belt: float  # height of the window sill, share of height
    bonnet: float  # height of the bonnet's front, share of height
    boot: float  # height of the tail end, share of height
    panes: tuple[tuple[float, float], ...]  # side windows, spans of the cabin's length
    clearance: float = 0.2
    wheel: float = 0.33
    roof_width: float = 0.76  # share of the body's width
    rails: bool = False
    bed: bool = False  # a pick-up's open bed behind the cab


FRONT_AND_REAR = ((0.06, 0.46), (0.52, 0.86))
THREE = ((0.05, 0.36), (0.40, 0.67), (0.71, 0.95))

FORMS: dict[str, CarForm] = {
    "hatchback": CarForm(
        (3.7, 4.35), (1.7, 1.85), (1.42, 1.58), 0.26, 0.44, 0.90, 0.985, 0.62, 0.50, 0.62, FRONT_AND_REAR, 0.18, 0.31
    ),
    "saloon": CarForm(
        (4.5, 5.0), (1.8, 1.95), (1.4, 1.5), 0.28, 0.44, 0.72, 0.86, 0.62, 0.47, 0.64, FRONT_AND_REAR, 0.17
    ),
    "estate": CarForm(
        (4.5, 4.95), (1.8, 1.93), (1.45, 1.56), 0.27, 0.43, 0.92, 0.99, 0.61, 0.47, 0.60, THREE, 0.17, rails=True
    ),
    "suv": CarForm(
        (4.4, 5.1), (1.87, 2.08), (1.65, 1.92), 0.26, 0.42, 0.92, 0.985, 0.62, 0.53, 0.62, THREE, 0.26, 0.38, 0.8, True
    ),
    "minivan": CarForm(
        (4.5, 5.2), (1.85, 2.05), (1.7, 1.95), 0.17, 0.36, 0.95, 0.99, 0.56, 0.44, 0.56, THREE, 0.18, 0.34, 0.82
    ),
    "sports": CarForm(
        (4.2, 4.6),
        (1.82, 1.98),
        (1.22, 1.34),
        0.34,
        0.51,
        0.70,
        0.93,
        0.66,
        0.50,
        0.68,
        ((0.07, 0.6),),
        0.13,
        0.34,
        0.7,
    ),
    "van": CarForm(
        (5.0, 6.2), (1.95, 2.1), (2.1, 2.7), 0.13, 0.26, 0.975, 0.995, 0.50, 0.38, 0.50, ((0.03, 0.2),), 0.22, 0.35, 0.9
    ),
    "pickup": CarForm(
        (5.1, 5.8),
        (1.9, 2.05),
        (1.78, 1.95),
        0.27,
        0.39,
        0.56,
        0.585,
        0.60,
        0.54,
        0.60,
        ((0.08, 0.5), (0.56, 0.9)),
        0.28,
        0.39,
        0.8,
        bed=True,
    ),
    "pickup_large": CarForm(
        (5.6, 6.25),
        (2.0, 2.1),
        (1.88, 2.05),
        0.26,
        0.37,
        0.6,
        0.625,
        0.62,
        0.57,
        0.61,
        ((0.08, 0.5), (0.56, 0.92)),
        0.3,
        0.41,
        0.8,
        bed=True,
    ),
    "pickup_regular": CarForm(
        (5.2, 5.9),
        (1.88, 2.05),
        (1.72, 1.95),
        0.27,
        0.38,
        0.46,
        0.485,
        0.6,
        0.54,
        0.6,
        ((0.1, 0.88),),
        0.28,
        0.38,
        0.8,
        bed=True,
    ),
}

PAINTS: tuple[tuple[RGB, float], ...] = (
    ((232, 233, 235), 0.24),
    ((24, 25, 28), 0.20),
    ((96, 99, 104), 0.18),
    ((168, 171, 176), 0.15),
    ((28, 56, 120), 0.08),
    ((140, 24, 28), 0.07),
    ((30, 70, 52), 0.02),
    ((190, 178, 150), 0.02),
    ((196, 110, 30), 0.02),
    ((60, 120, 170), 0.02),
)


def draw_paint(rng: np.random.Generator) -> RGB:
    """A car colour at the share that it has on the road, slightly varied."""
    weights = np.array([w for _, w in PAINTS])
    base = np.array(PAINTS[rng.choice(len(PAINTS), p=weights / weights.sum())][0])
    r, g, b = np.clip(base + rng.integers(-10, 11, 3), 0, 255)
    return int(r), int(g), int(b)
