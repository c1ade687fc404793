"""A vehicle on its lanes: the intelligent driver model along the lane, a smooth offset across it.

Car-following: Treiber, Hennecke and Helbing, "Congested traffic states in empirical observations and microscopic
simulations", Phys. Rev. E 62 (2000), eq. 2 and 3.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from perception_nodes.simulator.routes import Track
from perception_nodes.simulator.shapes import Body

BRAKE_LIMIT = -7.5  # m/s^2
MIN_GAP = 2.0  # m between bumpers at a standstill


@dataclass(frozen=True)
class Driver:
    """One driver's manners."""

    speed_factor: float = 1.0  # share of the speed limit
    headway: float = 1.4  # s
    acceleration: float = 1.6  # m/s^2
    braking: float = 2.2  # m/s^2, comfortable
    offset: float = 0.0  # m left of the lane's centre
    top_speed: float = 60.0  # m/s


@dataclass(eq=False)
class Vehicle:
    """A moving vehicle; `s` is the arc length of its box's centre on lane `route[0]`, `d` metres left of its centre.

    `route` holds the lane under it and those that it will take; `behind` lanes that it has left (its tail may still
    stand there).
    """

    track_id: int
    body: Body
    driver: Driver
    route: deque[int]
    s: float
    v: float
    length: float
    width: float
    wheelbase: float
    d: float = 0.0
    d_goal: float = 0.0
    a: float = 0.0
    behind: deque[int] = field(default_factory=lambda: deque(maxlen=4))
    is_ego: bool = False
    two_wheeled: bool = False
    trailer: Body | None = None
    trailer_id: int = 0
    trailer_yaw: float = 0.0
    trailer_yaw_rate: float = 0.0
    trailer_vx: float = 0.0
    trailer_vy: float = 0.0
    granted: set[int] = field(default_factory=set)  # junction lanes that it may drive
    waited: float = 0.0  # s at a junction
    stood: float = 0.0  # s without moving
    indicator: int = 0
    passing: int = 0  # track id of the slow road user that it swings out for
    changing_from: tuple[int, float] | None = None  # (lane that it leaves, lateral offset of the new lane seen from it)
    change_pause: float = 0.0  # s until it thinks about another lane
    forced_speed: float | None = None  # scripted upper bound, m/s
    forced_brake: float | None = None  # scripted deceleration, m/s^2
    d_rate: float = 0.0  # m/s across the lane
    travelled: float = 0.0
    turn_wish: str = ""  # left | right: which way it likes to turn
    likes_wide: bool = False  # prefers roads with several lanes its way
    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0
    yaw_rate: float = 0.0
    vx: float = 0.0
    vy: float = 0.0

    @property
    def reach(self) -> float:
        """Length with what it pulls."""
        return self.length + (self.trailer.size[0] - 2.7 if self.trailer else 0.0)

    @property
    def tail(self) -> float:
        """Arc length of its rear end on the lane under it (negative: on a lane behind)."""
        return self.s - self.length / 2 - (self.reach - self.length)

    def king_pin(self) -> tuple[float, float]:
        """x, y of the point that pulls the trailer, 1.4 m before the tractor's rear end."""
        pin = 1.4 - self.length / 2
        return self.x + pin * math.cos(self.yaw), self.y + pin * math.sin(self.yaw)

    def trailer_pose(self) -> tuple[float, float, float]:
        """x, y of the trailer's centre and its yaw."""
        assert self.trailer is not None
        back = self.trailer.size[0] / 2 - 1.3
        x, y = self.king_pin()
        return x - back * math.cos(self.trailer_yaw), y - back * math.sin(self.trailer_yaw), self.trailer_yaw


Occupant = tuple[float, float, Vehicle]  # arc length of the centre, lateral offset, who


def follow(v: float, wanted: float, gap: float, closing: float, driver: Driver) -> float:
    """IDM acceleration, m/s^2, for speed v, wanted speed, gap to the bumper ahead (inf: free) and closing speed."""
    free = (v / max(wanted, 0.1)) ** 4
    if gap == math.inf:
        return max(driver.acceleration * (1 - free), -driver.braking * 1.2)
    wish = MIN_GAP + max(0.0, v * driver.headway + v * closing / (2 * math.sqrt(driver.acceleration * driver.braking)))
    push = driver.acceleration * (1 - min(free, 4.0) - (wish / max(gap, 0.3)) ** 2)
    return max(push, BRAKE_LIMIT)


def place(vehicle: Vehicle, tracks: dict[int, Track], dt: float) -> None:
    """Sets x, y, yaw and their rates from s and d; both axles stand on the path, so headings turn smoothly."""
    half = vehicle.wheelbase / 2
    fx, fy, fh = path_point(vehicle, tracks, vehicle.s + half)
    rx, ry, rh = path_point(vehicle, tracks, vehicle.s - half)
    lead = vehicle.d_rate / max(vehicle.v, 2.0) * half  # the nose goes across first
    d = vehicle.d
    fx, fy = fx - math.sin(fh) * (d + lead), fy + math.cos(fh) * (d + lead)
    rx, ry = rx - math.sin(rh) * (d - lead), ry + math.cos(rh) * (d - lead)
    x, y, yaw = (fx + rx) / 2, (fy + ry) / 2, math.atan2(fy - ry, fx - rx)
    before = (*vehicle.king_pin(), *vehicle.trailer_pose()) if vehicle.trailer is not None and dt > 0 else None
    if dt > 0:
        vehicle.vx, vehicle.vy = (x - vehicle.x) / dt, (y - vehicle.y) / dt
        vehicle.yaw_rate = _wrap(yaw - vehicle.yaw) / dt
    else:
        vehicle.vx, vehicle.vy = vehicle.v * math.cos(yaw), vehicle.v * math.sin(yaw)
        vehicle.trailer_yaw, vehicle.trailer_yaw_rate = yaw, 0.0
        vehicle.trailer_vx, vehicle.trailer_vy = vehicle.vx, vehicle.vy
    vehicle.x, vehicle.y, vehicle.yaw = x, y, yaw
    if before is not None:
        _pull(vehicle, before, dt)


def _pull(vehicle: Vehicle, before: tuple[float, float, float, float, float], dt: float) -> None:
    """Turns the trailer after the king-pin has moved, and sets its velocity and yaw rate.

    `before`: x, y of the king-pin, then x, y, yaw of the trailer one step ago. The wheels do not slip sideways, so the
    middle of the axles moves along the trailer's own axis and the king-pin draws it (a tractrix).
    """
    assert vehicle.trailer is not None
    arm = vehicle.trailer.size[0] - 3.75  # m from the king-pin to the middle of the axles
    pin_x, pin_y, x, y, yaw = before
    axle_x, axle_y = pin_x - arm * math.cos(yaw), pin_y - arm * math.sin(yaw)
    now_x, now_y = vehicle.king_pin()
    vehicle.trailer_yaw = yaw + _wrap(math.atan2(now_y - axle_y, now_x - axle_x) - yaw)
    vehicle.trailer_yaw_rate = (vehicle.trailer_yaw - yaw) / dt
    centre_x, centre_y, _ = vehicle.trailer_pose()
    vehicle.trailer_vx, vehicle.trailer_vy = (centre_x - x) / dt, (centre_y - y) / dt


def path_point(vehicle: Vehicle, tracks: dict[int, Track], s: float) -> tuple[float, float, float]:
    """x, y, heading on the vehicle's path at arc length s from the start of the lane under it."""
    track = tracks[vehicle.route[0]]
    if s < 0.0:
        for lane in reversed(vehicle.behind):
            s += tracks[lane].length
            if s >= 0.0:
                return tracks[lane].at(s)
        return (tracks[vehicle.behind[0]] if vehicle.behind else track).at(s)
    for lane in vehicle.route:
        track = tracks[lane]
        if s <= track.length:
            return track.at(s)
        s -= track.length
    return track.at(s + track.length)


def slide(vehicle: Vehicle, dt: float, pace: float = 1.1) -> None:
    """Moves the offset `d` to its goal at most `pace` m/s, easing in and out; never while standing."""
    error = vehicle.d_goal - vehicle.d
    limit = min(pace, 0.28 * vehicle.v)
    wish = max(-limit, min(limit, 0.9 * error))
    change = 1.6 * dt  # m/s: lateral acceleration
    vehicle.d_rate += max(-change, min(change, wish - vehicle.d_rate))
    if vehicle.v < 0.1:
        vehicle.d_rate = 0.0
    vehicle.d += vehicle.d_rate * dt


def _wrap(angle: float) -> float:
    return (angle + math.pi) % (2 * math.pi) - math.pi
