"""Named scenarios: there are enough, they are sound, and what they are made for happens."""

from dataclasses import replace

import numpy as np
import pytest

from perception_nodes.classes import EVENTS
from perception_nodes.simulator.drive import Drive
from perception_nodes.simulator.layout.styles import STYLES
from perception_nodes.simulator.scenarios import SCENARIOS, Scenario, boosted, random_scenario
from perception_nodes.simulator.scene import Conditions, World
from perception_nodes.simulator.traffic import Traffic
from perception_nodes.simulator.world import build_world
from tests.simulator.roads import straight_road


def events_of(scenario: Scenario, world: World, seeds: range, seconds: float = 20.0) -> set[str]:
    """Events of the first `seconds` of drives, until everything that the scenario is made for has been seen."""
    seen: set[str] = set()
    for seed in seeds:
        traffic = Traffic(world, seed, scenario)
        while traffic.time < seconds and not set(scenario.provokes) <= seen:
            seen |= set(traffic.snapshot().events)
            traffic.step(0.2)
    return seen


def test_there_are_at_least_twelve_and_they_name_themselves():
    assert len(SCENARIOS) >= 12
    for name, scenario in SCENARIOS.items():
        assert scenario.name == name and len(scenario.description) > 10
        assert scenario.style in STYLES
        assert scenario.conditions.daytime in Conditions.DAYTIMES
        assert scenario.conditions.weather in Conditions.WEATHERS
        assert set(scenario.provokes) <= set(EVENTS)
        assert 0 <= scenario.parked <= 1 and scenario.cyclists + scenario.motorcycles + scenario.heavy <= 1


def test_every_event_belongs_to_a_scenario():
    wanted = {event for s in SCENARIOS.values() for event in s.provokes}
    assert wanted == set(EVENTS) - {"none"}


def test_scenarios_cover_light_and_weather():
    drives = [s.conditions for s in SCENARIOS.values()]
    assert {c.daytime for c in drives} == set(Conditions.DAYTIMES)
    assert {c.weather for c in drives} == set(Conditions.WEATHERS)


def test_random_scenarios_are_seeded_and_differ():
    assert random_scenario(3) == random_scenario(3)
    drawn = [random_scenario(i) for i in range(60)]
    assert {s.style for s in drawn} == set(STYLES)
    assert {s.conditions.weather for s in drawn} == set(Conditions.WEATHERS)
    assert {s.conditions.daytime for s in drawn} == set(Conditions.DAYTIMES)
    assert all(s.vehicles >= 1 and s.people >= 0 for s in drawn)


def test_a_drive_can_ask_for_the_rare_classes_by_name():
    """Twice as many two-wheelers and people as in the random drive of the same seed; counted, not believed."""
    counts = []
    for name in ("random", "rare"):
        world = straight_road(2, 900.0, crossing=450.0)
        options = {"cameras": False, "lidar": False, "seconds": 0.1, "threads": 1, "world": world}
        drives = [Drive(name, "kitti", seed, **options) for seed in (3, 4, 5)]
        boxes = [box.category for drive in drives for frame in drive for box in frame.boxes]
        counts.append(sum(c in ("bicycle", "motorcycle", "pedestrian") for c in boxes))
        for drive in drives:
            drive.close()
    assert counts[1] > 1.5 * counts[0]


@pytest.mark.parametrize("seed", [2, 5])
def test_roadworks_shows_cones_ahead_in_every_seed(seed):
    assert cones_ahead(seed) >= 2


@pytest.mark.slow
def test_roadworks_shows_cones_ahead_in_ten_more_seeds():
    assert min(cones_ahead(seed) for seed in range(100, 110)) >= 2


def cones_ahead(seed: int) -> int:
    """Most cones within 50 m and 45 degrees ahead during the first five seconds."""
    scenario = SCENARIOS["roadworks"]
    traffic = Traffic(build_world(seed, scenario.style), seed, scenario, foresight=False)
    most = 0
    for _ in range(5):
        traffic.step(1.0)
        moment = traffic.snapshot()
        base_from_map = np.linalg.inv(moment.ego.map_from_base)
        cones = [a.xyz for a in moment.actors if a.category == "traffic_cone"]
        x, y, _ = (np.array(cones).reshape(-1, 3) @ base_from_map[:3, :3].T + base_from_map[:3, 3]).T
        most = max(most, int(((x > 0) & (x < 50) & (abs(y) < x)).sum()))
    return most


def test_boosting_raises_the_rare_classes_only():
    plain = SCENARIOS["suburb_day"]
    more = boosted(plain)
    assert more.cyclists > plain.cyclists and more.heavy > plain.heavy and more.people >= plain.people
    assert more.conditions == plain.conditions and more.style == plain.style


@pytest.mark.parametrize("name", ["cut_in", "cut_out", "highway_overtake"])
def test_lane_events_happen_on_a_road_with_lanes(name):
    scenario = replace(SCENARIOS[name], vehicles=7, people=0)
    assert set(scenario.provokes) <= events_of(scenario, straight_road(3, 1200.0), range(8))


def test_braking_events_happen_behind_a_leader():
    scenario = replace(SCENARIOS["lead_braking"], vehicles=6, people=0)
    assert set(scenario.provokes) <= events_of(scenario, straight_road(1, 1200.0), range(4))


def test_people_cross_both_ways():
    scenario = replace(SCENARIOS["pedestrian_crossing"], vehicles=3, people=6)
    world = straight_road(1, 900.0, crossing=450.0, speed=11.0)
    assert set(scenario.provokes) <= events_of(scenario, world, range(5))


@pytest.mark.parametrize("name", ["turn_left", "turn_right", "oncoming_traffic"])
def test_turns_and_oncoming_traffic_happen_in_built_worlds(name):
    scenario = replace(SCENARIOS[name], vehicles=8, people=0, parked=0.1)
    assert set(scenario.provokes) <= events_of(scenario, build_world(2, scenario.style), range(4))
