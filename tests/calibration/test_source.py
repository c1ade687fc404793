"""The calibration source: from bytes, messages or a rig; what is missing is named, what changes grows the version."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_nodes.bags.typestore import make, to_bytes
from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.links import MAX_HISTORY, MovingLink
from perception_nodes.calibration.rig_file import CameraMount, LidarMount, RigFile
from perception_nodes.calibration.se3 import from_euler, interpolate, invert
from perception_nodes.calibration.source import CalibrationSource
from perception_nodes.calibration.tree import MAX_FRAMES, TransformTree
from perception_nodes.messages.calibration_cdr import read_serialized_camera_info, read_serialized_transforms
from perception_nodes.messages.camera_info import CameraModel, camera_info_values
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.transforms import Transform, tf_values

S = 1_000_000_000
BASE_LIDAR = from_euler(0.01, 0.02, 0.0, (0.9, 0, 1.8))
BASE_CAMERA = from_euler(-1.5, 0.0, -1.5, (1.7, 0, 1.5))
K = np.array([[800.0, 0, 400], [0, 800, 300], [0, 0, 1]])
CAMERA = CameraModel(800, 600, K, np.zeros(5), "plumb_bob", "camera_optical")


def tf(*transforms, raw=False):
    message = make("tf2_msgs/msg/TFMessage", **tf_values(transforms))
    return to_bytes(message) if raw else message


def info(camera=CAMERA, raw=False, **changes):
    message = make("sensor_msgs/msg/CameraInfo", **{**camera_info_values(camera), **changes})
    return to_bytes(message) if raw else message


def static(raw=False):
    return tf(Transform("base", "lidar", BASE_LIDAR), Transform("base", "camera_optical", BASE_CAMERA), raw=raw)


@pytest.mark.parametrize("raw", [False, True])
def test_tf_and_camera_info_give_the_same_as_messages_and_as_bytes(raw):
    source = CalibrationSource()
    source.add_tf_static(static(raw))
    source.add_camera_info("front", info(raw=raw))
    np.testing.assert_allclose(source.lookup("camera_optical", "lidar"), invert(BASE_CAMERA) @ BASE_LIDAR, atol=1e-12)
    model = source.camera("front", (800, 600))
    np.testing.assert_array_equal(model.k, K)
    assert (model.width, model.height, model.frame_id, model.model) == (800, 600, "camera_optical", "plumb_bob")
    assert list(source.cameras()) == ["front"] and not source.is_moving("base", "lidar")


def test_a_model_is_rescaled_to_the_picture():
    source = CalibrationSource()
    source.add_camera_info("front", info())
    model = source.camera("front", (400, 300))
    assert (model.k[0, 0], model.k[0, 2]) == (400.0, 199.75)
    with pytest.raises(CalibrationError, match=r"camera 'front'.*800 x 600.*800 x 300"):
        source.camera("front", (800, 300))


def test_a_rig_gives_all_and_is_not_replaced_by_topics():
    rig = RigFile(
        "r", "base", (LidarMount("l", "lidar", "/l", BASE_LIDAR),), (CameraMount("front", "/c", BASE_CAMERA, CAMERA),)
    )
    source = CalibrationSource(rig)
    version = source.version
    source.add_tf_static(tf(Transform("base", "lidar", np.eye(4)), Transform("map", "base", BASE_LIDAR)))
    source.add_camera_info("front", info(CameraModel(640, 480, K, np.zeros(5), "plumb_bob", "x")))
    np.testing.assert_array_equal(source.lookup("base", "lidar"), BASE_LIDAR)
    assert source.camera("front", (800, 600)).frame_id == "camera_optical"
    np.testing.assert_allclose(source.lookup("map", "base"), BASE_LIDAR, atol=1e-12)  # what the rig does not say
    assert source.version == version + 1


def test_what_is_missing_is_named_with_how_to_give_it():
    source = CalibrationSource()
    with pytest.raises(
        CalibrationError, match=r"base <- lidar.*is not in the TF tree.*publish it on /tf_static or give a rig"
    ):
        source.lookup("base", "lidar")
    with pytest.raises(CalibrationError, match=r"camera 'left' has no calibration: no CameraInfo.*cameras\.left"):
        source.camera("left", (800, 600))
    source.add_tf_static(tf(Transform("base", "lidar", BASE_LIDAR)))
    source.add_camera_info("front", info())
    found = source.missing("base", ["lidar", "radar"], ["front", "left"])
    assert found.keys() == {"radar", "front", "left"}
    assert "'camera_optical' is not in the TF tree" in found["front"] and "no CameraInfo" in found["left"]


def test_a_camera_info_that_cannot_be_used_takes_the_model_away_and_says_why():
    source = CalibrationSource()
    source.add_camera_info("front", info())
    version = source.version
    with pytest.raises(MessageError, match="uncalibrated"):
        source.add_camera_info("front", info(k=np.zeros(9)))
    with pytest.raises(CalibrationError, match=r"camera 'front' has no calibration.*uncalibrated"):
        source.camera("front", (800, 600))
    assert source.version == version + 1
    source.add_camera_info("front", info())
    assert source.camera("front", (800, 600)).width == 800


def test_a_camera_without_a_frame_takes_the_images_or_is_refused():
    source = CalibrationSource()
    source.add_camera_info("front", info(CameraModel(800, 600, K, np.zeros(5), "plumb_bob", "")))
    assert source.camera("front", (800, 600), "/from_image").frame_id == "from_image"
    with pytest.raises(CalibrationError, match="has no frame"):
        source.camera("front", (800, 600))


def test_the_version_grows_only_when_a_value_really_changes():
    source = CalibrationSource()
    seen = [source.version]

    def grew():
        seen.append(source.version)
        return seen[-1] != seen[-2]

    source.add_tf_static(static())
    assert grew()
    source.add_tf_static(static(raw=True))
    assert not grew()
    source.add_camera_info("front", info())
    assert grew()
    source.add_camera_info("front", info(header={"stamp": {"sec": 9, "nanosec": 0}, "frame_id": "camera_optical"}))
    assert not grew()
    source.add_tf(tf(Transform("map", "base", np.eye(4), S)))
    assert grew()  # the tree has a new link
    source.add_tf(tf(Transform("map", "base", BASE_LIDAR, 2 * S)))
    assert not grew() and source.is_moving("map", "lidar") and not source.is_moving("base", "lidar")
    source.add_tf_static(tf(Transform("base", "lidar", BASE_CAMERA)))
    assert grew()
    source.add_camera_info(
        "front", info(CameraModel(800, 600, K * [[2], [2], [1]], np.zeros(5), "plumb_bob", "camera_optical"))
    )
    assert grew()


def test_moving_links_are_interpolated_and_refused_outside_what_came():
    source = CalibrationSource()
    a, b = from_euler(0, 0, 0.0, (0, 0, 0)), from_euler(0, 0, 0.4, (2, 0, 0))
    source.add_tf(tf(Transform("map", "base", a, 10 * S)))
    source.add_tf(tf(Transform("map", "base", b, 11 * S), raw=True))
    np.testing.assert_allclose(
        source.lookup("map", "base", 10 * S + S // 4), from_euler(0, 0, 0.1, (0.5, 0, 0)), atol=1e-9
    )
    np.testing.assert_array_equal(source.lookup("map", "base"), b)
    np.testing.assert_array_equal(source.lookup("map", "base", 11 * S), b)
    with pytest.raises(CalibrationError, match=r"map <- base.*0\.500 s before the oldest"):
        source.lookup("map", "base", 9 * S + S // 2)
    with pytest.raises(CalibrationError, match=r"map <- base.*0\.500 s after the newest"):
        source.lookup("map", "base", 11 * S + S // 2)


def test_a_time_jump_clears_tf_and_keeps_what_is_fixed():
    source = CalibrationSource()
    source.add_tf_static(static())
    source.add_tf(tf(Transform("map", "base", BASE_LIDAR, 100 * S)))
    source.time_jumped()
    with pytest.raises(CalibrationError, match="nothing has come on /tf for map <- base since time was set back"):
        source.lookup("map", "lidar", 100 * S)
    assert source.lookup("base", "lidar") is not None
    source.add_tf(tf(Transform("map", "base", np.eye(4), 1 * S)))
    np.testing.assert_array_equal(source.lookup("map", "base", 1 * S), np.eye(4))


def test_a_looped_bag_restarts_its_moving_links_by_itself():
    source = CalibrationSource()
    for _ in range(3):
        for i in range(50):
            source.add_tf(tf(Transform("map", "base", from_euler(0, 0, 0, (i, 0, 0)), (10 + i) * S // 10)))
        assert source.lookup("map", "base", 3 * S)[0, 3] == pytest.approx(20.0)
        with pytest.raises(CalibrationError, match="after the newest"):
            source.lookup("map", "base", 7 * S)


def test_one_bad_transform_of_a_message_costs_itself_alone():
    source = CalibrationSource()
    with pytest.raises(CalibrationError, match="closes a cycle"):
        source.add_tf_static(
            tf(
                Transform("base", "a", BASE_LIDAR),
                Transform("a", "base", np.eye(4)),
                Transform("base", "b", BASE_LIDAR),
            )
        )
    assert source.lookup("a", "b").shape == (4, 4)


def test_memory_is_bounded():
    link = MovingLink("map", "base")
    for i in range(3 * MAX_HISTORY):
        link.add(Transform("map", "base", np.eye(4), i))
    assert len(link._transforms) == MAX_HISTORY
    for i in range(30):
        link.add(Transform("map", "base", np.eye(4), (100 + i) * S))
    assert len(link._transforms) == 11  # of the last ten seconds
    tree = TransformTree(Transform("base", f"frame{i}", np.eye(4)) for i in range(MAX_FRAMES))
    with pytest.raises(CalibrationError, match="1000 frames"):
        tree.add(Transform("base", "another", np.eye(4)))


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1), *(st.tuples(*[st.floats(-3, 3)] * 6) for _ in range(2)))
def test_interpolation_is_rigid_keeps_the_ends_and_goes_the_short_way(part, one, two):
    a, b = (from_euler(*row[:3], row[3:]) for row in (one, two))
    between = interpolate(a, b, part)
    np.testing.assert_allclose(between[:3, :3] @ between[:3, :3].T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(interpolate(a, b, 0.0), a, atol=1e-7)
    np.testing.assert_allclose(interpolate(a, b, 1.0), b, atol=1e-7)

    def turn(x, y):
        return np.arccos(np.clip((np.trace(x[:3, :3].T @ y[:3, :3]) - 1) / 2, -1, 1))

    assert turn(a, between) == pytest.approx(part * turn(a, b), abs=1e-3)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_bytes_that_are_damaged_raise_message_errors_alone(data):
    read, raw = data.draw(
        st.sampled_from([(read_serialized_transforms, static(raw=True)), (read_serialized_camera_info, info(raw=True))])
    )
    damaged = bytearray(raw[: data.draw(st.integers(0, len(raw)))])
    for place in data.draw(st.lists(st.integers(0, max(0, len(damaged) - 1)), max_size=4)):
        if damaged:
            damaged[place] = data.draw(st.integers(0, 255))
    try:
        read(bytes(damaged))
    except MessageError:
        pass


def test_a_big_endian_tf_is_read():
    import struct

    text = lambda name: struct.pack(">I", len(name) + 1) + name.encode() + b"\0"  # noqa: E731
    body = struct.pack(">I", 1) + struct.pack(">iI", 3, 5) + text("bas") + text("cam")
    body += bytes(-len(body) % 8) + struct.pack(">7d", 1, 2, 3, 0, 0, 0, 1)
    (found,) = read_serialized_transforms(b"\0\0\0\0" + body)
    assert (found.parent, found.child, found.stamp_ns) == ("bas", "cam", 3 * S + 5)
    np.testing.assert_array_equal(found.parent_from_child[:3, 3], [1, 2, 3])
