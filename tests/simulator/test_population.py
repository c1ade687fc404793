"""How full the streets are: heavy vehicles, trailers and barriers at about nuScenes' share (boxes within 50 m)."""

import math
from collections import Counter

import pytest

from perception_nodes.simulator.scenarios import random_scenario
from perception_nodes.simulator.traffic import Traffic
from perception_nodes.simulator.world import build_world

NUSCENES = {"truck": 2.6, "trailer": 0.7, "bus": 0.5, "construction_vehicle": 0.4, "barrier": 4.5}  # a frame


def boxes_a_frame(seeds: range, moments: int = 4) -> dict[str, float]:
    """Mean number of boxes within 50 m of the ego vehicle by category, over moments of random drives, 6 s apart."""
    total: Counter[str] = Counter()
    frames = 0
    for seed in seeds:
        scenario = random_scenario(seed)
        traffic = Traffic(build_world(seed, scenario.style), seed, scenario, foresight=False)
        for k in range(moments):
            if k:
                traffic.step(6.0)
            moment = traffic.snapshot()
            x, y = moment.ego.map_from_base[:2, 3]
            total.update(a.category for a in moment.actors if math.hypot(a.xyz[0] - x, a.xyz[1] - y) < 50)
            frames += 1
    return {name: count / frames for name, count in total.items()}


@pytest.mark.slow
def test_rarer_classes_are_as_common_as_in_nuscenes():
    found = boxes_a_frame(range(500, 530))
    for name, wanted in NUSCENES.items():
        assert 0.5 * wanted < found.get(name, 0.0) < 2.0 * wanted, (name, found)
    assert 5 < found["car"] < 25


def test_streets_hold_trucks_trailers_and_barriers():
    found = boxes_a_frame(range(600, 604), 2)
    assert found["truck"] > 1.0
    assert sum(found.get(name, 0.0) for name in ("trailer", "bus", "construction_vehicle", "barrier")) > 1.5
