"""True boxes: geometry, point counts and visibility on scenes whose answer is known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from perception_nodes.simulator.scene import ActorState, EgoState, Mesh, Shape, Snapshot
from perception_nodes.simulator.truth import box_of, boxes
from tests.simulator import scenes, stage

SHAPE = Shape("box", Mesh.join([]))


def actor(track: int, x: float, y: float, yaw: float = 0.0, box: bool = True) -> ActorState:
    return ActorState(track, "car", SHAPE, (x, y, 0.5), yaw, (4.0, 2.0, 1.6), velocity=(3.0, 0.0), box=box)


def snapshot(*actors: ActorState) -> Snapshot:
    return Snapshot(0.0, EgoState(np.eye(4), 5.0, 0.0, 0.0), actors)


def sweep(points: list[tuple[tuple[float, float, float], int]]) -> SimpleNamespace:
    """A sweep from the origin: [(point, instance)]."""
    return SimpleNamespace(
        xyz=np.array([p for p, _ in points], np.float32).reshape(-1, 3),
        instance=np.array([i for _, i in points], np.uint16),
        map_from_sensor=np.eye(4),
    )


def rays(distance: float, instance: int, azimuths, height: float = 1.0):
    return [((distance * math.cos(a), distance * math.sin(a), height * distance / 20), instance) for a in azimuths]


def test_a_box_stands_on_its_actor():
    box = box_of(actor(4, 10.0, 5.0, math.pi / 2))
    assert box.centre == (10.0, 5.0, pytest.approx(0.5 + 0.8))
    corners = box.corners()
    assert np.allclose(corners.min(0), [9.0, 3.0, 0.5]) and np.allclose(corners.max(0), [11.0, 7.0, 2.1])
    assert np.allclose(corners[0], [9.0, 7.0, 0.5]), "front left first"
    assert math.isnan(box.visibility) and box.points == 0 and box.velocity == (3.0, 0.0)


def test_boxes_come_nearest_first_within_the_radius_and_without_boxless_actors():
    found = boxes(snapshot(actor(2, 40, 0), actor(3, 10, 0), actor(4, 300, 0), actor(5, 5, 5, box=False)))
    assert [b.track_id for b in found] == [3, 2]


def test_points_are_counted_by_instance():
    scan = sweep([*rays(18.2, 2, np.linspace(-0.04, 0.04, 7)), *rays(30.0, 9, [1.0, 2.0]), *rays(25.0, 0, [0.5])])
    [box] = boxes(snapshot(actor(2, 20, 0)), scan)
    assert box.points == 7


def test_visibility_is_the_share_that_is_not_stopped_in_front():
    spread = np.linspace(-0.05, 0.05, 20)
    half = [*rays(18.2, 2, spread[:10]), *rays(9.0, 7, spread[10:])]
    for points, share in ((rays(18.2, 2, spread), 1.0), (half, 0.5), (rays(9.0, 0, spread), 0.0)):
        [box] = boxes(snapshot(actor(2, 20, 0)), sweep(points))
        assert box.visibility == pytest.approx(share)


def test_returns_through_the_windows_do_not_hide():
    [box] = boxes(snapshot(actor(2, 20, 0)), sweep(rays(60.0, 0, np.linspace(-0.04, 0.04, 9), 0.9)))
    assert box.visibility == 1.0 and box.points == 0


def test_a_silhouette_without_returns_has_no_visibility():
    [box] = boxes(snapshot(actor(2, 20, 0)), sweep(rays(10.0, 0, [2.0])))
    assert math.isnan(box.visibility)


def test_behind_the_sensor_the_silhouette_crosses_the_cut_of_the_angle():
    azimuths = [math.pi - 0.02, math.pi - 0.01, -math.pi + 0.01, -math.pi + 0.02]
    [box] = boxes(snapshot(actor(2, -20, 0)), sweep([*rays(18.2, 2, azimuths[:2]), *rays(8.0, 0, azimuths[2:])]))
    assert box.visibility == pytest.approx(0.5) and box.points == 2


def test_a_sweep_without_points_is_no_error():
    [box] = boxes(snapshot(actor(2, 20, 0)), sweep([]))
    assert box.points == 0 and math.isnan(box.visibility)


def works(kind: str, track: int, x: float, y: float) -> ActorState:
    """A cone or a barrier of the catalogue on level ground."""
    from perception_nodes.simulator.shapes import works as shapes

    mesh, size = shapes.cone(3) if kind == "traffic_cone" else shapes.barrier("plastic", 3)
    return ActorState(track, kind, Shape(kind, mesh), (x, y, 0.0), 0.0, size)


def inside(box, points) -> np.ndarray:
    """Which points float [N, 3] (map) lie in the box, 1 cm of slack."""
    c, s = math.cos(box.yaw), math.sin(box.yaw)
    local = (points - box.centre) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return (abs(local) <= np.asarray(box.size) / 2 + 0.01).all(1)


@pytest.mark.parametrize("kind", ["traffic_cone", "barrier"])
def test_cones_and_barriers_have_the_points_that_lie_in_their_boxes(kind):
    """They have no class among the 19 point classes, so their points cannot be told by label."""
    from tests.simulator.test_lidar import sweep_of

    after = scenes.moment(0.1, None, works(kind, 7, 6.0, 1.0), works(kind, 9, -5.0, -2.0))
    scan = sweep_of(scenes.world_of(scenes.floor()), after=after)
    points = scan.xyz @ scan.map_from_sensor[:3, :3].T + scan.map_from_sensor[:3, 3]
    found = boxes(after, scan)
    assert {b.category for b in found} == {kind} and len(found) == 2
    for box in found:
        on_it = inside(box, points) & (points[:, 2] > 0.003)  # the road under it lies in the box too
        assert on_it.sum() > 10
        assert box.points == (scan.instance == box.track_id).sum() and abs(box.points - on_it.sum()) <= 2
        assert inside(box, points[scan.instance == box.track_id]).all()


def test_cones_and_barriers_are_in_the_pictures_truth():
    image = stage.look(
        stage.world(stage.floor()), works("traffic_cone", 7, 5.0, 1.0), works("barrier", 9, 7.0, -1.5),
        spec=stage.camera(160, 120, 150.0, up=1.0),
    )  # fmt: skip
    for track, x in ((7, 5.0), (9, 7.0)):
        seen = image.instance == track
        assert seen.sum() > 50 and abs(np.median(image.depth[seen]) - x) < 0.4


def test_drops_of_rain_before_an_object_are_not_its_points():
    from perception_nodes.simulator.scene import Conditions
    from tests.simulator.test_lidar import sweep_of

    after = scenes.moment(0.1, None, scenes.car(7, 12.0, 0.0))
    scan = sweep_of(scenes.world_of(scenes.floor()), after=after, conditions=Conditions(weather="fog"))
    [box] = boxes(after, scan)
    points = scan.xyz[scan.instance == 7] @ scan.map_from_sensor[:3, :3].T + scan.map_from_sensor[:3, 3]
    between = (scan.xyz[:, 0] > 1.0) & (scan.xyz[:, 0] < 9.0) & (abs(scan.xyz[:, 1]) < 0.5) & (scan.label == 255)
    assert between.any(), "fog must give echoes between the sensor and the car"
    assert box.points > 100 and inside(box, points).all()
