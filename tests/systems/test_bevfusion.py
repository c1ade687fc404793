"""The bevfusion system offline: frames, past sweeps, missing sensors, bad input, what is sent."""

import json
from dataclasses import replace

import numpy as np
import pytest

from models.bevfusion.build import PRESETS
from models.bevfusion.results import BevMap
from perception_nodes.bags.reader import BagReader
from perception_nodes.calibration.se3 import apply, invert
from perception_nodes.config import ConfigError, build_config
from perception_nodes.messages.detections import read_detections3d
from perception_nodes.messages.grid import read_grid
from perception_nodes.messages.image import decode_image
from perception_nodes.systems import bevfusion
from perception_nodes.systems.bevfusion.config import BevFusionConfig, Frames
from perception_nodes.systems.bevfusion.fused import FusedSession
from perception_nodes.systems.bevfusion.sweeps import SweepBuffer
from perception_nodes.systems.offline import offline
from perception_nodes.systems.runner import Runner
from tests.systems.bevfusion import BASE_LIDAR, CAMERAS, START_NS, cloud, messages, network, run_on, write_bag

ATTRIBUTES, BOXES = "/perception/detections/attributes", "/perception/detections"


def attributes(path):
    return [json.loads(m.data) for m in messages(path, ATTRIBUTES)]


def answer(tmp_path, bag, *parts, **parameters):
    """(attributes, warnings, path of the outputs) of the offline run."""
    result = offline(bag, tmp_path / "out", [run_on(bag, *parts, **parameters)])
    return attributes(tmp_path / "out"), result.warnings, tmp_path / "out"


class Seeing:
    """A network that keeps what it is given, and answers nothing."""

    past_sweeps, repeats_first, temporal, uses_cameras, uses_points = 1, False, False, True, True
    classes = (("car",), ())
    facts = replace(network("lidar", "object").facts)

    def __init__(self):
        self.given = []

    def step(self, images, points, calibration, motion=None):
        self.given.append((dict(images), points, dict(calibration)))
        return type("Nothing", (), {"detections": None, "map": None, "used_points": 0})()

    def reset(self):
        pass


def seen(bag, **parameters):
    """What a network is given on a bag."""
    net = Seeing()
    offline(bag, None, [replace(run_on(bag, **parameters), open_session=lambda c: FusedSession(net, c.frames))])
    return net.given


def test_every_output_of_a_sweep_has_its_stamp_and_the_vehicles_frame(tmp_path):
    rows, warnings, out = answer(tmp_path, write_bag(tmp_path / "bag"), **{"output.min_score": 0.0})
    stamps = [START_NS + i * 10**8 for i in range(4)]
    assert [row["stamp_ns"] for row in rows] == stamps and not warnings
    assert all(row["cameras"] == list(CAMERAS) and row["masked"] == {} and row["untrained"] for row in rows)
    boxes = [read_detections3d(m, a) for m, a in zip(messages(out, BOXES), messages(out, ATTRIBUTES))]
    assert [b.stamp_ns for b in boxes] == stamps and {b.frame_id for b in boxes} == {"base_link"}
    assert all(len(b) and np.isfinite(b.velocity).all() for b in boxes)
    markers = messages(out, f"{BOXES}/markers")
    assert len(markers) == 4 and all(m.markers[0].action == 3 for m in markers)  # DELETEALL
    for name in ("drivable_area", "divider"):
        grids = [read_grid(m) for m in messages(out, f"/perception/map/{name}")]
        assert [g.stamp_ns for g in grids] == stamps and grids[0].frame_id == "base_link"
        assert grids[0].mask.shape == (48, 40) and grids[0].origin == pytest.approx((-10 + 0.9, -12 + 0.1))
    image = decode_image(messages(out, "/perception/map_image")[0]).rgb
    assert (image == (255, 60, 60)).all(-1).sum() > 50  # UNTRAINED WEIGHTS, in red


def test_class_tables_travel_with_boxes_and_map_and_say_untrained(tmp_path):
    run = run_on(write_bag(tmp_path / "bag", frames=1))
    runner = Runner(run.system, run.config, run.open_session)
    tables = {output.name: json.loads(raw[8:].rstrip(b"\0")) for output, raw in runner.tables()}
    assert [c["name"] for c in tables["detections"]["classes"]][:2] == ["car", "truck"]
    assert [c["name"] for c in tables["map_image"]["classes"]][:2] == ["drivable_area", "ped_crossing"]
    assert all(table["untrained"] is True for table in tables.values())


def test_the_network_sees_level_axes_whatever_the_lidars_mounting(tmp_path):
    (images, points, calibration), *_ = seen(write_bag(tmp_path / "bag", frames=1))
    np.testing.assert_allclose(points[:, :3], cloud(0)["xyz"] @ BASE_LIDAR[:3, :3].T, atol=1e-5)
    np.testing.assert_allclose(points[:, 3], cloud(0)["intensity"] * 255, rtol=1e-5)
    ahead = calibration["front"].points_from_camera @ (0, 0, 10.0, 1)  # 10 m in front of the camera
    np.testing.assert_allclose(ahead[:3], (1.2 + 10 - 0.9, 0.2 - 0.1, 1.5 - 1.8), atol=1e-9)
    assert images.keys() == calibration.keys() == set(CAMERAS)


def test_earlier_sweeps_come_along_by_the_vehicles_motion(tmp_path):
    bag = write_bag(tmp_path / "bag", frames=3)
    first, second, third = (points for _, points, _ in seen(bag))
    assert len(first) == 400 and min(len(second), len(third)) > 700
    old = second[second[:, 4] > 0]
    np.testing.assert_allclose(old[:, 4], 0.1, atol=1e-6)
    from perception_nodes.calibration.se3 import from_euler

    fixed = [from_euler(0, 0, 0.02 * i, (1.0 * i, 0, 0)) @ BASE_LIDAR for i in range(2)]
    level = BASE_LIDAR.copy()
    level[:3, 3] = 0
    moved = apply(level @ invert(fixed[1]) @ fixed[0], cloud(0)["xyz"].astype(np.float64))
    near = (np.abs(apply(level, cloud(0)["xyz"])[:, :2]) < 1).all(1)
    np.testing.assert_allclose(old[:, :3], moved[~near], atol=1e-4)


def test_05_without_odometry_earlier_sweeps_are_not_used_and_it_is_said(tmp_path):
    bag = write_bag(tmp_path / "bag", odometry=False)
    assert [len(points) for _, points, _ in seen(bag)] == [400] * 4
    rows, warnings, _ = answer(tmp_path, bag)
    assert not any(row["motion"] for row in rows) and any("motion is unknown" in text for text in warnings)


def test_05_without_tf_and_rig_nothing_is_answered_and_the_sentence_says_what_to_give(tmp_path):
    rows, warnings, _ = answer(tmp_path, write_bag(tmp_path / "bag", tf=False))
    assert rows == []
    (said,) = [text for text in warnings if "not answered" in text]
    assert "base_link" in said and "TF (base_link to lidar)" in said and "calibration.rig" in said


def test_an_own_frame_is_used_where_it_is_asked_for(tmp_path):
    rows, warnings, out = answer(tmp_path, write_bag(tmp_path / "bag", tf=False), **{"frames.base": ""})
    assert len(rows) == 4 and {read_detections3d(m).frame_id for m in messages(out, BOXES)} == {"lidar"}
    assert all(row["cameras"] == [] for row in rows)  # without TF no camera can be placed
    assert any("camera front: " in text for text in warnings)


def test_a_network_without_cameras_leaves_the_pictures_out_and_says_so(tmp_path):
    net = Seeing()
    net.uses_cameras = False
    bag = write_bag(tmp_path / "bag")
    session = FusedSession(net, run_on(bag).config.frames)
    run = replace(run_on(bag), open_session=lambda c: session)
    offline(bag, tmp_path / "out", [run])
    rows = attributes(tmp_path / "out")
    assert len(rows) == 4 and all(not images for images, _, _ in net.given)
    assert all(row["cameras"] == [] and set(row["masked"]) == set(CAMERAS) for row in rows)
    assert "is trained without cameras" in rows[0]["masked"]["front"]


def test_04_a_missing_picture_costs_its_view_and_the_boxes_say_so(tmp_path):
    bag = write_bag(tmp_path / "bag", lost={("left", 2)})
    rows, _, _ = answer(tmp_path, bag, **{"collect.max_age_s": 0.05})
    assert [row["cameras"] for row in rows] == [list(CAMERAS)] * 2 + [["front"]] + [list(CAMERAS)]
    assert set(rows[2]["masked"]) == {"left"}


def test_04_cameras_without_camera_info_are_masked_and_the_lidar_answers_alone(tmp_path):
    rows, warnings, _ = answer(tmp_path, write_bag(tmp_path / "bag", info=False))
    assert len(rows) == 4 and all(row["cameras"] == [] and row["points_used"] > 0 for row in rows)
    assert any("no CameraInfo has come" in text and "camera left" in text for text in warnings)


@pytest.mark.parametrize("parts", [("camera", "object"), ("lidar", "object"), ("lidar", "map"), ("camera", "map")])
def test_networks_of_one_sensor_or_one_head_run_in_the_same_system(tmp_path, parts):
    rows, _, out = answer(tmp_path, write_bag(tmp_path / "bag", frames=2), *parts)
    assert len(rows) == 2
    grids = messages(out, "/perception/map/walkway")
    assert len(grids) == (2 if "map" in parts else 0)


def test_06_an_empty_cloud_and_no_picture_is_an_empty_answer(tmp_path):
    empty = {"xyz": np.zeros((0, 3), np.float32), "intensity": np.zeros(0, np.float32)}
    lost = {(c, i) for c in CAMERAS for i in range(1, 3)}
    bag = write_bag(tmp_path / "bag", frames=3, lost=lost, clouds=lambda i: cloud(i) if i == 0 else empty)
    rows, warnings, _ = answer(tmp_path, bag, **{"output.min_score": 0.0, "collect.max_age_s": 0.05})
    assert [len(row["velocity"]) > 0 for row in rows] == [True, False, False]
    assert any("the answer is empty" in text for text in warnings)


def test_07_points_that_are_not_finite_do_not_reach_the_network(tmp_path):
    def spoilt(i):
        found = cloud(i)
        found["xyz"][::3] = np.nan
        found["intensity"][1] = np.inf
        return found

    for _, points, _ in seen(write_bag(tmp_path / "bag", clouds=spoilt)):
        assert np.isfinite(points).all() and (points[:, 4] == 0).sum() == 266


def test_09_intensities_of_255_are_found_and_given_to_the_network_as_such(tmp_path):
    def loud(i):
        return {**cloud(i), "intensity": np.arange(400, dtype=np.float32) % 256}

    *_, (_, points, _) = seen(write_bag(tmp_path / "bag", frames=6, clouds=loud))
    np.testing.assert_allclose(points[:400, 3], np.arange(400) % 256, atol=1e-3)


def test_11_a_distorted_picture_is_undistorted_and_a_cropped_one_masked(tmp_path):
    from perception_nodes.systems.bevfusion.undistort import Undistorter
    from tests.systems.bevfusion import camera_model, picture

    model, rgb = camera_model("front", d=[-0.3, 0.1, 0, 0, 0]), picture(0, "front")
    undo = Undistorter()
    np.testing.assert_array_equal(undo.picture("front", model, rgb), model.undistort(rgb))
    assert not np.array_equal(model.undistort(rgb), rgb)
    other = camera_model("front", d=[0.2, 0.1, 0, 0, 0])
    np.testing.assert_array_equal(undo.picture("front", other, rgb), other.undistort(rgb))  # the table follows


def test_large_jpegs_are_decoded_smaller_and_the_camera_still_sees_in_the_same_direction():
    pytest.importorskip("simplejpeg")
    from perception_nodes.bags.typestore import make, to_bytes
    from perception_nodes.messages.image import compressed_image_values, encode_jpeg
    from tests.systems.bevfusion import COMPRESSED, camera_model

    rgb = np.zeros((1000, 1600, 3), np.uint8)
    raw = to_bytes(make(COMPRESSED, **compressed_image_values(encode_jpeg(rgb), "camera_front", 0)))
    config = build_config(BevFusionConfig, {})
    small = bevfusion.SYSTEM.decode("front", COMPRESSED, raw, config).value
    assert small.size == (800, 500)
    whole = build_config(BevFusionConfig, {"input.least_width": 0})
    assert bevfusion.SYSTEM.decode("front", COMPRESSED, raw, whole).value.size == (1600, 1000)
    model = camera_model("front", (1600, 1000)).for_picture(*small.size)
    ray = np.linalg.solve(model.k, [200.0, 250.0, 1])
    full = np.linalg.solve(camera_model("front", (1600, 1000)).k, [400.5, 500.5, 1])  # the same point
    np.testing.assert_allclose(ray, full, atol=1e-4)


def test_01_looping_a_bag_gives_the_same_answer_each_loop(tmp_path):
    bag = write_bag(tmp_path / "bag", frames=12, loops=2)
    run = replace(run_on(bag), every_output=False)
    result = offline(bag, tmp_path / "out", [run])
    rows = attributes(tmp_path / "out")
    assert len(rows) == 24 and rows[:12] == rows[12:] and any("jumped back" in text for text in result.warnings)
    assert not rows[0]["motion"] and rows[1]["motion"]


def test_sweeps_are_repeated_only_where_the_network_wants_it():
    points = np.array([[5, 0, 0, 1], [0.5, 0.5, 0, 1]], np.float32)
    assert len(SweepBuffer(9, True).add(points, 0.0, None)[0]) == 2 + 9
    assert len(SweepBuffer(1, False).add(points, 0.0, None)[0]) == 2
    buffer = SweepBuffer(2, False)
    counts = [len(buffer.add(points, i / 10, np.eye(4))[0]) for i in range(5)]
    assert counts == [2, 3, 4, 4, 4]  # the point at the vehicle is left out of earlier sweeps
    assert buffer.add(points, 0.6, np.eye(4))[1] is not None
    buffer.clear()
    assert buffer.add(points, 0.7, np.eye(4))[1] is None


def test_cells_follow_ros_rows_along_y_and_columns_along_x(tmp_path):
    from types import SimpleNamespace

    from perception_nodes.messages.detections import Detections3D
    from perception_nodes.systems.bevfusion.outputs import layer_encoder

    probability = np.zeros((1, 4, 3), np.float32)
    probability[0, 3, 0] = 0.7  # far ahead, on the right
    layers = BevMap(probability, ("divider",), (0.0, -3.0), 2.0)
    boxes = Detections3D.build("base_link", 5, [], [], [], [])
    given = SimpleNamespace(
        result=SimpleNamespace(layers=layers, boxes=boxes), config=build_config(BevFusionConfig, {})
    )
    values = layer_encoder("divider")(given)
    assert (values["info"]["width"], values["info"]["height"]) == (4, 3)
    assert values["data"].reshape(3, 4)[0].tolist() == [0, 0, 0, 70] and values["data"].sum() == 70
    assert values["info"]["origin"]["position"]["y"] == -3.0


def test_random_weights_run_by_name_and_say_so_and_unknown_models_are_one_sentence(monkeypatch):
    from models.errors import ModelError
    from tests.bevfusion.small import config

    monkeypatch.setitem(PRESETS, "small", lambda: config("camera", "lidar", "object", "map"))
    given = {"model.name": "random:small", "model.runtime": "torch", "cameras": list(CAMERAS)}
    runner = Runner(bevfusion.SYSTEM, build_config(BevFusionConfig, given))
    runner.warm_up()
    assert not runner.session.facts.trained and runner.networks[0].name == "random:small"
    with pytest.raises(ModelError, match="expected a bevfusion"):
        Runner(bevfusion.SYSTEM, build_config(BevFusionConfig, {"model.name": "random:camera-lite"}))
    with pytest.raises(ConfigError, match="cameras"):
        build_config(BevFusionConfig, {"cameras": []})


def test_bevfusion_lite_runs_in_the_system_and_takes_the_vehicles_motion(tmp_path):
    bag = write_bag(tmp_path / "bag")
    given = {"model.name": "random:bevfusion-lite-tiny", "model.runtime": "torch", "model.threads": 1}
    run = replace(run_on(bag, **given, **{"output.min_score": 0.0}), open_session=None)
    assert not offline(bag, tmp_path / "out", [run]).warnings
    rows = attributes(tmp_path / "out")
    assert [row["motion"] for row in rows] == [False, True, True, True]
    assert all(row["cameras"] == list(CAMERAS) and row["untrained"] and row["velocity"] for row in rows)
    assert len(messages(tmp_path / "out", "/perception/map/walkway")) == 4


def test_the_answer_is_read_back_from_its_bytes(tmp_path):
    bag = write_bag(tmp_path / "bag", frames=1)
    _, _, out = answer(tmp_path, bag)
    run = run_on(bag)
    with BagReader(out) as reader:
        (raw,) = [m.raw for m in reader.messages([ATTRIBUTES])]
    assert run.input_of_answer(raw) == ("points", START_NS)
    assert Frames().base == "base_link"
