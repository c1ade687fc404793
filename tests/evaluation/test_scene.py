"""Pictures of whole moments: what a newcomer sees of cameras, points, boxes and map, each where it is."""

import json

import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.calibration.se3 import BODY_FROM_OPTICAL, compose, invert
from perception_nodes.classes import BOX_CLASSES, IGNORE, MAP_CLASSES
from perception_nodes.evaluation.scene import DETECTIONS, Scenes
from perception_nodes.messages.camera_info import CameraModel
from perception_nodes.messages.detections import Detections3D
from perception_nodes.messages.grid import Cells
from perception_nodes.viewer.box_outlines import EDGES, box_edges, draw_box_edges
from perception_nodes.viewer.pictures import BACKGROUND
from perception_nodes.viewer.scene_picture import LAYER_OPACITY, Above, above_picture, layers_below, scene_picture
from tests.systems.bevfusion import CAMERAS, run_on, write_bag

CAMERA = CameraModel(200, 100, np.array([[100.0, 0, 100], [0, 100, 50], [0, 0, 1]]), np.zeros(5), "plumb_bob", "camera")
AHEAD = invert(compose(BODY_FROM_OPTICAL[:3, :3], (0.0, 0.0, 0.0)))  # camera_from_base: it looks along x


def boxes(centre, size=(2.0, 2.0, 2.0), yaw=0.0, name="car"):
    return Detections3D.build("base_link", 0, [centre], [size], [yaw], [name])


def mixed(name):
    rgb = np.array(next(c.rgb for c in MAP_CLASSES if c.name == name))
    return tuple((rgb * LAYER_OPACITY + np.array(BACKGROUND) * (1 - LAYER_OPACITY)).astype(np.uint8))


def test_the_edges_of_a_box_are_where_a_pinhole_camera_sees_them():
    segments, box = box_edges(boxes((11.0, 0, 0)), AHEAD, CAMERA)
    assert len(segments) == len(EDGES) and set(box) == {0}
    near, far = {(90, 40), (110, 40), (90, 60), (110, 60)}, 100 / 12
    seen = {tuple(np.round(p, 6)) for p in segments.reshape(-1, 2)}
    assert near <= seen and (round(100 - far, 6), round(50 - far, 6)) in seen


def test_edges_are_cut_off_in_front_of_the_camera_and_boxes_behind_it_have_none():
    segments, _ = box_edges(boxes((0.5, 0, 0), (4.0, 1.0, 1.0)), AHEAD, CAMERA)
    assert len(segments) and np.isfinite(segments).all()
    assert len(box_edges(boxes((-5.0, 0, 0)), AHEAD, CAMERA)[0]) == 0
    assert len(box_edges(boxes((5.0, 40.0, 0)), AHEAD, CAMERA)[0]) == 0  # beside the picture


def test_edges_are_drawn_in_the_boxs_colour():
    rgb = np.array([[255, 0, 0]], np.uint8)
    drawn = draw_box_edges(np.zeros((100, 200, 3), np.uint8), boxes((11.0, 0, 0)), AHEAD, CAMERA, rgb)
    assert drawn[40, 100, 0] > 200 and not drawn[20, 100].any() and not drawn[:, :, 1].any()


def test_a_turned_grid_lies_where_its_frame_says():
    percent = np.zeros((4, 8), np.int8)
    percent[0, 7] = 100  # 7 to 8 m along the grid's x, 0 to 1 m along its y
    turned = Cells(percent, 1.0, (2.0, 3.0), np.pi / 2, "base_link", 0)  # base x = 2 - grid y, base y = 3 + grid x
    picture = layers_below({"walkway": turned}, 100, 50.0)
    assert tuple(picture[48, 39]) == mixed("walkway")  # x = 1.5, y = 10.5
    assert (picture != np.array(BACKGROUND)).any(2).sum() == 1


def test_points_and_boxes_lie_on_top_of_the_map_and_ahead_is_up():
    ground = Cells(np.full((100, 100), 100, np.int8), 1.0, (-50.0, -50.0), 0.0, "base_link", 0)
    point, road = np.array([[20, 10, 0]], np.float32), np.zeros(1, np.uint8)
    view = Above({"drivable_area": ground}, point, road, boxes((-20, 0, 0)))
    picture = above_picture(view, 100, 50.0)
    assert tuple(picture[30, 40]) != mixed("drivable_area") == tuple(picture[30, 60])
    car = next(c.rgb for c in BOX_CLASSES if c.name == "car")
    assert (picture[66:75, 45:55] == np.array(car)).all(2).any()


def test_a_moment_without_cameras_and_truth_is_drawn_and_notes_are_red():
    plain = scene_picture([], Above(), None, "now")
    noted = scene_picture([], Above(), None, "now", ["UNTRAINED"])
    assert noted.shape[0] == plain.shape[0] + 24 and (noted == (255, 60, 60)).all(2).any()


@pytest.fixture(scope="module")
def replayed(tmp_path_factory):
    """(recording, bag) of the small random network."""
    from perception_nodes.systems.offline import offline

    folder = tmp_path_factory.mktemp("scene")
    bag = write_bag(folder / "bag")
    offline(bag, folder / "out", [run_on(bag)])
    return folder / "out", bag


def test_a_recordings_moment_holds_its_boxes_layers_points_and_pictures(replayed):
    with BagReader(replayed[0]) as out, BagReader(replayed[1]) as truth:
        scenes = Scenes(out, truth, frozenset())
        scene = scenes.at(scenes.stamps[1])
        assert [name for name, _, _ in scene.cameras] == list(CAMERAS) and scene.truth is None  # the bag has none
        assert set(scene.found.layers) >= {"drivable_area", "divider"} and scene.found.boxes is not None
        assert len(scene.found.xyz) == 400 and set(scene.found.label) == {IGNORE}  # nobody labelled points
        hidden = Scenes(out, truth, frozenset({DETECTIONS, "/perception/map/divider"})).at(scenes.stamps[1]).found
        assert hidden.boxes is None and "divider" not in hidden.layers and "drivable_area" in hidden.layers


def test_the_report_begins_with_the_moments_and_says_whose_weights_are_random(replayed, tmp_path):
    from perception_nodes.systems.evaluate import evaluate

    folder = evaluate(*replayed, tmp_path)
    page = (folder / "report.html").read_text()
    assert page.index("pictures/scene_00.jpg") < page.index("<h2>Latency by node")
    assert (folder / "pictures" / "scene_00.jpg").stat().st_size > 10_000
    assert json.loads((folder / "metrics.json").read_text())["detection3d"]["frames"] == 0
