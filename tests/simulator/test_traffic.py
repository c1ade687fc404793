"""Traffic as a whole: deterministic, bodies apart, drivers who keep distance and yield, bounded memory."""

import math
from dataclasses import replace

import numpy as np
import pytest

from perception_nodes.simulator.scenarios import SCENARIOS, Scenario
from perception_nodes.simulator.scene import Snapshot
from perception_nodes.simulator.standing import corners
from perception_nodes.simulator.traffic import Traffic
from perception_nodes.simulator.world import build_world
from tests.simulator.roads import straight_road

ROAD = Scenario("road", "a hand-made straight road", vehicles=14, people=0, parked=0.5, cyclists=0.1)


@pytest.fixture(scope="module")
def city():
    return build_world(2, "city")


def state(snapshot: Snapshot) -> bytes:
    rows = [(a.track_id, *a.xyz, a.yaw, *a.velocity, *a.size) for a in snapshot.actors]
    return np.array(rows).tobytes() + snapshot.ego.map_from_base.tobytes()


def drive(traffic: Traffic, seconds: float, dt: float = 0.1):
    for _ in range(round(seconds / dt)):
        yield traffic.snapshot()
        traffic.step(dt)


def test_one_seed_is_one_drive(city):
    scenario = SCENARIOS["city_rush"]
    a, b, c = (Traffic(city, seed, scenario) for seed in (5, 5, 6))
    for _ in range(4):
        for t in (a, b, c):
            t.step(0.3)
        assert state(a.snapshot()) == state(b.snapshot())
        assert a.snapshot().events == b.snapshot().events
    assert state(a.snapshot()) != state(c.snapshot())


def test_the_drive_does_not_depend_on_the_frame_rate():
    world = straight_road()
    coarse, fine = Traffic(world, 1, ROAD), Traffic(world, 1, ROAD)
    for _ in range(20):
        coarse.step(0.1)
        fine.step(0.05)
        middle = fine.snapshot()
        fine.step(0.05)
        assert state(coarse.snapshot()) == state(fine.snapshot())
        assert middle.time == pytest.approx(coarse.time - 0.05)


def test_moments_between_ticks_lie_between():
    traffic = Traffic(straight_road(), 1, ROAD)
    traffic.step(1.0)
    before = traffic.snapshot()
    traffic.step(0.05)
    between = traffic.snapshot()
    traffic.step(0.05)
    after = traffic.snapshot()
    x = [s.ego.map_from_base[0, 3] for s in (before, between, after)]
    assert x[1] == pytest.approx((x[0] + x[2]) / 2)
    rotation = between.ego.map_from_base[:3, :3]
    assert np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    later = {a.track_id: a for a in after.actors}
    for a, b in zip(before.actors, between.actors):
        assert b.xyz[0] == pytest.approx((a.xyz[0] + later[a.track_id].xyz[0]) / 2, abs=1e-6)


def bodies(snapshot: Snapshot) -> list[tuple[int, str, np.ndarray]]:
    """(track, category, corners) of all boxes on the ground; people are squares of 0.35 m, the ego track 1."""
    out = []
    for a in snapshot.actors:
        length, width = (0.35, 0.35) if a.category == "pedestrian" else (a.size[0] - 0.2, a.size[1] - 0.2)
        out.append((a.track_id, a.category, corners(a.xyz[0], a.xyz[1], a.yaw, length, width)))
    m = snapshot.ego.map_from_base
    yaw = math.atan2(m[1, 0], m[0, 0])
    out.append((1, "ego", corners(m[0, 3] + 1.35 * m[0, 0], m[1, 3] + 1.35 * m[1, 0], yaw, 4.4, 1.7)))
    return out


def overlapping(a: np.ndarray, b: np.ndarray) -> bool:
    """Separating axis test of two boxes [4, 2]."""
    for box in (a, b):
        for edge in (box[1] - box[0], box[2] - box[1]):
            normal = np.array([-edge[1], edge[0]])
            pa, pb = a @ normal, b @ normal
            if pa.max() <= pb.min() or pb.max() <= pa.min():
                return False
    return True


def overlaps(snapshot: Snapshot) -> set[tuple[int, int]]:
    found = set()
    rows = bodies(snapshot)
    middle = np.array([r[2].mean(0) for r in rows])
    for i in range(len(rows)):
        near = np.nonzero(np.hypot(*(middle[i + 1 :] - middle[i]).T) < 14)[0] + i + 1
        for j in near:
            kinds = {rows[i][1], rows[j][1]}
            if kinds in ({"truck", "trailer"}, {"pedestrian"}, {"barrier"}):
                continue  # a tractor and its trailer; people who brush past each other; barriers that meet at a corner
            if "pedestrian" in kinds and kinds & {"barrier", "traffic_cone"}:
                continue  # people do not avoid road works (docs/world.md, known limits)
            if overlapping(rows[i][2], rows[j][2]):
                found.add((rows[i][0], rows[j][0]))
    return found


def test_no_two_bodies_share_a_place_on_a_straight_road():
    for seed in (1, 2):
        traffic = Traffic(straight_road(), seed, replace(ROAD, vehicles=24, cyclists=0.3))
        assert all(not overlaps(s) for s in list(drive(traffic, 15.0))[::3])


def test_bodies_stay_apart_in_a_city(city):
    traffic = Traffic(city, 3, SCENARIOS["city_rush"])
    found: set[tuple[int, int]] = set()
    for k, snapshot in enumerate(drive(traffic, 15.0)):
        if k % 4 == 0:
            found |= overlaps(snapshot)
    assert len(found) <= 1, f"pairs of bodies in one place: {found}"


def test_busy_styles_have_many_boxes_near(city):
    traffic = Traffic(city, 4, SCENARIOS["city_rush"])
    counts = []
    for snapshot in drive(traffic, 4.0):
        here = snapshot.ego.map_from_base[:2, 3]
        counts.append(sum(math.hypot(a.xyz[0] - here[0], a.xyz[1] - here[1]) < 50 for a in snapshot.actors))
    assert np.mean(counts) > 20


def test_motion_is_smooth_and_keeps_to_limits(city):
    traffic = Traffic(city, 2, SCENARIOS["city_rush"])
    before: dict[int, tuple] = {}
    for snapshot in drive(traffic, 12.0):
        assert -8.0 < snapshot.ego.acceleration < 3.0
        assert abs(snapshot.ego.speed * snapshot.ego.yaw_rate) < 4.5
        for a in snapshot.actors:
            if a.track_id in before:
                x, y, yaw = before[a.track_id]
                step = math.hypot(a.xyz[0] - x, a.xyz[1] - y)
                assert step < 3.5, "nobody jumps"
                if a.category != "pedestrian":
                    assert abs(math.remainder(a.yaw - yaw, 2 * math.pi)) < 0.25, "nobody spins"
        before = {a.track_id: (a.xyz[0], a.xyz[1], a.yaw) for a in snapshot.actors}


def test_ego_and_others_stand_on_the_ground(city):
    traffic = Traffic(city, 8, SCENARIOS["city_rush"])
    traffic.step(3.0)
    snapshot = traffic.snapshot()
    base = snapshot.ego.map_from_base
    assert abs(base[2, 3] - float(city.ground_height(base[0, 3], base[1, 3]))) < 0.1
    up = base[:3, :3] @ [0, 0, 1]
    assert up[2] > math.cos(math.radians(12))
    for a in snapshot.actors:
        assert abs(a.xyz[2] - float(city.ground_height(a.xyz[0], a.xyz[1]))) < 0.35


def test_suspension_moves_within_two_degrees_on_flat_ground():
    traffic = Traffic(straight_road(), 3, ROAD)
    tilt = []
    for snapshot in drive(traffic, 10.0):
        r = snapshot.ego.map_from_base[:3, :3]
        tilt.append((math.asin(-r[2, 0]), math.atan2(r[2, 1], r[2, 2])))
    tilt = np.abs(np.degrees(tilt))
    assert tilt.max() <= 2.01 and tilt[:, 0].std() > 0.02


def test_a_follower_stops_behind_a_leader_that_brakes_hard():
    traffic = Traffic(
        straight_road(1), 2, replace(SCENARIOS["lead_braking"], vehicles=3, people=0, cyclists=0, heavy=0)
    )
    events = set()
    for snapshot in drive(traffic, 18.0):
        assert not overlaps(snapshot)
        events |= set(snapshot.events)
    assert "lead_vehicle_braking" in events


def test_vehicles_yield_to_people_on_a_crossing():
    world = straight_road(1, 900.0, crossing=450.0, speed=11.0)
    quiet = replace(SCENARIOS["school_zone"], vehicles=6, people=14, heavy=0.0, speed=1.0)
    crossed, stopped = set(), False
    for seed in range(3):
        for snapshot in drive(Traffic(world, seed, quiet), 20.0):
            assert not overlaps(snapshot)
            crossed |= {e for e in snapshot.events if e.startswith("person_crossing")}
            stopped |= snapshot.ego.speed < 1.5
    assert crossed and stopped


def test_cyclists_are_passed_with_room():
    """Somebody gets past a cyclist within half a minute, a metre and a half between their middles."""
    passes = 0
    for seed in (0, 3):
        traffic = Traffic(straight_road(1), seed, replace(ROAD, vehicles=12, cyclists=0.4, heavy=0.0, parked=0.0))
        before: dict[tuple[int, int], float] = {}
        for snapshot in list(drive(traffic, 30.0))[::5]:
            base = snapshot.ego.map_from_base
            cars = [
                (a.track_id, *a.xyz[:2], math.cos(a.yaw)) for a in snapshot.actors if a.category in ("car", "truck")
            ]
            cars.append((1, base[0, 3] + 1.35, base[1, 3], 1.0 if base[0, 0] > 0 else -1.0))
            for bike in (a for a in snapshot.actors if a.category == "bicycle"):
                for track, x, y, way in cars:
                    if way * math.cos(bike.yaw) > 0.9:
                        gap = (x - bike.xyz[0]) * way
                        if before.get((track, bike.track_id), gap) < 0 < gap:
                            passes += 1
                            assert abs(y - bike.xyz[1]) > 1.5
                        before[track, bike.track_id] = gap
    assert passes > 0


def test_memory_is_bounded_on_a_long_drive(city):
    traffic = Traffic(city, 1, SCENARIOS["suburb_day"])
    for _ in range(20):
        traffic.step(2.0)
        assert len(traffic._frames) < 25
        assert len(traffic.snapshot().actors) < 400
        assert len(traffic.spans()) < 60
        ids = [a.track_id for a in traffic.snapshot().actors]
        assert len(ids) == len(set(ids)) and max(ids) < 65536 and min(ids) > 1


def test_rare_classes_can_be_boosted(city):
    def share(rare: bool) -> float:
        found = []
        for seed in range(3):
            actors = Traffic(city, seed, SCENARIOS["suburb_day"], rare=rare, foresight=False).snapshot().actors
            found += [a.category in ("bicycle", "motorcycle", "truck", "bus", "pedestrian", "trailer") for a in actors]
        return float(np.mean(found))

    assert share(True) > 1.3 * share(False)


def test_labels_and_boxes_belong_together(city):
    snapshot = Traffic(city, 9, SCENARIOS["city_rush"], rare=True, foresight=False).snapshot()
    categories = {a.category for a in snapshot.actors}
    assert {"car", "pedestrian", "bicycle", "motorcycle"} <= categories
    assert all(len(a.shape.mesh.triangles) for a in snapshot.actors)


def test_bad_arguments_are_refused(city):
    traffic = Traffic(straight_road(), 0, ROAD)
    with pytest.raises(ValueError, match="positive"):
        traffic.step(0.0)
    with pytest.raises(ValueError, match="no lane"):
        Traffic(replace(straight_road(), lanes={}), 0, ROAD)
    with pytest.raises(KeyError, match="no script 'dance'"):
        Traffic(straight_road(), 0, replace(ROAD, provoke=("dance",)))
