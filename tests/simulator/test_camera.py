"""Light, weather and repeatability of the pictures."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from perception_nodes.simulator.camera import CameraRenderer
from perception_nodes.simulator.render import sky
from perception_nodes.simulator.rigs import rig
from perception_nodes.simulator.scene import Conditions, Mesh, Surface
from tests.simulator.stage import actor, board, box, camera, floor, look, moment, world

NOON = Conditions("day", "clear", 0.8, 1.0)
LAMPS = ((15.0, 4.0, 6.0), (30.0, -4.0, 6.0))


def street():
    """Ground, walls, a hedge, a window, lamps."""
    return world(
        floor(),
        board(40.0, (-30, 30), (0, 12), Surface.BRICK, 12, (150, 80, 60)),
        board(25.0, (6, 12), (0, 3), Surface.LEAVES, 14, (70, 105, 45), 0.4),
        board(39.9, (-4, -1), (2, 4), Surface.GLASS, 12, (60, 60, 60)),
        lamps=LAMPS,
    )


def cars(braking=False):
    tail = board(-2.01, (0.4, 0.8), (0.6, 0.9), Surface.TAILLIGHT, 0, (150, 10, 10))
    other = board(-2.01, (-0.8, -0.4), (0.6, 0.9), Surface.TAILLIGHT, 0, (150, 10, 10))
    head = board(2.01, (0.4, 0.8), (0.6, 0.9), Surface.HEADLIGHT, 0, (220, 220, 220))
    mesh = Mesh.join([box((4, 2, 1.5)), tail, other, head])
    return actor(3, mesh, (14.0, -1.0, 0.0), velocity=(5.0, 0.0), braking=braking)


def same(a, b) -> bool:
    return all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("rgb", "depth", "semantic", "instance"))


def mean(image) -> float:
    return float(image.rgb.mean())


SPEC = camera(96, 72, 90.0, up=1.5)


@pytest.mark.parametrize("conditions", [NOON, Conditions("night", "rain"), Conditions("dusk", "wet")])
def test_any_number_of_threads_gives_the_same_bytes(conditions):
    one = look(street(), cars(), conditions=conditions, spec=SPEC)
    for threads in (2, 3, 5):
        assert same(one, look(street(), cars(), conditions=conditions, spec=SPEC, threads=threads))


def test_pictures_do_not_depend_on_those_drawn_before():
    first, second = moment(cars(), time=1.0), moment(cars(True), time=2.0)
    renderer = CameraRenderer(street(), NOON, 1)
    renderer.render(first, camera())
    renderer.render(first, SPEC)
    after = renderer.render(second, SPEC)
    assert same(after, CameraRenderer(street(), NOON, 1).render(second, SPEC))


def test_cameras_may_be_drawn_from_several_threads_at_once():
    renderer = CameraRenderer(street(), NOON, 1, threads=2)
    moments = [moment(cars(), time=0.1 * k) for k in range(6)]
    alone = [renderer.render(m, SPEC) for m in moments]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda m: renderer.render(m, SPEC), moments))
    assert all(same(a, b) for a, b in zip(alone, together))


def test_the_seed_and_the_time_draw_the_noise_and_nothing_else():
    base = look(street(), conditions=NOON, spec=SPEC, seed=1)
    later = look(street(), conditions=NOON, spec=SPEC, seed=1, time=0.1)
    assert not np.array_equal(base.rgb, later.rgb)
    assert np.array_equal(base.depth, later.depth)
    assert np.abs(base.rgb.astype(int) - later.rgb).mean() < 4


def test_day_is_brighter_than_dusk_and_dusk_than_night():
    day, dusk, night = (
        mean(look(street(), conditions=Conditions(d, "clear"), spec=SPEC)) for d in ("day", "dusk", "night")
    )
    assert day > dusk + 8 > night + 30


def test_fog_takes_contrast_with_distance():
    def contrast(distance, weather):
        half = 0.3 * distance
        static = world(
            board(distance, (0, half), (-half, half), rgb=(250,) * 3),
            board(distance, (-half, 0), (-half, half), rgb=(20,) * 3),
        )
        rgb = look(static, conditions=Conditions("day", weather)).rgb.mean(-1)
        return float(rgb[12:36, 20:28].mean() - rgb[12:36, 36:44].mean())

    near, far = contrast(8.0, "fog"), contrast(80.0, "fog")
    assert near > 4 * far > 0
    assert contrast(80.0, "clear") > 4 * far
    assert contrast(8.0, "clear") > near


def test_walls_cast_shadows_and_actors_do():
    ahead = Conditions("day", "clear", 0.0, 0.6)  # the sun is ahead: shadows fall towards the camera
    for image in (
        look(world(floor(), board(12.0, (0.5, 20), (0.1, 12))), conditions=ahead, spec=SPEC),
        look(world(floor()), actor(1, box((0.2, 19.5, 12)), (12.0, 10.25, 0.1)), conditions=ahead, spec=SPEC),
    ):
        near = image.rgb[-16:].astype(float).mean(-1)
        assert near[:, :40].mean() < 0.65 * near[:, 56:].mean()


def test_brake_lights_are_seen():
    for daytime in ("day", "night"):
        conditions = Conditions(daytime, "clear")
        off = look(street(), cars(), conditions=conditions, spec=SPEC)
        on = look(street(), cars(True), conditions=conditions, spec=SPEC)
        lamp = off.instance == 3
        assert on.rgb[lamp][:, 0].astype(int).max() > off.rgb[lamp][:, 0].max() - 1
        assert on.rgb[..., 0].astype(int).sum() > off.rgb[..., 0].sum() + 300


def test_street_lamps_light_the_ground_at_night():
    night = Conditions("night", "clear")
    spec = camera(96, 72, 60.0, up=3.0)
    dark = look(world(floor(), board(60, (-60, 60), (0, 20))), conditions=night, spec=spec).rgb
    lit = look(world(floor(), board(60, (-60, 60), (0, 20)), lamps=LAMPS), conditions=night, spec=spec).rgb
    assert lit[36:56].mean() > dark[36:56].mean() + 5


def test_a_wet_road_mirrors_what_stands_on_it():
    static = world(floor(), board(15.0, (-6, 6), (0.0, 4.0), Surface.PLASTIC, 12, (250, 10, 10)))

    def redness(weather):
        rgb = look(static, conditions=Conditions("day", weather), spec=SPEC).rgb[48:60].astype(float)
        return float((rgb[..., 0] - rgb[..., 2]).mean())

    assert redness("wet") > redness("fog") + 4


def test_colour_of_a_board_is_the_colour_of_its_mesh():
    for rgb in ((200, 30, 30), (30, 180, 30), (30, 30, 200)):
        static = world(board(8.0, (-5, 5), (-5, 5), Surface.PLASTIC, 12, rgb))
        image = look(static, conditions=Conditions("day", "clear", np.pi, 0.6))
        assert int(image.rgb[24, 32].argmax()) == int(np.argmax(rgb))


def test_every_surface_by_every_light_and_weather_is_finite_and_not_flat_black():
    boards = [board(10.0, (k - 15, k - 14), (0, 3), surface, 12, (120, 110, 100)) for k, surface in enumerate(Surface)]
    static = world(floor(), *boards, lamps=LAMPS)
    spec = camera(128, 40, 40.0, up=1.5)
    for daytime in Conditions.DAYTIMES:
        for weather in Conditions.WEATHERS:
            image = look(static, cars(), conditions=Conditions(daytime, weather), spec=spec)
            assert image.rgb.max() > 60
            assert image.rgb.std() > 3


def test_unknown_light_is_refused_by_name():
    with pytest.raises(ValueError, match="'noon'.*known: day, dusk, night"):
        CameraRenderer(world(floor()), Conditions("noon", "clear"))
    with pytest.raises(ValueError, match="'hail'.*clear, fog, rain, wet"):
        sky.air(Conditions("day", "hail"), 0)


def test_a_rigs_hull_is_drawn_only_where_given():
    nuscenes = rig("nuscenes")
    spec = nuscenes.cameras[0].scaled(0.05)
    bare = CameraRenderer(world(), NOON).render(moment(), spec)
    assert not np.isfinite(bare.depth).any()
    hull = CameraRenderer(world(), NOON, hull=box((9, 3, 1.7)))
    assert np.isfinite(hull.render(moment(), camera(up=2.0)).depth).any()
    assert not hull.render(moment(), camera(up=2.0)).instance.any()


def test_memory_for_shapes_is_bounded(monkeypatch):
    monkeypatch.setattr("perception_nodes.simulator.camera.SPARE_SHAPES", 20)
    renderer = CameraRenderer(world(floor()), NOON)
    shapes = [box((2, 1, 1 + 0.1 * k)) for k in range(60)]
    pictures = [renderer.render(moment(actor(1, s), time=float(k)), SPEC) for k, s in enumerate(shapes)]
    assert len(renderer._library._parts) <= 22
    assert same(pictures[50], look(world(floor()), actor(1, shapes[50]), conditions=NOON, spec=SPEC, time=50.0))
