"""How the ego vehicle keeps its lane: with a wandering offset, and now and then in another lane.

If the vehicle always drove in the middle of its lane, a network could infer the lane from its position. Human drivers
wander with a
standard deviation of about 0.2 m (lane-keeping studies report 0.15 to 0.3 m). The offset is an Ornstein-Uhlenbeck
process about a drive's own mean, kept inside the lane.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from perception_nodes.simulator.driver_model import Vehicle, place
from perception_nodes.simulator.flow import Flow
from perception_nodes.simulator.lane_changes import change_lane, may_change

HABIT, SPREAD = 0.15, 0.18  # m, standard deviations of a drive's mean offset and of the wandering about it
MEMORY = 6.0  # s, time constant of the wandering
EDGE = 0.2  # m that the body keeps from the lane's edge
CHANGES = (12.0, 40.0)  # s between two lane changes


class EgoManners:
    """Acts on the ego vehicle before each tick."""

    def __init__(self, flow: Flow, ego: Vehicle, rng: np.random.Generator, changes_lanes: bool) -> None:
        self._flow, self._ego, self._rng = flow, ego, rng
        self._habit = float(rng.normal(0.0, HABIT))
        self._wander = float(rng.normal(0.0, SPREAD))
        self._next = float(rng.uniform(4.0, CHANGES[0])) if changes_lanes else math.inf
        self._last = 0.0
        ego.d = ego.d_goal = self._offset()
        place(ego, flow.tracks, 0.0)

    def step(self, now: float) -> None:
        """Lets the offset wander; changes lanes when it is time and there is room."""
        dt, self._last = now - self._last, now
        keep = math.exp(-dt / MEMORY)
        self._wander = keep * self._wander + SPREAD * math.sqrt(1 - keep * keep) * float(self._rng.standard_normal())
        ego = self._ego
        ego.driver = replace(ego.driver, offset=self._offset())
        if now >= self._next and may_change(self._flow, ego):
            lane = self._flow.tracks[ego.route[0]].lane
            sides = [side for side in (lane.left, lane.right) if side is not None]
            if change_lane(self._flow, ego, sides[int(self._rng.integers(len(sides)))]):
                self._next = now + float(self._rng.uniform(*CHANGES))

    def _offset(self) -> float:
        """Metres left of the lane's middle."""
        lane = self._flow.tracks[self._ego.route[0]].lane
        limit = max((lane.width - self._ego.width) / 2 - EDGE, 0.0)
        return max(-limit, min(limit, self._habit + self._wander))
