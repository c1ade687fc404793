"""Who may enter a junction: lights, rights of way, and one vehicle at a time where paths cross.

A vehicle asks for its junction lane when it is about to reach its last chance to brake. It gets the lane when its light
is green, nobody holds a lane that crosses or merges with it, nobody with the right of way would arrive before it is
through, and there is room behind the junction. The grant holds until the vehicle's tail has left.
"""

from __future__ import annotations

from perception_nodes.simulator.driver_model import Vehicle
from perception_nodes.simulator.routes import LaneNetwork

GREEN, ALL_RED = 9.0, 2.0  # s
PATIENCE = 7.0  # s of waiting after which a gap that is safe, if not polite, is taken


class Junctions:
    """Grants of junction lanes."""

    def __init__(self, network: LaneNetwork, offset: float) -> None:
        self._tracks = network.tracks
        self._offset = offset
        self._holders: dict[int, set[int]] = {}

    def is_green(self, arrival: int, time: float) -> bool:
        """Whether the light at the end of a lane shows green; True where there is no light."""
        track = self._tracks[arrival]
        if track.signal < 0:
            return True
        cycle = 2 * (GREEN + ALL_RED)
        t = (time + self._offset + 7.3 * track.signal) % cycle
        return t < GREEN if track.phase == 0 else GREEN + ALL_RED <= t < cycle - ALL_RED

    def holds(self, vehicle: Vehicle, lane: int) -> None:
        """Takes a lane without asking (a vehicle that is placed inside a junction)."""
        self._holders.setdefault(lane, set()).add(vehicle.track_id)
        vehicle.granted.add(lane)

    def release(self, vehicle: Vehicle, lanes: set[int]) -> None:
        """Gives lanes back."""
        for lane in lanes & vehicle.granted:
            self._holders.get(lane, set()).discard(vehicle.track_id)
        vehicle.granted -= lanes

    def is_crossed(self, lane: int, vehicle: Vehicle) -> bool:
        """Whether somebody else holds a lane that cannot be driven together with this one."""
        for other in self._tracks[lane].conflicts:
            holders = self._holders.get(other)
            if holders and any(h != vehicle.track_id for h in holders):
                return True
        return False

    def ask(
        self, vehicle: Vehicle, arrival: int, lane: int, distance: float, time: float, approaching: dict, room: float
    ) -> bool:
        """Whether `vehicle`, `distance` metres before the junction, may enter `lane`; a yes is a grant.

        `approaching` maps junction lanes to [(seconds until entry, track id)]; `room` is the free length behind.
        """
        if not self.is_green(arrival, time) or self.is_crossed(lane, vehicle) or room < vehicle.reach + 1.5:
            return False
        track = self._tracks[lane]
        if track.signal < 0 and track.lane.yields_to and vehicle.waited < PATIENCE:
            pace = max(min(vehicle.v, track.cap), 3.0)
            through = (distance + track.length * 0.7 + vehicle.reach) / pace + 1.0
            for other in track.lane.yields_to:
                for eta, who in approaching.get(other, ()):
                    if who != vehicle.track_id and eta < through:
                        return False
        self.holds(vehicle, lane)
        return True
