"""Sweeps measure the distances, labels, motion and losses that a spinning sensor would."""

from dataclasses import replace

import numpy as np
import pytest

from perception_nodes.simulator.beams import hdl32e, uniform
from perception_nodes.simulator.lidar import LidarSensor
from perception_nodes.simulator.rigs import LidarSpec, pose, rig
from perception_nodes.simulator.scene import ActorState, Conditions, Shape, Surface
from tests.simulator.scenes import box, car, ego_at, floor, moment, world_of

IDEAL = LidarSpec(
    "lidar",
    uniform(24, -25.0, 5.0, 720),
    pose((0.0, 0.0, 2.0)),
    min_range=0.1,
    power=1e9,
    range_noise=0.0,
    divergence=0.0,
)


def sweep_of(world, *, spec=IDEAL, before=None, after=None, conditions=None, seed=0, **options):
    sensor = LidarSensor(world, spec, conditions or Conditions(), seed, spread=0.0, **options)
    after = after or moment(0.1)
    return sensor.sweep(before or moment(after.time - 0.1, after.ego, *after.actors), after)


def test_a_plane_lies_where_it_is_and_carries_its_label():
    sweep = sweep_of(world_of(floor(400.0)))
    assert np.allclose(sweep.xyz[:, 2], -2.0, atol=2e-3)
    assert set(sweep.label) == {8} and not sweep.instance.any()
    elevation = np.degrees(np.arctan2(sweep.xyz[:, 2], np.hypot(sweep.xyz[:, 0], sweep.xyz[:, 1])))
    table = np.degrees(IDEAL.beams.elevation)
    assert np.allclose(elevation, table[sweep.ring], atol=0.02)
    down = table < -2.0
    assert np.isin(np.nonzero(down)[0], sweep.ring).all() and not np.isin(sweep.ring, np.nonzero(table > 0)[0]).any()


def test_a_wall_is_met_at_its_face():
    sweep = sweep_of(world_of(box((2.0, 60.0, 30.0), (21.0, 0.0, 0.0))))
    assert len(sweep) > 500 and np.allclose(sweep.xyz[:, 0], 20.0, atol=2e-3) and set(sweep.label) == {12}


def test_a_sphere_is_met_at_its_radius():
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 97), np.linspace(0, np.pi, 49), indexing="ij")
    points = 5.0 * np.stack((np.sin(v) * np.cos(u), np.sin(v) * np.sin(u), np.cos(v)), -1).reshape(-1, 3) + [15, 0, 2]
    i = np.arange(96 * 49).reshape(96, 49)[:, :-1].reshape(-1)
    triangles = np.concatenate((np.stack((i, i + 49, i + 50), 1), np.stack((i, i + 50, i + 1), 1)))
    mesh = replace(box((1, 1, 1)))
    mesh = type(mesh).build(points, triangles, Surface.BRICK, 12)
    sweep = sweep_of(world_of(mesh))
    radius = np.linalg.norm(sweep.xyz - [15, 0, 0], axis=1)
    assert len(sweep) > 300 and np.allclose(radius, 5.0, atol=0.02)


def test_actors_carry_their_track_and_label_and_hide_what_is_behind():
    sweep = sweep_of(world_of(floor()), after=moment(0.1, None, car(7, 10.0, 0.0), car(9, 0.0, -8.0, 1.0)))
    assert set(sweep.instance) == {0, 7, 9}
    assert set(sweep.label[sweep.instance > 0]) == {0}
    seen = sweep.xyz[sweep.instance == 7]
    assert seen[:, 0].min() == pytest.approx(8.0, abs=0.01) and abs(seen[:, 1]).max() < 1.01
    shadow = (abs(sweep.xyz[:, 1]) < 0.5) & (sweep.xyz[:, 0] > 12.5) & (sweep.xyz[:, 0] < 20)
    assert not shadow.any()


def test_a_moving_ego_distorts_the_sweep_by_hand_reckoning():
    """Driving at 20 m/s towards a wall at x = 40 (map): a firing t seconds before the stamp sees it 20 t farther."""
    wall = world_of(box((2.0, 80.0, 40.0), (41.0, 0.0, 0.0)))
    before, after = moment(0.0, ego_at(-2.0)), moment(0.1, ego_at(0.0))
    sweep = sweep_of(wall, before=before, after=after)
    assert np.allclose(sweep.xyz[:, 0], 40.0 - 20.0 * sweep.time, atol=5e-3)
    assert sweep.time.min() >= -0.1 and sweep.time.max() < 0 and np.ptp(sweep.time) > 0.01
    still = sweep_of(wall, before=before, after=after, compensate=True)
    assert np.allclose(still.xyz[:, 0], 40.0, atol=5e-3)


def test_a_turning_ego_is_undone_by_compensation():
    wall = world_of(box((2.0, 80.0, 40.0), (41.0, 0.0, 0.0)))
    before, after = moment(0.0, ego_at(0.0, yaw=0.06)), moment(0.1, ego_at(0.0, yaw=0.0))
    assert np.ptp(sweep_of(wall, before=before, after=after).xyz[:, 0]) > 0.3
    assert np.allclose(sweep_of(wall, before=before, after=after, compensate=True).xyz[:, 0], 40.0, atol=5e-3)


def test_a_moving_car_is_where_it_was_when_the_beam_came_by():
    """A car that goes sideways at 20 m/s: its points' middle lies at the place of its mean firing time."""
    before, after = moment(0.0, None, car(3, 15.0, -1.0)), moment(0.1, None, car(3, 15.0, 1.0))
    sweep = sweep_of(world_of(floor()), before=before, after=after)
    front = (sweep.instance == 3) & (abs(sweep.xyz[:, 0] - 13.0) < 0.01)
    expected = 1.0 + 20.0 * sweep.time[front].mean()
    middle = (sweep.xyz[front, 1].min() + sweep.xyz[front, 1].max()) / 2
    assert middle == pytest.approx(expected, abs=0.1)


def test_a_newly_come_actor_moves_by_its_velocity():
    after = moment(0.1, None, car(3, 15.0, 1.0, 0.0, (0.0, 20.0)))
    known = moment(0.0, None, car(3, 15.0, -1.0, 0.0, (0.0, 20.0)))
    a = sweep_of(world_of(floor()), before=moment(0.0), after=after)
    b = sweep_of(world_of(floor()), before=known, after=after)
    assert np.allclose(a.xyz, b.xyz, atol=1e-4)


def test_a_turn_shorter_than_the_step_ends_at_the_stamp():
    spec = replace(IDEAL, beams=replace(IDEAL.beams, period=0.05))
    wall = world_of(box((2.0, 80.0, 40.0), (41.0, 0.0, 0.0)))
    sweep = sweep_of(wall, spec=spec, before=moment(0.0, ego_at(-2.0)), after=moment(0.1, ego_at(0.0)))
    assert sweep.time.min() >= -0.05
    assert np.allclose(sweep.xyz[:, 0], 40.0 - 20.0 * sweep.time, atol=5e-3)


def test_fewer_returns_the_farther_the_darker_and_the_flatter():
    shares = []
    for power in (1e2, 1e3, 1e4, 1e5):
        shares.append(len(sweep_of(world_of(floor()), spec=replace(IDEAL, power=power))))
    assert shares == sorted(shares) and shares[0] < 0.5 * shares[-1]
    near, far = (
        len(sweep_of(world_of(box((1, 400, 400), (x, 0, 0))), spec=replace(IDEAL, power=2e3))) for x in (10, 60)
    )
    assert far < near
    bright, dark = (
        len(sweep_of(world_of(floor(surface=s)), spec=replace(IDEAL, power=3e3)))
        for s in (Surface.PLASTER, Surface.RUBBER)
    )
    assert dark < bright


def test_glass_mostly_swallows_beams():
    wall, window = (len(sweep_of(world_of(box((1, 60, 30), (20, 0, 0), s)))) for s in (Surface.BRICK, Surface.GLASS))
    assert 0.1 * wall < window < 0.7 * wall


def test_a_porous_hedge_lets_its_share_of_beams_through():
    hedge, wall = box((0.01, 60, 30), (15, 0, 0), Surface.LEAVES, 14), box((1, 90, 60), (30, 0, 0))
    solid = len(sweep_of(world_of(hedge, wall)))
    porous = box((0.01, 60, 30), (15, 0, 0), Surface.LEAVES, 14, porosity=0.5)
    sweep = sweep_of(world_of(porous, wall))
    share = (sweep.label == 12).sum() / solid
    assert share == pytest.approx(0.25, abs=0.05)  # through the front face and the back face


def test_rain_and_fog_add_clutter_without_a_class_and_shorten_the_view():
    world = world_of(floor(), box((2.0, 80.0, 40.0), (71.0, 0.0, 0.0)))
    spec = replace(IDEAL, power=1e5)
    clear = sweep_of(world, spec=spec)
    for weather in ("rain", "fog"):
        sweep = sweep_of(world, spec=spec, conditions=Conditions(weather=weather))
        assert (sweep.label == 255).sum() > 20 and not (clear.label == 255).any()
    far = [(np.linalg.norm(s.xyz, axis=1) > 40).sum() for s in (clear, sweep)]
    assert far[1] < far[0]


def test_wet_road_returns_less_than_dry_road():
    spec = replace(IDEAL, power=3e3)
    dry = sweep_of(world_of(floor()), spec=spec)
    wet = sweep_of(world_of(floor()), spec=spec, conditions=Conditions(weather="wet"))
    assert len(wet) < len(dry) and np.median(wet.intensity) < np.median(dry.intensity)


def test_the_own_hull_gives_points_without_a_class_and_casts_a_shadow():
    it = rig("nuscenes")
    world = world_of(floor())
    with_hull = sweep_of(world, spec=it.lidar, hull=it.hull)
    without = sweep_of(world, spec=it.lidar)
    r = np.linalg.norm(with_hull.xyz, axis=1)
    own = with_hull.label == 255
    assert 2000 < own.sum() < 6000 and r[own].max() < 3.0
    assert (with_hull.label == 8).sum() < (without.label == 8).sum()
    assert not (without.label == 255).any()


def test_retro_reflectors_shine():
    sign = sweep_of(world_of(box((0.1, 40, 20), (15, 0, 0), Surface.SIGN, 18)))
    brick = sweep_of(world_of(box((0.1, 40, 20), (15, 0, 0), Surface.BRICK, 12)))
    assert np.median(sign.intensity) > 1.7 * np.median(brick.intensity)


def test_road_paint_returns_more_where_it_is_white_in_the_picture_than_where_it_is_worn():
    """The picture's brightness and the recorded intensity of the same spots rise and fall together."""
    from tests.simulator import stage

    # steep beams all round, so that range and incidence hardly differ between the spots
    spec = replace(IDEAL, beams=uniform(24, -60.0, -40.0, 720), speckle=0.0, divergence=0.02)
    sweep = sweep_of(world_of(floor(60.0, surface=Surface.LANE_PAINT)), spec=spec)
    down = stage.camera(500, 500, 250.0)
    down.base_from_camera[:3, :3] = [[0, -1, 0], [-1, 0, 0], [0, 0, -1]]  # looks down from 4 m
    down.base_from_camera[2, 3] = 4.0
    painted = stage.world(stage.floor(reach=60.0, surface=Surface.LANE_PAINT, rgb=(228, 228, 222)))
    picture = stage.look(painted, spec=down)
    place = sweep.xyz[:, :2].astype(float)
    u = np.round(250.0 * -place[:, 1] / 4.0 + down.cx).astype(int)
    v = np.round(250.0 * -place[:, 0] / 4.0 + down.cy).astype(int)
    seen = (abs(u - 250) < 245) & (abs(v - 250) < 245)
    assert seen.sum() > 5000
    luma = picture.rgb[v[seen], u[seen]].mean(1)
    assert np.corrcoef(luma, sweep.intensity[seen])[0, 1] > 0.5
    pale, worn = (np.median(sweep.intensity[seen][luma > np.percentile(luma, 90)]),
                  np.median(sweep.intensity[seen][luma < np.percentile(luma, 5)]))  # fmt: skip
    assert pale > 1.15 * worn


def test_white_cars_return_more_than_black_ones():
    def intensity(rgb, seed):
        body = box((4.0, 2.0, 1.5), (0.0, 0.0, 0.75), Surface.CAR_PAINT, 0)
        body = type(body).build(body.vertices, body.triangles, Surface.CAR_PAINT, 0, rgb)
        one = replace(car(7, 8.0, 0.0), shape=Shape("painted", body))
        sensor = LidarSensor(world_of(), replace(IDEAL, power=1e9), Conditions(), seed, spread=0.0)
        sweep = sensor.sweep(moment(0.0, None, one), moment(0.1, None, one))
        return np.median(sweep.intensity[sweep.instance == 7])

    white, black = ([intensity(c, s) for s in range(12)] for c in ((235, 235, 235), (18, 18, 20)))
    assert np.median(white) > 1.5 * np.median(black)
    assert sum(w > b for w, b in zip(white, black)) >= 10, "for nearly every car, but not by colour alone"
    assert np.std(white) > 0.01


def test_edges_give_mixed_pixels_between_two_surfaces():
    world = world_of(box((0.2, 4.0, 6.0), (15, 0, 0)), box((1, 90, 60), (17, 0, 0), label=13))
    clean = sweep_of(world)
    mixed = sweep_of(world, spec=replace(IDEAL, divergence=0.006))

    def between(sweep):
        return ((sweep.xyz[:, 0] > 15.05) & (sweep.xyz[:, 0] < 16.4)).sum()

    assert between(mixed) > between(clean)


def test_intensity_is_quantised_between_0_and_1():
    spec = replace(IDEAL, intensity_levels=100)
    sweep = sweep_of(world_of(floor(), box((2, 60, 30), (21, 0, 0))), spec=spec)
    assert sweep.intensity.min() >= 0 and sweep.intensity.max() <= 1
    assert np.allclose(sweep.intensity * 100, np.round(sweep.intensity * 100), atol=1e-3)


def test_a_dead_sector_reports_nothing():
    spec = replace(IDEAL, dead_sector=(-0.5, 0.5))
    sweep = sweep_of(world_of(floor()), spec=spec)
    azimuth = np.arctan2(sweep.xyz[:, 1], sweep.xyz[:, 0])
    assert (abs(azimuth) > 0.49).all() and len(sweep) > 1000


def test_beams_that_start_above_the_origin_measure_the_same_floor():
    table = replace(IDEAL.beams, height=np.linspace(0.2, 0.0, IDEAL.beams.rings))
    sweep = sweep_of(world_of(floor(400.0)), spec=replace(IDEAL, beams=table))
    assert np.allclose(sweep.xyz[:, 2], -2.0, atol=2e-3)


def test_arrays_have_the_promised_types_and_lengths():
    sweep = sweep_of(world_of(floor()))
    kinds = {"xyz": "float32", "intensity": "float32", "ring": "uint16", "time": "float32", "label": "uint8"}
    for name, kind in (kinds | {"instance": "uint16"}).items():
        array = getattr(sweep, name)
        assert array.dtype == kind and len(array) == len(sweep)
    assert np.isfinite(sweep.xyz).all() and sweep.rays == IDEAL.beams.rays
    assert (np.diff(sweep.time) >= -1e-4).all()  # firing order


def same(a, b) -> bool:
    names = ("xyz", "intensity", "ring", "time", "label", "instance")
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)


def test_one_seed_one_sweep_at_any_thread_count_and_whatever_came_before():
    hedge = box((0.01, 60, 30), (15, 0, 0), Surface.LEAVES, 14, porosity=0.5)
    world = world_of(floor(), hedge)
    porous = Shape("bush", box((2.0, 2.0, 2.0), (0, 0, 1), Surface.LEAVES, 14, porosity=0.4))
    bush = ActorState(5, "barrier", porous, (8.0, 3.0, 0.0), 0.0, (2, 2, 2))
    before, after = moment(1.0, ego_at(0), car(2, 9, -3), bush), moment(1.1, ego_at(1), car(2, 9.5, -3), bush)
    spec = replace(rig("nuscenes").lidar, beams=hdl32e().with_columns(400))
    weather = Conditions(weather="rain")
    sweeps = [LidarSensor(world, spec, weather, 3, threads=n).sweep(before, after) for n in (1, 2, 3)]
    assert same(sweeps[0], sweeps[1]) and same(sweeps[0], sweeps[2])
    warm = LidarSensor(world, spec, weather, 3, threads=2)
    other = Shape("other", box((1.0, 1.0, 1.0), (0, 0, 1), porosity=0.2))
    warm.sweep(moment(0.0, None, replace(bush, shape=other)), moment(0.1, None, replace(bush, shape=other)))
    assert same(warm.sweep(before, after), sweeps[0])
    assert not same(LidarSensor(world, spec, weather, 4).sweep(before, after), sweeps[0])


def test_statistics_of_a_plain_street_are_like_real_sweeps():
    """On a road between walls: nuScenes' and KITTI's share of returns and intensities, in broad bounds."""
    street = world_of(
        floor(), box((300, 1, 12), (0, 12, 6)), box((300, 1, 12), (0, -12, 6)), box((1, 24, 12), (70, 0, 6))
    )  # fmt: skip
    for name, low, high, bright in (("nuscenes", 0.85, 1.0, (0.03, 0.09)), ("kitti", 0.85, 1.0, (0.15, 0.45))):
        it = rig(name)
        sweep = sweep_of(street, spec=it.lidar, hull=it.hull)
        outside = np.linalg.norm(sweep.xyz, axis=1) > 2.5
        assert low < len(sweep) / sweep.rays < high
        assert bright[0] < np.median(sweep.intensity[outside]) < bright[1]
