"""A pulled trailer moves on its own: its velocity and yaw rate are those of its places, and it cuts bends inside."""

import math

import numpy as np
import pytest

from perception_nodes.simulator import driver_model as drive
from perception_nodes.simulator.scenarios import SCENARIOS
from perception_nodes.simulator.traffic import TICK, Traffic


@pytest.fixture(scope="module")
def journey():
    """A tractor with its trailer through a city for a minute: the trailer's and the tractor's state at each tick."""
    from perception_nodes.simulator.world import build_world

    traffic = Traffic(build_world(7, "city"), 7, SCENARIOS["suburb_day"], foresight=False)
    flow = traffic._flow
    flow.vehicles = [v for v in flow.vehicles if v.is_ego]
    lane = max(flow.network.roads, key=lambda i: flow.tracks[i].length)
    truck = traffic._population.make_vehicle("tractor", lane, 25.0)
    truck.turn_wish = "left"
    drive.place(truck, flow.tracks, 0.0)
    flow.vehicles.append(truck)
    rows = []
    for tick in range(900):
        flow.extend_route(truck)
        flow.step(TICK, tick * TICK)
        x, y, yaw = truck.trailer_pose()
        rows.append((x, y, yaw, truck.trailer_vx, truck.trailer_vy, truck.trailer_yaw_rate, truck.yaw, truck.v))
    return np.array(rows)


def test_velocity_is_the_change_of_place(journey):
    """Against the central difference over two ticks, which no single step of the model writes down."""
    moved = (journey[2:, :2] - journey[:-2, :2]) / (2 * TICK)
    error = np.hypot(*(journey[1:-1, 3:5] - moved).T)
    assert journey[:, 7].max() > 5.0, "it has to drive for the test to mean something"
    assert np.percentile(error, 95) < 0.2
    turned = np.unwrap(journey[:, 2])
    rate = (turned[2:] - turned[:-2]) / (2 * TICK)
    assert np.percentile(abs(journey[1:-1, 5] - rate), 95) < 0.05


def test_in_a_bend_it_turns_and_moves_otherwise_than_the_tractor(journey):
    angle = np.array([math.remainder(a, 2 * math.pi) for a in journey[:, 6] - journey[:, 2]])
    assert abs(angle).max() > math.radians(15.0)
    assert abs(angle).max() < math.radians(100.0), "it must not jack-knife"
    bend = abs(angle) > math.radians(10.0)
    tractor = np.column_stack([np.cos(journey[:, 6]), np.sin(journey[:, 6])]) * journey[:, 7:8]
    assert np.hypot(*(journey[bend, 3:5] - tractor[bend]).T).max() > 0.3


def test_its_wheels_do_not_slip_sideways(journey):
    """The middle of the axles moves along the trailer's axis; it lies between 1 and 5 m behind the trailer's centre,
    and the point that slips least is it."""
    x, y, yaw = journey[:, 0], journey[:, 1], np.unwrap(journey[:, 2])
    slips = []
    for behind in np.arange(0.0, 6.0, 0.25):
        px, py = x - behind * np.cos(yaw), y - behind * np.sin(yaw)
        vx, vy = np.gradient(px, TICK), np.gradient(py, TICK)
        slips.append(np.percentile(abs(vy * np.cos(yaw) - vx * np.sin(yaw)), 99))
    assert min(slips) < 0.05 < slips[0]


def test_the_snapshot_carries_the_trailers_own_motion():
    from perception_nodes.simulator.world import build_world

    traffic = Traffic(build_world(7, "city"), 7, SCENARIOS["suburb_day"], foresight=False)
    truck = traffic._population.make_vehicle("tractor", next(iter(traffic._flow.network.roads)), 25.0)
    drive.place(truck, traffic._flow.tracks, 0.0)
    truck.x, truck.y = traffic._ego.x + 20.0, traffic._ego.y
    truck.trailer_vx, truck.trailer_vy, truck.trailer_yaw_rate = 1.25, -0.5, 0.1
    traffic._flow.vehicles.append(truck)
    [state] = [a for a in traffic._moving(traffic._ego) if a.track_id == truck.trailer_id]
    assert state.velocity == (1.25, -0.5) and state.yaw_rate == 0.1 and state.category == "trailer"
