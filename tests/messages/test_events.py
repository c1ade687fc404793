"""Events and boxes of cameras there and back, and their markers; what is none is refused by name."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_nodes.bags.typestore import from_bytes, make, to_bytes
from perception_nodes.messages.detections2d import Detections2D, detections2d_values, read_detections2d
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.events import CameraEvent, event_state, event_values, read_event
from perception_nodes.messages.image_markers import image_marker_values
from tests.fuzzing import fuzzed

EVENT = CameraEvent(1_700_000_000_123_456_789, "front", "cut_out", 0.75, {"none": 0.25, "cut_out": 0.75}, True)
BOXES = Detections2D.build(
    "camera_front", 10**9, (200, 100), [[10, 20, 30, 60], [0, 0, 200, 100]], ["car", "person"], [0.5, 0.25], [7, ""]
)


def test_an_event_comes_back_with_its_stamp_to_the_nanosecond():
    assert read_event(make("std_msgs/msg/String", **event_values(EVENT))) == EVENT
    content = json.loads(event_values(EVENT)["data"])
    assert sorted(content) == ["camera", "event", "held", "score", "scores", "stamp", "warm"]


def test_while_warming_up_the_message_says_so_and_nothing_else():
    content = json.loads(event_values(CameraEvent.warming_up(5, "front"))["data"])
    assert content == {
        "stamp": 5, "camera": "front", "event": "warming_up", "score": 0.0, "scores": {}, "warm": False, "held": False,
    }  # fmt: skip
    assert read_event(SimpleNamespace(data=json.dumps(content))) == CameraEvent.warming_up(5, "front")


def test_scores_that_an_earlier_version_sent_while_warming_up_are_no_answer():
    content = json.loads(event_values(EVENT)["data"]) | {"warm": False}
    del content["held"]
    found = read_event(SimpleNamespace(data=json.dumps(content)))
    assert found == CameraEvent.warming_up(EVENT.stamp_ns, "front") and found.state == "warming_up"


def test_a_held_answer_is_marked_and_messages_without_the_mark_are_read():
    held = replace(EVENT, held=True)
    message = make("std_msgs/msg/String", **event_values(held))
    assert read_event(message) == held and event_state(to_bytes(message)) == "held"
    content = json.loads(event_values(EVENT)["data"])
    del content["held"]
    assert read_event(SimpleNamespace(data=json.dumps(content))).state == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stamp": 1.5}, "stamp is 1.5"),
        ({"camera": 3}, "camera 3"),
        ({"event": "jump"}, "'jump' among them"),
        ({"score": 2}, "the score is 2"),
        ({"score": True}, "the score is True"),
        ({"scores": {"cut_out": "x"}}, "the score of 'cut_out' is 'x'"),
        ({"scores": []}, "scores of all classes"),
        ({"warm": 1}, "warm 1"),
        ({"held": "no"}, "held 'no'"),
    ],
)
def test_what_is_no_event_is_refused_by_name(change, words):
    content = json.loads(event_values(EVENT)["data"]) | change
    with pytest.raises(MessageError, match=words):
        read_event(SimpleNamespace(data=json.dumps(content)))


@fuzzed(50)
@given(
    st.one_of(
        st.text(max_size=40), st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists).map(json.dumps)
    )
)
def test_foreign_text_is_one_kind_of_error(text):
    with pytest.raises(MessageError):
        read_event(SimpleNamespace(data=text))


def test_boxes_come_back_through_bytes():
    message = make("vision_msgs/msg/Detection2DArray", **detections2d_values(BOXES))
    found = read_detections2d(from_bytes(to_bytes(message), "vision_msgs/msg/Detection2DArray"), (200, 100))
    np.testing.assert_allclose(found.box, BOXES.box)
    assert (found.category, found.track, found.frame_id, found.stamp_ns) == (
        BOXES.category, BOXES.track, BOXES.frame_id, BOXES.stamp_ns,
    )  # fmt: skip
    np.testing.assert_allclose(found.score, BOXES.score)


def test_faint_boxes_are_left_out():
    sure = BOXES.above(0.3)
    assert sure.category == ("car",) and sure.box.tolist() == [[10, 20, 30, 60]] and sure.size == (200, 100)
    assert len(BOXES.above(0.9)) == 0


def test_boxes_that_are_none_are_refused():
    with pytest.raises(ValueError, match="2 boxes, 1 classes"):
        Detections2D.build("c", 0, (9, 9), np.zeros((2, 4)), ["car"])
    message = make("vision_msgs/msg/Detection2DArray", **detections2d_values(BOXES))
    message.detections[1].bbox.size_x = float("nan")
    with pytest.raises(MessageError, match="detection 1 has the box"):
        read_detections2d(message)
    message.detections[0].results = []
    with pytest.raises(MessageError, match="detection 0"):
        read_detections2d(message)


def test_markers_stand_on_a_plane_in_front_of_the_camera():
    values = image_marker_values(EVENT, "camera_front", (200, 100), (1, 2, 3), BOXES)
    message = make("visualization_msgs/msg/MarkerArray", **values)
    clear, text, *frames = message.markers
    assert clear.action == 3 and text.text == "cut_out 0.75" and text.header.frame_id == "camera_front"
    assert text.pose.position.y < -0.25 and len(frames) == 2
    whole = np.array([(p.x, p.y, p.z) for p in frames[1].points])
    np.testing.assert_allclose([whole.min(0), whole.max(0)], [(-0.5, -0.25, 1), (0.5, 0.25, 1)])
    assert len({m.ns + str(m.id) for m in (text, *frames)}) == 3
    cold = image_marker_values(CameraEvent.warming_up(1, "front"), "c", (200, 100), (1, 2, 3))
    assert cold["markers"][1]["text"] == "warming up"


@pytest.mark.parametrize("camera", ["../../x", "a/b", "", "..", "x" * 65, "front\n"])
def test_a_camera_whose_name_could_be_a_path_is_refused(camera):
    values = event_values(CameraEvent(1, camera, "a", 1.0, {"a": 1.0}, True))
    with pytest.raises(MessageError, match="camera"):
        read_event(SimpleNamespace(**values))
