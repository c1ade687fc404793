"""Clouds that go out: packed, readable by the decoder, the same points in the same order."""

import numpy as np
import pytest

from perception_nodes.bags.typestore import from_bytes, to_bytes
from perception_nodes.messages.cloud_fields import RawCloud
from perception_nodes.messages.point_cloud import (
    append_layout,
    decode_point_cloud2,
    fill_point_cloud2,
    make_point_cloud2,
    point_cloud2_layout,
)
from tests.messages.clouds import cloud, field, xyzi


def columns(n=7):
    rng = np.random.default_rng(3)
    return {
        "xyz": rng.normal(size=(n, 3)).astype(np.float32),
        "intensity": rng.random(n).astype(np.float32),
        "ring": np.arange(n, dtype=np.uint16),
        "time": np.linspace(0, 0.1, n, dtype=np.float32),
    }


def test_columns_survive_serialisation():
    values = columns()
    msg = make_point_cloud2(point_cloud2_layout(values), "lidar", 5_000_000_001)
    back = decode_point_cloud2(from_bytes(to_bytes(msg), msg.__msgtype__))
    assert (back.frame_id, back.stamp_ns, back.source.point_step) == ("lidar", 5_000_000_001, 22)
    assert np.array_equal(back.xyz, values["xyz"]) and np.array_equal(back.intensity, values["intensity"])
    assert np.array_equal(back.ring, values["ring"]) and np.array_equal(back.time, values["time"])


def test_every_datatype_survives():
    codes = ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"]
    values = {"xyz": np.ones((3, 3), np.float32), **{c: np.array([0, 1, 100], c) for c in codes}}
    back = decode_point_cloud2(make_point_cloud2(point_cloud2_layout(values), "a", 0)).source
    for code in codes:
        assert back.column(code).dtype == np.dtype(code) and back.column(code).tolist() == [0, 1, 100]


def test_columns_that_do_not_fit_are_refused_by_name():
    for bad, words in (
        ({"a": np.zeros(3), "b": np.zeros(4)}, "'b' has 4 rows"),
        ({"xyz": np.zeros((3, 2))}, r"\[N, 3\]"),
        ({"a": np.zeros((3, 1))}, "expected"),
        ({"a": np.zeros(3, np.int64)}, "int64"),
        ({"a": np.zeros(3, bool)}, "bool"),
    ):
        with pytest.raises(ValueError, match=words):
            point_cloud2_layout(bad)


def test_an_empty_cloud_can_be_sent_and_read():
    layout = point_cloud2_layout({"xyz": np.zeros((0, 3), np.float32), "label": np.zeros(0, np.uint8)})
    assert len(decode_point_cloud2(make_point_cloud2(layout, "lidar", 1))) == 0
    empty = decode_point_cloud2(cloud({})).source
    layout = append_layout(empty, label=np.zeros(0, np.uint8))
    assert len(decode_point_cloud2(make_point_cloud2(layout, "lidar", 1))) == 0


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("height", [1, 2])
def test_labels_stand_beside_the_very_same_bytes(big, height):
    msg = cloud(xyzi(), big=big, height=height, row_pad=3, step=21)
    source = decode_point_cloud2(msg)
    label, score = np.arange(6, dtype=np.uint8), np.linspace(0, 1, 6, dtype=np.float32)
    layout = append_layout(source.source, label=label, score=score)
    out = decode_point_cloud2(make_point_cloud2(layout, source.frame_id, source.stamp_ns))
    assert (layout.height, layout.width, layout.point_step) == (height, 6 // height, 26)
    assert np.array_equal(out.xyz, source.xyz) and np.array_equal(out.intensity, source.intensity)
    assert np.array_equal(out.source.column("label"), label)
    assert np.array_equal(out.source.column("score").astype(np.float32), score)
    old = np.frombuffer(msg.data, np.uint8).reshape(height, -1)[:, : 6 // height * 21].reshape(6, 21)
    assert np.array_equal(layout.data.reshape(6, 26)[:, :21], old)


def test_a_field_named_label_gives_way_to_the_new_one():
    source = decode_point_cloud2(cloud({**xyzi(), "label": (6, np.full(6, 77))}))
    layout = append_layout(source.source, label=np.full(6, 5, np.uint8))
    out = decode_point_cloud2(make_point_cloud2(layout, "lidar", 0)).source
    assert out.fields["label"].dtype == np.uint8 and (out.column("label") == 5).all()


def test_labels_of_another_count_are_refused():
    with pytest.raises(ValueError, match="6 points"):
        append_layout(decode_point_cloud2(cloud(xyzi())).source, label=np.zeros(5, np.uint8))


def test_rclpy_messages_are_filled_and_read_alike():
    msgs = pytest.importorskip("sensor_msgs.msg")
    values = columns()
    layout = point_cloud2_layout(values)
    msg = fill_point_cloud2(msgs.PointCloud2(), layout, "lidar", 7_000_000_003)
    back = decode_point_cloud2(msg)
    assert np.array_equal(back.xyz, values["xyz"]) and back.stamp_ns == 7_000_000_003
    assert np.shares_memory(back.xyz, np.frombuffer(msg.data, np.uint8))
    labelled = fill_point_cloud2(msgs.PointCloud2(), append_layout(back.source, label=np.ones(7, np.uint8)), "l", 1)
    assert (decode_point_cloud2(labelled).source.column("label") == 1).all()


def test_rosbags_messages_are_filled_in_place_too():
    msg = make_point_cloud2(point_cloud2_layout(columns(3)), "a", 1)
    fill_point_cloud2(msg, point_cloud2_layout(columns(5)), "b", 2)
    assert len(decode_point_cloud2(msg)) == 5 and msg.header.frame_id == "b" and msg.fields[0].name == "x"


def test_fields_keep_their_counts_when_labels_are_added():
    msg = cloud(xyzi(), step=28)
    msg.fields.append(field("normal", 16, 7, 3))
    layout = append_layout(decode_point_cloud2(msg).source, label=np.zeros(6, np.uint8))
    assert ("normal", 16, 7, 3) in layout.fields and layout.fields[-1] == ("label", 28, 2, 1)


@pytest.mark.parametrize("point_step", [0, 16, 2**31, 2**32 - 1])
def test_an_empty_cloud_of_any_point_step_gets_its_columns(point_step):
    raw = RawCloud(0, 0, point_step, 0, False, {}, np.zeros(0, np.uint8))
    layout = append_layout(raw, label=np.zeros(0, np.uint8), score=np.zeros(0, np.float32))
    assert len(layout.data) == 0 and layout.point_step < 2**16
