"""Small nudges that make drivers and people do what a scenario is about. Events are judged from the motion alone."""

from __future__ import annotations

from typing import Protocol

from perception_nodes.simulator.driver_model import Vehicle
from perception_nodes.simulator.flow import Flow
from perception_nodes.simulator.pedestrians import Pedestrians
from perception_nodes.simulator.population import Population
from perception_nodes.simulator.scenarios import Scenario


class Script(Protocol):
    """Something that acts on the drive before each tick."""

    def step(self, now: float) -> None: ...


def make_scripts(
    scenario: Scenario, flow: Flow, people: Pedestrians, population: Population, ego: Vehicle
) -> list[Script]:
    """The scripts that a scenario names in `provoke`."""
    return []
