"""TF, odometry, boxes, markers, grids, class tables, events: to messages of both kinds and back; nonsense refused."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_nodes.bags.typestore import from_bytes, make, to_bytes
from perception_nodes.calibration.se3 import from_euler
from perception_nodes.classes import POINT_CLASSES
from perception_nodes.messages.assign import fill
from perception_nodes.messages.class_table import class_table_values, label_info_values, read_class_table
from perception_nodes.messages.clock import clock_values, events_values, read_clock, read_events
from perception_nodes.messages.detections import (
    Detections3D,
    attributes_values,
    detections3d_values,
    read_detections3d,
)
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.events import read_event
from perception_nodes.messages.grid import Grid, grid_values, read_grid
from perception_nodes.messages.markers import marker_array_values
from perception_nodes.messages.odometry import Odometry, odometry_values, read_odometry
from perception_nodes.messages.transforms import Transform, read_transforms, tf_values
from tests.fuzzing import fuzzed

POSE = from_euler(0.1, -0.2, 2.0, (3.0, -4.0, 5.0))


def both_kinds(type_name, values):
    """The message as rosbags gives it after serialisation, and as rclpy holds it (where its package is there)."""
    msg = make(type_name, **values)
    out = [from_bytes(to_bytes(msg), type_name)]
    package, _, name = type_name.split("/")
    try:
        module = __import__(f"{package}.msg", fromlist=[name])
    except ImportError:
        return out
    return [*out, fill(getattr(module, name)(), values)]


def test_transforms_survive():
    links = [Transform("base_link", "lidar", POSE, 7_000_000_001), Transform("map", "base_link", np.eye(4))]
    for msg in both_kinds("tf2_msgs/msg/TFMessage", tf_values(links)):
        back = read_transforms(msg)
        assert [(t.parent, t.child, t.stamp_ns) for t in back] == [
            ("base_link", "lidar", 7_000_000_001),
            ("map", "base_link", 0),
        ]
        np.testing.assert_allclose(back[0].parent_from_child, POSE, atol=1e-12)


def test_transforms_that_are_none_are_refused():
    good = tf_values([Transform("a", "b", POSE)])
    for change, words in (
        ({"x": 0.0, "y": 0.0, "z": 0.0, "w": 0.0}, "not a rotation"),
        ({"x": np.nan, "y": 0.0, "z": 0.0, "w": 1.0}, "not a rotation"),
    ):
        good["transforms"][0]["transform"]["rotation"] = change
        with pytest.raises(MessageError, match=words):
            read_transforms(make("tf2_msgs/msg/TFMessage", **good))
    good = tf_values([Transform("a", "b", POSE)])
    good["transforms"][0]["transform"]["translation"]["x"] = np.inf
    with pytest.raises(MessageError, match="not a translation"):
        read_transforms(make("tf2_msgs/msg/TFMessage", **good))
    with pytest.raises(MessageError, match="need a name"):
        read_transforms(make("tf2_msgs/msg/TFMessage", **tf_values([Transform("a", "", POSE)])))
    with pytest.raises(MessageError, match="no list"):
        read_transforms(SimpleNamespace())


def test_odometry_survives():
    odometry = Odometry("map", "base_link", POSE, (1.0, 2.0, 3.0), (0.0, 0.0, 0.5), 9_000_000_000)
    for msg in both_kinds("nav_msgs/msg/Odometry", odometry_values(odometry)):
        back = read_odometry(msg)
        np.testing.assert_allclose(back.parent_from_child, POSE, atol=1e-12)
        assert (back.linear, back.angular, back.stamp_ns) == (odometry.linear, odometry.angular, 9_000_000_000)
        msg.twist.twist.linear.x = float("nan")
        with pytest.raises(MessageError, match="velocity"):
            read_odometry(msg)


def boxes():
    return Detections3D.build(
        "base_link",
        5_000_000_007,
        [[1, 2, 3], [4, 5, 6]],
        [[4, 2, 1.5], [0.6, 0.6, 1.8]],
        [0.3, -2.0],
        ["car", "pedestrian"],
        velocity=[[1.0, 0.0], [np.nan, np.nan]],
        score=[0.9, 0.4],
        track=[3, 4],
        points=[5, -1],
        visibility=[0.8, np.nan],
    )


def test_boxes_survive_with_their_attributes():
    source = boxes()
    msg = make("vision_msgs/msg/Detection3DArray", **detections3d_values(source))
    attributes = make("std_msgs/msg/String", **attributes_values(source))
    back = read_detections3d(from_bytes(to_bytes(msg), msg.__msgtype__), attributes)
    for name in ("centre", "size", "yaw", "velocity", "score", "points", "visibility"):
        np.testing.assert_allclose(getattr(back, name), getattr(source, name), atol=1e-9, err_msg=name)
    assert back.category == source.category and back.track == ("3", "4")
    alone = read_detections3d(msg)
    assert np.isnan(alone.velocity).all() and (alone.points == -1).all()
    late = make("std_msgs/msg/String", **attributes_values(Detections3D.build("a", 1, [], [], [], [])))
    with pytest.raises(MessageError, match="not of the boxes' stamp"):
        read_detections3d(msg, late)


def test_no_boxes_are_a_message_too():
    empty = Detections3D.build("base_link", 1, [], [], [], [])
    assert len(read_detections3d(make("vision_msgs/msg/Detection3DArray", **detections3d_values(empty)))) == 0
    assert len(marker_array_values(empty)["markers"]) == 1


def test_a_detection_without_a_hypothesis_is_refused():
    msg = make("vision_msgs/msg/Detection3DArray", detections=[{}])
    with pytest.raises(MessageError, match="detection 0"):
        read_detections3d(msg)


def test_boxes_of_wrong_shape_are_refused():
    with pytest.raises(ValueError, match="size has shape"):
        Detections3D.build("a", 0, [[0, 0, 0]], [[1, 1]], [0], ["car"])


def test_corners_of_a_turned_box():
    box = Detections3D.build("a", 0, [[10, 0, 1]], [[4, 2, 2]], [np.pi / 2], ["car"])
    corners = box.corners()[0]
    np.testing.assert_allclose(corners[0], [9, 2, 0], atol=1e-12)  # front left: ahead is +y, left is -x
    np.testing.assert_allclose(corners[6], [11, -2, 2], atol=1e-12)  # rear right, top


def test_markers_show_boxes_names_and_speeds():
    values = marker_array_values(boxes())
    for msg in both_kinds("visualization_msgs/msg/MarkerArray", values):
        clear, car, name, arrow, person, person_name = msg.markers
        assert (
            clear.action == 3 and len(car.points) == 28 and name.text == "car 3" and person_name.text == "pedestrian 4"
        )
        assert arrow.type == 0 and arrow.points[1].x - arrow.points[0].x == pytest.approx(1.0)
        assert person.color.b == pytest.approx(230 / 255, abs=1e-6) and car.lifetime.nanosec == 500_000_000
        assert len({(m.ns, m.id) for m in msg.markers[1:]}) == 5


def test_grids_survive():
    mask = np.arange(20).reshape(4, 5) % 3 == 0
    grid = Grid(mask, 0.5, (-1.0, 2.0), 0.3, "map", 5_000_000_000)
    for msg in both_kinds("nav_msgs/msg/OccupancyGrid", grid_values(grid)):
        back = read_grid(msg)
        assert np.array_equal(back.mask, mask) and back.origin == (-1.0, 2.0) and back.frame_id == "map"
        assert back.yaw == pytest.approx(0.3) and back.resolution == pytest.approx(0.5)
        msg.info.width = 6
        with pytest.raises(MessageError, match="4 x 6"):
            read_grid(msg)


def test_class_tables_survive_in_both_forms():
    for msg in both_kinds("std_msgs/msg/String", class_table_values(POINT_CLASSES)):
        assert tuple(read_class_table(msg).values()) == POINT_CLASSES
    msg = make("vision_msgs/msg/LabelInfo", **label_info_values(POINT_CLASSES))
    assert [c.name for c in read_class_table(msg).values()] == [c.name for c in POINT_CLASSES]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"classes": 3}', '{"classes": [3]}', '{"classes": [{"id": 1.5, "name": "a"}]}',
             '{"classes": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}', '{"classes": [{"id": 1, "name": ""}]}',
             '{"classes": [{"id": 1, "name": "a", "rgb": [0, 0, 300]}]}', "[" * 100_000]
)  # fmt: skip
def test_class_tables_that_are_none_are_refused(text):
    with pytest.raises(MessageError):
        read_class_table(make("std_msgs/msg/String", data=text))


def test_events_and_clock_survive():
    for msg in both_kinds("std_msgs/msg/String", events_values(["ego_braking", "cut_out"])):
        assert read_events(msg) == ("ego_braking", "cut_out")
    for msg in both_kinds("rosgraph_msgs/msg/Clock", clock_values(12_000_000_034)):
        assert read_clock(msg) == 12_000_000_034
    with pytest.raises(MessageError, match="events"):
        read_events(make("std_msgs/msg/String", data='{"events": "none"}'))


def test_unknown_fields_are_refused_by_name():
    with pytest.raises(TypeError, match="no field 'text'; its fields are data"):
        make("std_msgs/msg/String", text="a")
    with pytest.raises(KeyError, match="nowhere"):
        make("nowhere/msg/Nothing")
    std = pytest.importorskip("std_msgs.msg")
    with pytest.raises(AttributeError, match="'text'"):
        fill(std.String(), {"text": "a"})
    with pytest.raises(TypeError, match="make"):
        fill(make("std_msgs/msg/String"), {"data": "a"})


def test_json_with_half_a_surrogate_pair_or_without_an_end_is_refused():
    """OpenCV's putText ends the process at a lone surrogate in a class name."""
    for text in ('{"classes": [{"id": 0, "name": "\\ud800"}]}', "[" * 100_000, "9" * 5000, "{"):
        with pytest.raises(MessageError):
            read_class_table(SimpleNamespace(data=text))


def test_attributes_of_another_shape_are_a_message_error():
    boxes = Detections3D.build("map", 5, [[0, 0, 0]], [[1, 1, 1]], [0.0], ["car"])
    msg = make("vision_msgs/msg/Detection3DArray", **detections3d_values(boxes))
    for velocity in ("[[1,2,3]]", "[1]", '["a"]', "[[[1,2]]]", "[{}]"):
        text = f'{{"stamp_ns":5,"velocity":{velocity},"visibility":[null],"points":[null]}}'
        with pytest.raises(MessageError):
            read_detections3d(msg, SimpleNamespace(data=text))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["front", "car"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["classes", "id", "name", "rgb", "stamp_ns", "velocity", "points", "visibility", "events"])
            | st.sampled_from(["camera", "event", "scores", "score", "warm", "stamp"]),
            inner,
            max_size=6,
        )
    ),
    max_leaves=15,
)


@fuzzed(60)
@given(JSON_VALUES)
def test_any_json_is_an_answer_or_a_message_error(content):
    message = SimpleNamespace(data=json.dumps(content))
    boxes = Detections3D.build("map", 5, [[0, 0, 0]], [[1, 1, 1]], [0.0], ["car"])
    array = make("vision_msgs/msg/Detection3DArray", **detections3d_values(boxes))
    for read in (read_class_table, read_event, read_events, lambda m: read_detections3d(array, m)):
        try:
            read(message)
        except MessageError as error:
            assert str(error)


@fuzzed(60)
@given(st.text(alphabet='[]{}",:0123456789eE+-.\\ud8truefalsn ', max_size=60))
def test_any_text_is_json_or_a_message_error(text):
    try:
        read_events(SimpleNamespace(data=text))
    except MessageError as error:
        assert str(error)
