"""Clouds as DDS carries them: the same values as other decoders find, and damaged bytes are refused, never believed."""

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception_nodes.bags.typestore import from_bytes, to_bytes
from perception_nodes.messages.cloud_cdr import read_point_cloud2, write_point_cloud2
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.point_cloud import decode_point_cloud2, make_point_cloud2, point_cloud2_layout
from tests.fuzzing import fuzzed

KIND = "sensor_msgs/msg/PointCloud2"
VALUES = ("height", "width", "is_bigendian", "point_step", "row_step", "is_dense")


def layout(n=5, names=("intensity", "ring")):
    columns = {"xyz": np.arange(3 * n, dtype=np.float32).reshape(n, 3)}
    return point_cloud2_layout(columns | {name: np.arange(n, dtype=np.uint16) for name in names})


def told(message):
    fields = [(f.name, f.offset, f.datatype, f.count) for f in message.fields]
    stamp = message.header.stamp
    numbers = [getattr(message, name) for name in VALUES]
    return [stamp.sec, stamp.nanosec, message.header.frame_id, fields, *numbers, bytes(message.data)]


texts = st.text(st.characters(min_codepoint=1, exclude_categories=("Cs",)), max_size=9)


@fuzzed(50)
@given(st.integers(0, 9), st.lists(texts, max_size=4, unique=True), texts, st.integers(-(2**31), 2**31 - 1))
def test_what_is_written_is_read_alike_here_and_by_rosbags(n, names, frame_id, seconds):
    names = [name for name in names if name not in ("x", "y", "z", "xyz")]
    stamp_ns = seconds * 10**9 + 123
    made = layout(n, names)
    raw = write_point_cloud2(made, frame_id, stamp_ns)
    reference = make_point_cloud2(made, frame_id, stamp_ns)
    assert told(read_point_cloud2(raw)) == told(from_bytes(raw, KIND)) == told(reference)
    assert told(read_point_cloud2(bytes(to_bytes(reference)))) == told(reference)


@pytest.mark.ros
@pytest.mark.parametrize("frame_id", ["", "l", "li", "lid", "lidar"])
def test_it_is_what_rclpy_reads_and_writes(frame_id):
    from rclpy.serialization import deserialize_message, serialize_message
    from sensor_msgs.msg import PointCloud2

    raw = write_point_cloud2(layout(), frame_id, 7_000_000_001)
    message = deserialize_message(raw, PointCloud2)
    assert told(message) == told(read_point_cloud2(raw)) == told(read_point_cloud2(serialize_message(message)))


def test_the_points_are_not_copied():
    raw = write_point_cloud2(layout(), "lidar", 1)
    decoded = decode_point_cloud2(read_point_cloud2(raw))
    assert np.shares_memory(decoded.xyz, np.frombuffer(raw, np.uint8))
    assert not decoded.xyz.flags.writeable


def test_both_byte_orders_are_read():
    little = write_point_cloud2(layout(2, ()), "", 3_000_000_004)
    head = struct.pack(">iII", 3, 4, 1) + b"\0" + bytes(3) + struct.pack(">II", 1, 2)
    fields = b"".join(struct.pack(">I2sxxIBxxxI", 2, n, o, 7, 1) for n, o in ((b"x", 0), (b"y", 4), (b"z", 8)))
    rest = struct.pack(">BxxxIII", 0, 12, 24, 24) + layout(2, ()).data.tobytes() + b"\0"
    big = b"\0\0\0\0" + head + struct.pack(">I", 3) + fields + rest
    assert told(read_point_cloud2(big)) == told(read_point_cloud2(little))


@fuzzed(50)
@given(st.data())
def test_damaged_bytes_are_a_cloud_or_an_error_and_take_no_memory(data):
    raw = bytearray(write_point_cloud2(layout(), "lidar", 1_000_000_001))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] = data.draw(st.one_of(st.integers(0, 255), st.sampled_from([0, 1, 127, 255])))
    raw = bytes(raw[: data.draw(st.integers(0, len(raw)))]) + data.draw(st.binary(max_size=8))
    tracemalloc.start()
    try:
        decode_point_cloud2(read_point_cloud2(raw), max_points=50)
    except MessageError as error:
        assert str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 1_000_000


@fuzzed(50)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_cloud_or_an_error(raw):
    for begin in (b"", b"\0\1\0\0", b"\0\0\0\0"):
        try:
            decode_point_cloud2(read_point_cloud2(begin + raw))
        except MessageError as error:
            assert str(error)


def test_every_cut_is_refused():
    raw = write_point_cloud2(layout(), "lidar", 1)
    for end in range(len(raw)):
        with pytest.raises(MessageError):
            read_point_cloud2(raw[:end])


@pytest.mark.parametrize(
    ("at", "value", "sentence"),
    [
        (1, b"\7", "CDR"),
        (20, b"\xff", "UTF-8"),
        (12, b"\xff\xff\xff\x7f", "frame_id has 2147483647"),
        (32, b"\xff\0\0\0", "255 fields"),
    ],
)
def test_the_sentence_says_what_is_wrong(at, value, sentence):
    raw = bytearray(write_point_cloud2(layout(), "lidar", 1))
    raw[at : at + len(value)] = value
    with pytest.raises(MessageError, match=sentence):
        read_point_cloud2(bytes(raw))
