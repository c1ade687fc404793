"""Named drives, each provoking some of the driving events, and seeded random ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from perception_nodes.simulator.scene import Conditions

STYLES = ("suburb", "city", "rural", "arterial", "industrial")


@dataclass(frozen=True)
class Scenario:
    """What a drive is like. Densities are numbers of road users within about 100 m of the ego vehicle."""

    name: str
    description: str
    style: str = "mixed"  # of build_world
    conditions: Conditions = Conditions()
    vehicles: int = 24
    people: int = 24
    parked: float = 0.55  # share of parking spots taken
    cyclists: float = 0.08  # share of vehicles that are ridden bicycles
    motorcycles: float = 0.05
    heavy: float = 0.2  # share that are lorries, trucks, buses, machines
    pickups: float = 0.1  # share of the light vehicles that are pick-ups
    works: bool = True
    near_works: bool = False  # the drive begins before road works
    rare: bool = False  # the rare classes at several times their natural share
    speed: float = 1.0  # ego's share of the speed limit
    turns: str = ""  # left | right: ego prefers this turn
    provoke: tuple[str, ...] = ()  # names of traffic scripts (see scripts.py)
    provokes: tuple[str, ...] = ()  # events that the drive is made for


def _c(daytime: str = "day", weather: str = "clear", azimuth: float = 0.8, elevation: float = 0.7) -> Conditions:
    return Conditions(daytime, weather, azimuth, elevation)


_PEOPLE = ("person_crossing_left_to_right", "person_crossing_right_to_left")
_CUT_INS = ("cut_in_from_left", "cut_in_from_right")

_ALL = (
    Scenario("suburb_day", "Quiet houses and gardens on a clear day", "suburb", _c(), 16, 18),
    Scenario(
        "city_rush", "Dense traffic and full pavements between tall houses", "city", _c(elevation=0.5), 44, 60, 0.8
    ),
    Scenario(
        "night_rain",
        "Lamps, headlights and a wet road at night",
        "city",
        _c("night", "rain", elevation=-0.3),
        26,
        20,
        0.7,
    ),
    Scenario("fog_rural", "A country road in fog", "rural", _c("day", "fog", elevation=0.4), 12, 3, 0.2),
    Scenario(
        "dusk_industrial",
        "Trucks between sheds at dusk",
        "industrial",
        _c("dusk", "clear", 2.5, 0.08),
        20,
        8,
        heavy=0.4,
    ),
    Scenario(
        "highway_overtake",
        "A road with several lanes; faster vehicles pass the ego vehicle",
        "arterial",
        _c(azimuth=2.0),
        26,
        4,
        speed=0.7,
        provoke=("overtake",),
        provokes=("being_overtaken",),
    ),
    Scenario(
        "cut_in",
        "Vehicles change into the ego lane from both sides",
        "arterial",
        _c(),
        16,
        4,
        speed=0.85,
        provoke=("cut_in",),
        provokes=_CUT_INS,
    ),
    Scenario(
        "cut_out",
        "The vehicle ahead leaves the ego lane",
        "arterial",
        _c("day", "wet"),
        16,
        4,
        provoke=("cut_out",),
        provokes=("cut_out",),
    ),
    Scenario(
        "pedestrian_crossing",
        "People cross ahead from both sides",
        "city",
        _c(azimuth=4.0),
        14,
        40,
        provoke=("crossing",),
        provokes=(*_PEOPLE, "ego_braking"),
    ),
    Scenario("cyclist_pass", "Slow bicycles to be passed with room", "suburb", _c(), 20, 16, cyclists=0.5),
    Scenario(
        "roadworks",
        "Cones, barriers and machines beside the lane",
        "suburb",
        _c("day", "clear", 5.0, 0.9),
        18,
        12,
        speed=0.8,
        near_works=True,
    ),
    Scenario(
        "parking_lot", "Full car parks and kerbs, people between them", "city", _c(azimuth=1.5), 14, 36, parked=0.95
    ),
    Scenario(
        "turn_left",
        "A drive that turns left wherever it can",
        "suburb",
        _c(),
        14,
        14,
        turns="left",
        provokes=("ego_turning_left",),
    ),
    Scenario(
        "turn_right",
        "A drive that turns right wherever it can",
        "suburb",
        _c(),
        14,
        14,
        turns="right",
        provokes=("ego_turning_right",),
    ),
    Scenario(
        "lead_braking",
        "The vehicle ahead brakes hard again and again",
        "suburb",
        _c("day", "wet", elevation=0.5),
        18,
        10,
        provoke=("lead_brakes",),
        provokes=("lead_vehicle_braking", "ego_braking"),
    ),
    Scenario(
        "school_zone",
        "Children and parents at a slow road",
        "suburb",
        _c(azimuth=0.2, elevation=0.4),
        12,
        60,
        speed=0.6,
        provoke=("crossing",),
        provokes=_PEOPLE,
    ),
    Scenario(
        "oncoming_traffic",
        "A two-way road with much traffic the other way",
        "rural",
        _c(elevation=0.3),
        34,
        4,
        provokes=("oncoming_vehicle_passing",),
    ),
)
SCENARIOS: dict[str, Scenario] = {s.name: s for s in _ALL}


def random_scenario(seed: int) -> Scenario:
    """A drive with style, light, weather and densities drawn from a seed."""
    rng = np.random.default_rng((0x5CE, seed))
    style = str(rng.choice(STYLES, p=[0.3, 0.32, 0.12, 0.18, 0.08]))
    daytime = str(rng.choice(Conditions.DAYTIMES, p=[0.7, 0.15, 0.15]))
    weather = str(rng.choice(Conditions.WEATHERS, p=[0.68, 0.08, 0.12, 0.12]))
    elevation = {"day": rng.uniform(0.3, 1.2), "dusk": rng.uniform(0.03, 0.2), "night": -0.3}[daytime]
    busy = float(rng.uniform(0.4, 1.6))
    base = {"suburb": (18, 20), "city": (30, 40), "rural": (10, 4), "arterial": (30, 12), "industrial": (18, 10)}[style]
    return Scenario(
        name=f"random_{seed}",
        description=f"{style}, {daytime}, {weather}, drawn from seed {seed}",
        style=style,
        conditions=_c(daytime, weather, float(rng.uniform(0, 6.28)), float(elevation)),
        vehicles=int(base[0] * busy),
        people=int(base[1] * float(rng.uniform(0.4, 1.6))),
        parked=float(rng.uniform(0.3, 0.9)),
        cyclists=float(rng.uniform(0.02, 0.18)),
        motorcycles=float(rng.uniform(0.02, 0.12)),
        heavy=float(rng.uniform(0.1, 0.36)),
        pickups=float(rng.uniform(0.0, 0.3)),
        speed=float(rng.uniform(0.8, 1.1)),
        turns=str(rng.choice(["", "left", "right"])),
    )


def boosted(scenario: Scenario) -> Scenario:
    """The same drive with the rare classes at several times their natural share, for training."""
    return replace(
        scenario,
        vehicles=max(scenario.vehicles, 22),
        people=max(scenario.people, 30),
        cyclists=0.24,
        motorcycles=0.16,
        heavy=max(scenario.heavy, 0.34),
        works=True,
        rare=True,
    )


def scenario_by_name(name: str, seed: int) -> Scenario:
    """A named scenario, "random" drawn from the seed, or "rare": the random one with more of the rare classes.

    KeyError names the known ones."""
    if name in ("random", "rare"):
        drawn = random_scenario(seed)
        return drawn if name == "random" else boosted(drawn)
    if name not in SCENARIOS:
        raise KeyError(f"no scenario {name!r}; known: random, rare, {', '.join(SCENARIOS)}")
    return SCENARIOS[name]
