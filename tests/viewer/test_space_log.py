"""Boxes, map layers and sensors in rerun lie where the calibration says, in space and on the pictures."""

from types import SimpleNamespace

import numpy as np
import pytest

from perception_nodes.bags.typestore import make
from perception_nodes.calibration.source import CalibrationSource
from perception_nodes.messages.camera_info import camera_info_values
from perception_nodes.messages.detections import Detections3D, detections3d_values
from perception_nodes.messages.grid import Grid, grid_values
from perception_nodes.streaming.bag_inputs import around
from perception_nodes.viewer.box_outlines import EDGES, box_edges
from perception_nodes.viewer.space_log import BOXES, MAP_ENTITY, TRUE_BOXES, SpaceLog
from tests.systems.bevfusion import BASE_LIDAR, camera_model, static

rr = pytest.importorskip("rerun")


class Stream:
    """Keeps what is logged: (entity, archetype, static)."""

    def __init__(self):
        self.rows = []

    def log(self, entity, shown, static=False):
        self.rows.append((entity, shown, static))

    def of(self, entity):
        return [shown for name, shown, _ in self.rows if name == entity]


@pytest.fixture
def logged():
    stream = Stream()
    log = SpaceLog(rr, stream, None)
    log.calibrate("/tf_static", static())
    info = make("sensor_msgs/msg/CameraInfo", **camera_info_values(camera_model("front")))
    log.calibrate("/camera/front/camera_info", info)
    return SimpleNamespace(log=log, stream=stream)


def boxes(score=(0.9, 0.1), stamp=0):
    centres, sizes = [(10.0, 1.0, 1.0), (20.0, 0, 1.0)], [(4.0, 2.0, 1.5)] * 2
    found = Detections3D.build("base_link", stamp, centres, sizes, [0.3, 0.0], ["car", "truck"], score=list(score))
    return found, make("vision_msgs/msg/Detection3DArray", **detections3d_values(found))


def layer(name, stamp):
    grid = Grid(np.ones((20, 20), bool), 0.5, (-5.0, -5.0), 0.0, "base_link", stamp)
    return f"/perception/map/{name}", make("nav_msgs/msg/OccupancyGrid", **grid_values(grid))


def test_found_boxes_are_drawn_in_space_and_at_their_edges_on_the_picture(logged):
    found, message = boxes()
    logged.log.boxes("/perception/detections", message)
    (shown,) = logged.stream.of(BOXES)[-1:]
    np.testing.assert_allclose(shown.centers.as_arrow_array().to_pylist(), [[10, 1, 1]])  # the unsure one is left out
    (lines,) = logged.stream.of("cameras/front/boxes3d")
    source = CalibrationSource()
    source.add_tf_static(static())
    camera_from_base = source.lookup("camera_front", "base_link")
    expected, _ = box_edges(found.select(found.score > 0.5), camera_from_base, camera_model("front"))
    assert len(expected) == len(EDGES)
    np.testing.assert_allclose(lines.strips.as_arrow_array().to_pylist(), expected, rtol=1e-5)


def test_true_boxes_are_apart_and_not_on_the_pictures(logged):
    logged.log.boxes("/ground_truth/boxes", boxes(score=(1.0, 1.0))[1])
    assert len(logged.stream.of(TRUE_BOXES)) and not logged.stream.of(BOXES)
    assert not logged.stream.of("cameras/front/boxes3d")


def test_a_sensors_entity_is_placed_on_the_vehicle_once(logged):
    for _ in range(2):
        logged.log.place("world/points", "lidar")
    (pose,) = logged.stream.of("world/points")
    np.testing.assert_allclose(pose.translation.as_arrow_array().to_pylist()[0], BASE_LIDAR[:3, 3], atol=1e-6)
    np.testing.assert_allclose(
        np.reshape(pose.mat3x3.as_arrow_array().to_pylist()[0], (3, 3)).T, BASE_LIDAR[:3, :3], atol=1e-6
    )


def test_an_unknown_frame_is_placed_when_its_transform_comes():
    stream = Stream()
    log = SpaceLog(rr, stream, None)
    log.place("world/points", "lidar")
    assert not stream.rows
    log.calibrate("/tf_static", static())
    log.place("world/points", "lidar")
    assert len(stream.rows) == 1


def test_the_layers_of_a_moment_are_one_picture_on_the_ground(logged):
    for stamp in (0, 10**8, 2 * 10**8):
        for name in ("drivable_area", "divider"):
            logged.log.layer(*layer(name, stamp))
    grounds = [row for row in logged.stream.of(MAP_ENTITY) if isinstance(row, rr.Mesh3D)]
    assert len(grounds) == 2 + 1 + 1  # the number of layers is known after the first moment


def test_cameras_stand_as_they_look_around_the_vehicle():
    names = ["back", "extra", "back_left", "front", "front_left"]
    assert around(names) == ["front_left", "front", "back_left", "back", "extra"]


def test_the_layout_has_a_view_for_each_camera():
    from perception_nodes.viewer.log import blueprint

    def views(part):
        own = [part.origin] if hasattr(part, "origin") else []
        below = [child for child in getattr(part, "contents", None) or [] if not isinstance(child, str)]
        return own + [view for child in below for view in views(child)]

    found = views(blueprint((), ("front_left", "front")).root_container)
    assert {"cameras/front_left", "cameras/front"} <= set(found) and "cameras" not in found
