"""What a LiDAR at 905 nm sees of each surface: reflectivity, gloss, retro-reflection, chance that the echo is lost.

Reflectivities are set so that the medians of KITTI's remission come out (car .09, road .26, sidewalk .31, terrain .33,
building .41, vegetation .34; measured on SemanticKITTI sequence 00 and in the project's notes). Every world draws its
own, so that a network cannot read the class off the intensity alone. Paint returns what its colour says: most of the
spread of car paint follows the brightness of its colour, and road paint fades to asphalt where the picture shows it
worn (`returns`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.scene import Conditions, Surface

# surface: (diffuse reflectivity, log spread over worlds, log spread over objects, gloss, retro, chance of an echo)
_TABLE: dict[Surface, tuple[float, float, float, float, float, float]] = {
    Surface.ASPHALT: (0.25, 0.25, 0.0, 0.0, 0.0, 1.0),
    Surface.LANE_PAINT: (0.50, 0.25, 0.0, 0.0, 0.0, 1.0),
    Surface.PAVING: (0.31, 0.20, 0.0, 0.0, 0.0, 1.0),
    Surface.KERB: (0.33, 0.20, 0.0, 0.0, 0.0, 1.0),
    Surface.GRASS: (0.43, 0.20, 0.0, 0.0, 0.0, 1.0),
    Surface.SOIL: (0.35, 0.20, 0.0, 0.0, 0.0, 1.0),
    Surface.GRAVEL: (0.33, 0.20, 0.0, 0.0, 0.0, 1.0),
    Surface.BRICK: (0.45, 0.30, 0.0, 0.0, 0.0, 1.0),
    Surface.PLASTER: (0.52, 0.30, 0.0, 0.0, 0.0, 1.0),
    Surface.CONCRETE: (0.42, 0.25, 0.0, 0.0, 0.0, 1.0),
    Surface.GLASS: (0.12, 0.30, 0.0, 0.5, 0.0, 0.5),
    Surface.ROOF: (0.28, 0.25, 0.0, 0.0, 0.0, 1.0),
    Surface.BARK: (0.32, 0.20, 0.0, 0.0, 0.0, 1.0),
    Surface.LEAVES: (0.37, 0.20, 0.0, 0.0, 0.0, 1.0),
    Surface.WOOD: (0.33, 0.25, 0.0, 0.0, 0.0, 1.0),
    Surface.METAL: (0.22, 0.35, 0.5, 0.2, 0.0, 1.0),
    Surface.RAILING: (0.30, 0.25, 0.0, 0.0, 0.0, 1.0),
    Surface.CAR_PAINT: (0.10, 0.30, 0.9, 0.5, 0.0, 0.97),
    Surface.CAR_GLASS: (0.03, 0.30, 0.3, 0.3, 0.0, 0.25),
    Surface.RUBBER: (0.05, 0.20, 0.2, 0.0, 0.0, 1.0),
    Surface.PLASTIC: (0.25, 0.30, 0.5, 0.1, 0.0, 1.0),
    Surface.SKIN: (0.40, 0.15, 0.1, 0.0, 0.0, 1.0),
    Surface.CLOTH: (0.28, 0.20, 0.6, 0.0, 0.0, 1.0),
    Surface.SIGN: (0.45, 0.30, 0.3, 0.0, 0.7, 1.0),
    Surface.LAMP: (0.30, 0.30, 0.3, 0.1, 0.0, 1.0),
    Surface.HEADLIGHT: (0.30, 0.30, 0.3, 0.5, 0.3, 0.7),
    Surface.TAILLIGHT: (0.40, 0.30, 0.3, 0.2, 0.6, 1.0),
    Surface.LICENCE_PLATE: (0.60, 0.20, 0.2, 0.0, 0.8, 1.0),
    Surface.WATER: (0.02, 0.20, 0.0, 0.3, 0.0, 0.1),
}
# What stands out of a surface, m: blades of grass, single leaves, stones, a facade's relief. A beam meets it anywhere
# between tip and foot. In SemanticKITTI lawns are 1.5 to 2.4 cm thick (deviation within 0.4 m), facades 3 to 5.
_PILE: dict[Surface, float] = {
    Surface.GRASS: 0.06,
    Surface.SOIL: 0.02,
    Surface.GRAVEL: 0.02,
    Surface.PLASTER: 0.05,
    Surface.CONCRETE: 0.03,
    Surface.ROOF: 0.03,
    Surface.BARK: 0.02,
    Surface.LEAVES: 0.06,
}
_WET = {Surface.ASPHALT, Surface.LANE_PAINT, Surface.PAVING, Surface.KERB, Surface.CONCRETE, Surface.SOIL}


@dataclass(frozen=True, eq=False)
class Materials:
    """Tables by surface: `table` float32 [S, 6] = reflectivity, log spread over objects, gloss, retro, chance of an
    echo, pile (m, what stands out of the surface); attenuation alpha 1/m (one way); clutter: chance that air sends an
    echo back; clutter_scale m, its depth."""

    table: NDArray[np.float32]
    attenuation: float
    clutter: float
    clutter_scale: float


def draw_materials(conditions: Conditions, seed: int, spread: float = 1.0) -> Materials:
    """The surfaces of one world in its weather; `spread` 0 gives the nominal values."""
    rng = np.random.default_rng((seed, 0x51D))
    table = np.zeros((len(Surface), 6), np.float32)
    for surface in Surface:
        reflectivity, over_worlds, over_objects, gloss, retro, echo = _TABLE[surface]
        reflectivity *= float(np.exp(rng.normal() * over_worlds * spread))
        pile = _PILE.get(surface, 0.0) * float(np.exp(0.5 * rng.normal() * spread))
        if conditions.weather in ("rain", "wet") and surface in _WET:
            reflectivity *= 0.4  # a film of water sends most of the light on
            gloss = max(gloss, 0.2)
        table[surface] = (min(reflectivity, 0.95), over_objects, gloss, retro, echo, pile)
    attenuation, clutter, scale = 0.0005, 0.0, 1.0
    if conditions.weather == "rain":
        attenuation, clutter, scale = float(rng.uniform(0.003, 0.01)), float(rng.uniform(0.003, 0.02)), 6.0
    elif conditions.weather == "fog":
        attenuation, clutter, scale = float(rng.uniform(0.015, 0.05)), float(rng.uniform(0.02, 0.12)), 8.0
    return Materials(table, attenuation, clutter, scale)
