"""Whatever the header says: a valid cloud or a MessageError, and no memory beyond what the message brought."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.point_cloud import append_layout, decode_point_cloud2
from tests.fuzzing import fuzzed
from tests.messages.clouds import cloud, field, xyzi

sizes = st.one_of(
    st.integers(0, 40),
    st.sampled_from([2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63, -1, 10**30]),
    st.sampled_from([None, 1.5, float("nan"), float("inf"), "4", True, b"x", [], np.uint32(4), np.float32(4)]),
)
names = st.one_of(
    st.sampled_from(["x", "y", "z", "intensity", "ring", "time", "t", "rgb"]), st.text("xyzt_\0é", max_size=3)
)
fields = st.builds(field, st.one_of(names, st.none()), sizes, st.one_of(st.integers(0, 10), sizes), sizes)
blobs = st.one_of(
    st.binary(max_size=400), st.sampled_from([None, "data", [1, 2], np.zeros(96), np.zeros((4, 24), "u1")])
)


def survives(msg):
    tracemalloc.start()
    try:
        decoded = decode_point_cloud2(msg, max_points=50)
        assert decoded.xyz.shape == (len(decoded), 3) and decoded.intensity.shape == (len(decoded),)
        assert decoded.finite.shape == (len(decoded),) and len(decoded) <= 50
        for extra in (decoded.ring, decoded.time):
            assert extra is None or extra.shape == (len(decoded),)
        labels = decoded.expand(np.zeros(len(decoded), np.uint8), 255)
        layout = append_layout(decoded.source, label=labels)
        assert len(layout.data) == layout.height * layout.row_step
    except MessageError as err:
        assert str(err)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 4_000_000, peak  # bytes; the messages here bring at most 400, imports and caches the rest


@fuzzed(50)
@given(st.data())
def test_any_one_or_two_numbers_of_a_good_message_may_be_wrong(data):
    msg = cloud({**xyzi(), "ring": (4, range(6)), "time": (7, np.zeros(6))}, height=2)
    for name in data.draw(st.lists(st.sampled_from(["height", "width", "point_step", "row_step"]), max_size=2)):
        setattr(msg, name, data.draw(sizes))
    if data.draw(st.booleans()):
        target = data.draw(st.sampled_from(msg.fields))
        name = data.draw(st.sampled_from(["offset", "datatype", "count", "name"]))
        setattr(target, name, data.draw(names if name == "name" else sizes))
    if data.draw(st.booleans()):
        msg.is_bigendian = data.draw(st.one_of(st.booleans(), sizes))
    survives(msg)


@fuzzed(50)
@given(sizes, sizes, sizes, sizes, st.lists(fields, max_size=5), blobs, st.one_of(st.booleans(), sizes), sizes, sizes)
def test_messages_of_arbitrary_numbers(height, width, point_step, row_step, some, data, big, sec, nanosec):
    header = SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id="lidar")
    survives(
        SimpleNamespace(
            header=header,
            height=height,
            width=width,
            fields=some,
            is_bigendian=big,
            point_step=point_step,
            row_step=row_step,
            data=data,
            is_dense=False,
        )
    )


@fuzzed(50)
@given(st.binary(min_size=96, max_size=96), st.permutations(["x", "y", "z", "intensity", "time"]), st.integers(0, 3))
def test_any_bytes_under_a_good_header_are_a_cloud(data, order, datatypes):
    columns = {n: (8 if (datatypes >> 1) & 1 and n == "y" else 7, np.zeros(3)) for n in order}
    msg = cloud(columns, order=order, step=32, big=bool(datatypes & 1))
    msg.data = data
    decoded = decode_point_cloud2(msg)
    assert len(decoded) == 3 and decoded.finite.dtype == bool


def test_objects_that_are_no_messages_are_refused():
    for thing in (None, 3, "text", object(), SimpleNamespace()):
        survives(thing)
