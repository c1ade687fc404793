"""The decoder reads what drivers really send, and its rows stay aligned with the message."""

import array

import numpy as np
import pytest

from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.point_cloud import decode_point_cloud2
from tests.messages.clouds import cloud, field, xyzi

X = np.arange(6, dtype=np.float32)
XYZ = np.stack([X, -X, X / 2], -1)


def check(msg):
    decoded = decode_point_cloud2(msg)
    np.testing.assert_allclose(decoded.xyz, XYZ, atol=1e-6)
    assert decoded.xyz.dtype == np.float32 and decoded.intensity.dtype == np.float32
    assert (decoded.frame_id, decoded.stamp_ns, decoded.total) == ("lidar", 12_000_000_345, 6)
    return decoded


def test_the_plain_layout_is_read_without_a_copy():
    msg = cloud(xyzi())
    msg.data = np.frombuffer(msg.data, np.uint8)
    decoded = check(msg)
    np.testing.assert_allclose(decoded.intensity, X / 10, atol=1e-6)
    assert np.shares_memory(decoded.xyz, msg.data) and np.shares_memory(decoded.intensity, msg.data)
    assert decoded.rows is None and not decoded.capped and decoded.warnings == ()


@pytest.mark.parametrize(
    "kind", [bytes, bytearray, memoryview, lambda b: array.array("B", b), lambda b: np.frombuffer(b, np.uint8)]
)
def test_every_kind_of_byte_array_is_read(kind):
    msg = cloud(xyzi())
    msg.data = kind(msg.data)
    check(msg)


def test_field_order_padding_and_float64_axes_do_not_matter():
    columns = xyzi()
    columns["x"], columns["z"] = (8, X), (8, X / 2)
    check(cloud(columns, order=["intensity", "z", "x", "y"], step=64, pad_first=3))
    check(cloud({**columns, "y": (8, -X)}))


def test_big_endian_clouds_are_read():
    assert check(cloud(xyzi(), big=True)).intensity[1] == pytest.approx(0.1)


def test_organised_clouds_with_padded_rows_are_read_in_row_order():
    check(cloud(xyzi(), height=2, row_pad=5))
    check(cloud(xyzi(), height=3))


@pytest.mark.parametrize(
    ("datatype", "values", "expected"),
    [
        (2, [0, 51, 255, 0, 0, 0], [0, 0.2, 1, 0, 0, 0]),
        (4, [0, 13107, 65535, 0, 0, 0], [0, 0.2, 1, 0, 0, 0]),
        (7, [0, 0.25, 90, 0, 0, 0], [0, 0.25, 90, 0, 0, 0]),
        (8, [0, 0.25, 90, 0, 0, 0], [0, 0.25, 90, 0, 0, 0]),
    ],
)
def test_intensity_of_any_type_becomes_float32(datatype, values, expected):
    decoded = check(cloud(xyzi(intensity=(datatype, values))))
    np.testing.assert_allclose(decoded.intensity, expected, atol=1e-6)
    scaled = decode_point_cloud2(cloud(xyzi(intensity=(datatype, values))), intensity_scale=0.5)
    np.testing.assert_allclose(scaled.intensity, np.array(values) * 0.5, rtol=1e-6)


def test_missing_intensity_becomes_zeros_with_one_warning():
    columns = xyzi()
    del columns["intensity"]
    decoded = check(cloud(columns))
    assert not decoded.has_intensity and (decoded.intensity == 0).all() and decoded.intensity.shape == (6,)
    assert len(decoded.warnings) == 1 and "no intensity" in decoded.warnings[0]


def test_is_dense_is_not_believed():
    columns = xyzi()
    columns["y"] = (7, [0, np.nan, -2, np.inf, -4, -5])
    decoded = decode_point_cloud2(cloud(columns))
    assert decoded.finite.tolist() == [True, False, True, False, True, True]
    assert len(decoded) == 6  # rows stay: labels align with the message


def test_a_float64_beyond_float32_counts_as_not_finite():
    columns = {**xyzi(), "x": (8, [0, 1e300, 2, 3, 4, 5])}
    assert decode_point_cloud2(cloud(columns)).finite.tolist() == [True, False, True, True, True, True]


def test_an_empty_cloud_is_an_empty_result_with_its_header():
    for msg in (cloud({}), cloud(xyzi(0)), cloud(xyzi(0), height=0 or 1)):
        decoded = decode_point_cloud2(msg)
        assert len(decoded) == 0 and decoded.xyz.shape == (0, 3) and decoded.intensity.shape == (0,)
        assert decoded.frame_id == "lidar" and decoded.stamp_ns == 12_000_000_345 and "empty" in decoded.warnings[0]
        assert decoded.ring is None and decoded.time is None and decoded.finite.shape == (0,)


def test_too_many_points_are_thinned_evenly_and_always_alike():
    columns = {**xyzi(1000), "ring": (4, np.arange(1000) % 16)}
    first, second = (decode_point_cloud2(cloud(columns), max_points=300) for _ in range(2))
    assert first.capped and len(first) == 300 and "1000 points" in first.warnings[0]
    assert np.array_equal(first.rows, second.rows) and np.array_equal(first.xyz, second.xyz)
    assert set(np.diff(first.rows)) <= {3, 4} and first.rows[0] == 0
    assert np.array_equal(first.xyz[:, 0], first.rows.astype(np.float32))
    assert np.array_equal(first.ring, first.rows % 16)
    full = first.expand(np.full(300, 7, np.uint8), 255)
    assert full.shape == (1000,) and (full[first.rows] == 7).all() and (full == 255).sum() == 700
    assert decode_point_cloud2(cloud(columns), max_points=1000).rows is None


@pytest.mark.parametrize("name", ["ring", "channel", "laser_id", "line"])
@pytest.mark.parametrize("datatype", [2, 4, 5, 7])
def test_rings_are_found_under_the_drivers_names(name, datatype):
    decoded = check(cloud({**xyzi(), name: (datatype, [0, 1, 2, 3, 4, 31])}))
    assert decoded.ring.dtype == np.uint16 and decoded.ring.tolist() == [0, 1, 2, 3, 4, 31]


def test_rings_that_are_none_are_left_out():
    assert check(cloud({**xyzi(), "ring": (3, [0, -1, 2, 3, 4, 5])})).ring is None
    assert check(cloud({**xyzi(), "ring": (7, [0, np.nan, 2, 3, 4, 5])})).ring is None
    assert check(cloud(xyzi())).ring is None


STAMP_S = 12.000000345


@pytest.mark.parametrize(
    ("name", "datatype", "values"),
    [
        ("time", 7, np.arange(6) * 0.01),
        ("t", 6, np.arange(6) * 10_000_000),
        ("offset_time", 6, np.arange(6) * 10_000_000),
        ("time_stamp", 6, np.arange(6) * 10_000_000),
    ],
)
def test_relative_times_are_read_in_their_drivers_units(name, datatype, values):
    np.testing.assert_allclose(check(cloud({**xyzi(), name: (datatype, values)})).time, np.arange(6) * 0.01, atol=1e-6)


@pytest.mark.parametrize("unit", [1.0, 1e9])
def test_absolute_times_become_relative_to_the_stamp(unit):
    msg = cloud({**xyzi(), "timestamp": (8, (1.6e9 + np.arange(6) * 0.01) * unit)})
    msg.header.stamp.sec, msg.header.stamp.nanosec = 1_600_000_000, 50_000_000
    np.testing.assert_allclose(decode_point_cloud2(msg).time, np.arange(6) * 0.01 - 0.05, atol=1e-6)


def test_times_that_fit_no_sweep_are_left_out():
    for values in ([0, 1, 2, 3, 4, 500], [0, np.nan, 0, 0, 0, 0]):
        assert check(cloud({**xyzi(), "time": (7, values)})).time is None


def broken(**changes):
    msg = cloud(xyzi())
    for name, value in changes.items():
        setattr(msg, name, value)
    return msg


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"height": -1}, "height is -1"),
        ({"width": 2.0}, "integer"),
        ({"width": True}, "integer"),
        ({"width": 7}, "need 112"),
        ({"height": 2}, "data holds 96 bytes"),
        ({"width": 2**32}, "expected 0 to"),
        ({"point_step": 0}, "point_step is 0"),
        ({"point_step": 1_000_000}, "point_step is 1000000"),
        ({"point_step": 12}, "ends at byte 16"),
        ({"row_step": 95}, "data holds"),
        ({"row_step": None}, "row_step is None"),
        ({"data": b""}, "data holds 0 bytes"),
        ({"data": "text"}, "bytes were expected"),
        ({"data": np.zeros(24, np.float32)}, "uint8"),
        ({"is_bigendian": 3}, "is_bigendian"),
        ({"fields": None}, "list of PointField"),
        ({"fields": []}, "no field 'x'"),
        ({"fields": [field("x", 0, 7)] * 200}, "200 fields"),
        ({"fields": [field("x", 0, 7), field("x", 4, 7)]}, "listed twice"),
        ({"fields": [field("x", 0, 9)]}, "datatype 9"),
        ({"fields": [field(7, 0, 7)]}, "string was expected"),
        ({"fields": [field("x", 4294967295, 7)]}, "ends at byte"),
        ({"fields": [field("x", 0, 7, 4294967295)]}, "ends at byte"),
        ({"fields": [field("x", 0, 7), field("y", 2, 7), field("z", 8, 7)]}, "overlap"),
        ({"fields": [field("x", 0, 7), field("y", 4, 7), field("z", 8, 7), field("i", 10, 2)]}, "overlap"),
        ({"fields": [field("x", 0, 5), field("y", 4, 7), field("z", 8, 7)]}, "float32 or float64"),
        ({"fields": [field("x", 0, 7, 2), field("y", 8, 7), field("z", 12, 7)]}, "float32 x 2"),
        ({"header": None}, "no header"),
    ],
)
def test_a_malformed_message_is_refused_with_what_was_found(changes, words):
    with pytest.raises(MessageError, match=words):
        decode_point_cloud2(broken(**changes))


def test_a_stamp_or_frame_that_is_none_is_refused():
    for name, value in (("sec", "x"), ("nanosec", 10**9), ("nanosec", -1)):
        msg = cloud(xyzi())
        setattr(msg.header.stamp, name, value)
        with pytest.raises(MessageError, match=name):
            decode_point_cloud2(msg)
    msg = cloud(xyzi())
    msg.header.frame_id = b"lidar"
    with pytest.raises(MessageError, match="frame_id"):
        decode_point_cloud2(msg)


def test_overlaps_of_fields_that_are_not_read_do_not_matter():
    msg = cloud(xyzi(), step=24)
    msg.fields += [field("rgb", 16, 7), field("rgba", 16, 6)]
    check(msg)


def test_a_count_of_zero_is_one_as_in_pcl():
    msg = cloud(xyzi())
    for f in msg.fields:
        f.count = 0
    check(msg)
