"""Drives: frames at the LiDAR's rate, sensors and truth that agree, the same for the same seed at any thread count."""

import itertools
import os
import subprocess
import sys
import zlib

import numpy as np
import pytest

from perception_nodes.classes import BOX_CLASSES, EVENTS
from perception_nodes.simulator.drive import Drive
from perception_nodes.simulator.map_masks import rasterise
from perception_nodes.simulator.rigs import rig
from perception_nodes.simulator.scenarios import SCENARIOS, scenario_by_name


@pytest.fixture(scope="module")
def world():
    from perception_nodes.simulator.world import build_world

    return build_world(11, "suburb")


def drive(world, **options) -> Drive:
    return Drive("suburb_day", options.pop("rig", "vlp16"), 11, world=world, **({"cameras": False} | options))


def test_frames_come_every_tenth_of_a_second_and_end_when_they_should(world):
    with drive(world, seconds=0.5) as frames:
        got = list(frames)
    assert [f.index for f in got] == list(range(5))
    assert np.allclose([f.time for f in got], np.arange(5) / 10)
    moments = [f.snapshot.time for f in got]
    assert np.allclose(np.diff(moments), 0.1)
    assert all(f.sweep is not None and f.sweep.stamp == f.snapshot.time for f in got)


def test_half_a_second_of_the_nuscenes_rig_holds_ten_sweeps(world):
    with drive(world, rig="nuscenes", seconds=1.0, boxes=False) as frames:
        got = list(frames)
    assert len(got) == 20 and np.allclose([f.time for f in got], np.arange(20) / 20)
    assert np.allclose(np.diff([f.sweep.stamp for f in got]), 0.05)
    assert [f.index for f in got if f.key] == [0, 10]
    assert all(f.sweep.time.min() >= -0.05 for f in got)


def test_cameras_keep_a_rate_of_their_own_and_key_frames_have_pictures(world):
    options = {"rig": "nuscenes", "cameras": ("back",), "image_width": 32, "lidar": False, "boxes": False}
    with drive(world, seconds=1.0, **options) as frames:
        got = list(frames)
    pictured = [f.index for f in got if f.images]
    assert len(pictured) == 12 and {f.index for f in got if f.key} == {0, 10} <= set(pictured)
    assert set(np.diff(pictured)) == {1, 2}, "spread as evenly as 12 of 20 can be"
    with drive(world, seconds=1.0, camera_rate=2.0, **options) as frames:
        assert [f.index for f in frames if f.images] == [0, 10]


def test_cameras_fire_in_turn_before_the_sweep_ends(world):
    with drive(world, rig="nuscenes", cameras=True, image_width=32, seconds=0.05) as frames:
        frame = next(frames)
        delays = {c.name: c.delay for c in frames.cameras}
    for name, image in frame.images.items():
        assert frame.snapshot.time - image.snapshot.time == pytest.approx(delays[name])
        assert frame.image_time(name) == pytest.approx(-delays[name])
    assert len({round(i.snapshot.time, 6) for i in frame.images.values()}) == 6


def test_a_picture_is_drawn_from_where_the_vehicle_was_when_it_was_taken(world):
    """What the LiDAR measured of the standing world has its depth in the picture with the pose of that moment, and not
    with that of the sweep's stamp: at 10 m/s they lie 0.4 m apart."""
    options = {"rig": "nuscenes", "cameras": ("front",), "image_width": 400, "camera_rate": 2.0, "boxes": False}
    with drive(world, seconds=1.05, **options) as frames:
        frame = [f for f in frames if f.images][-1]
        spec, rig_ = frames.cameras[0], frames.rig
    assert frame.snapshot.ego.speed > 5.0, "it has to drive for the test to mean something"
    sweep, image = frame.sweep, frame.images["front"]
    standing = sweep.xyz[(sweep.instance == 0) & (sweep.xyz[:, 2] > -0.5)]  # walls, not the level road
    points = standing @ sweep.map_from_sensor[:3, :3].T + sweep.map_from_sensor[:3, 3]

    def error(pose) -> float:
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        ahead = local[local[:, 2] > 2.0]
        u = np.round(spec.fx * ahead[:, 0] / ahead[:, 2] + spec.cx).astype(int)
        v = np.round(spec.fy * ahead[:, 1] / ahead[:, 2] + spec.cy).astype(int)
        seen = (u >= 0) & (u < spec.width) & (v >= 0) & (v < spec.height)
        return float(np.median(image.depth[v[seen], u[seen]] - ahead[seen, 2]))

    moved = frame.snapshot.ego.speed * spec.delay
    assert abs(error(image.map_from_camera)) < 0.1 * moved
    assert abs(error(frame.snapshot.ego.map_from_base @ rig_.camera("front").base_from_camera)) > 0.4 * moved


def test_only_the_back_camera_of_nuscenes_sees_its_own_body(world):
    """As in the real pictures: the edge of the roof, along the bottom."""
    with drive(world, rig="nuscenes", cameras=True, image_width=160, lidar=False, seconds=0.05) as frames:
        images = next(frames).images
    own = {name: (image.depth < 0.9) & (image.semantic == 255) for name, image in images.items()}
    assert {name for name, mask in own.items() if mask.any()} == {"back"}
    rows = np.nonzero(own["back"])[0]
    assert rows.min() > 0.85 * own["back"].shape[0] and 0.005 < own["back"].mean() < 0.08
    assert not images["back"].instance[own["back"]].any()


def test_sweeps_are_compensated_where_the_imitated_data_set_is_and_where_asked_for(world):
    """What compensation does is tested in test_lidar; here, who gets it."""
    for name, expected in (("nuscenes", True), ("kitti", True), ("vlp16", False)):
        got = []
        for wish in (None, True, False):
            with drive(world, rig=name, boxes=False, compensate=wish) as frames:
                got.append(frames._lidar.compensate)
        assert got == [expected, True, False]


def test_a_closed_drive_gives_no_more_frames(world):
    frames = drive(world)
    next(frames)
    frames.close()
    assert list(frames) == []


def test_boxes_count_the_points_that_carry_their_track(world):
    with drive(world, rig="nuscenes", seconds=0.3) as frames:
        frame = list(frames)[-1]
    assert frame.boxes
    names = {c.name for c in BOX_CLASSES}
    for box in frame.boxes:
        assert box.category in names
        assert box.points == (frame.sweep.instance == box.track_id).sum()
    assert set(frame.events) <= set(EVENTS)


def test_points_of_an_object_lie_in_its_box(world):
    """At the stamp; a moving object's points were measured up to 50 ms before."""
    with drive(world, rig="nuscenes", seconds=0.3) as frames:
        frame = list(frames)[-1]
    sweep, checked = frame.sweep, 0
    points = sweep.xyz @ sweep.map_from_sensor[:3, :3].T + sweep.map_from_sensor[:3, 3]
    for box in frame.boxes:
        mine = points[sweep.instance == box.track_id]
        if len(mine) < 30:  # one mixed pixel at an edge counts for less
            continue
        c, s = np.cos(box.yaw), np.sin(box.yaw)
        local = (mine - box.centre) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        slack = 0.35 + 0.06 * np.hypot(*box.velocity)
        inside = (abs(local) <= np.asarray(box.size) / 2 + slack).all(1)
        least = 0.97 if min(box.size[:2]) > 0.6 else 0.9  # a narrow object has more mixed pixels
        assert inside.mean() > least, (box.category, inside.mean())
        checked += 1
    assert checked >= 3


def same(a, b) -> bool:
    names = ("xyz", "intensity", "ring", "time", "label", "instance")
    return all(np.array_equal(getattr(a.sweep, n), getattr(b.sweep, n)) for n in names)


def test_one_seed_one_drive_at_any_thread_count(world):
    drives = [list(drive(world, seconds=0.3, threads=n)) for n in (1, 2)]
    assert all(same(a, b) for a, b in zip(*drives))
    assert all(a.events == b.events and repr(a.boxes) == repr(b.boxes) for a, b in zip(*drives))


def test_a_new_process_drives_the_same():
    """Nothing hangs on the process: hash seeds, caches, thread count of numba."""
    script = (
        "import sys, zlib; sys.path.insert(0, '.');"
        "from perception_nodes.simulator.drive import Drive;"
        "f = [x for x in Drive('suburb_day', 'vlp16', 5, cameras=False, seconds=0.2)][-1];"
        "print(zlib.crc32(f.sweep.xyz.tobytes() + f.sweep.label.tobytes()), len(f.boxes))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "1", "NUMBA_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script]
    other = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment).stdout
    frame = list(Drive("suburb_day", "vlp16", 5, cameras=False, seconds=0.2, threads=2))[-1]
    crc = zlib.crc32(frame.sweep.xyz.tobytes() + frame.sweep.label.tobytes())
    assert other.split() == [str(crc), str(len(frame.boxes))]


def test_pictures_come_at_the_size_asked_for(world):
    with drive(world, rig="kitti", cameras=("left",), image_width=176, lidar=False, seconds=0.1) as frames:
        frame = next(frames)
        (spec,) = frames.cameras
    assert frame.sweep is None and set(frame.images) == {"left"}
    assert frame.images["left"].rgb.shape == (spec.height, 176, 3) == (53, 176, 3)
    with drive(world, rig="kitti", cameras=("right",), image_size=(88, 32), lidar=False) as frames:
        assert next(frames).images["right"].rgb.shape == (32, 88, 3)


def test_a_drive_goes_on_and_its_buffers_do_not_grow(world):
    frames = drive(world)
    sensor = frames._lidar
    for _ in itertools.islice(frames, 30):
        pass
    assert len(sensor._pool._root) < 400
    frames.close()


def test_names_of_scenarios_are_checked():
    assert scenario_by_name("random", 3) == scenario_by_name("random", 3)
    with pytest.raises(KeyError, match="suburb_day"):
        scenario_by_name("moonbase", 0)
    assert "suburb_day" in SCENARIOS
    assert scenario_by_name("rare", 3).style == scenario_by_name("random", 3).style
    with pytest.raises(KeyError, match="kitti"):
        Drive("suburb_day", "tank", 0)


def test_map_masks_hold_the_road_under_the_lanes(world):
    masks = rasterise(world, 0.5)
    road = masks.masks["drivable_area"]
    assert 0.02 < road.mean() < 0.7
    hits = []
    for lane in list(world.lanes.values())[:20]:
        column = ((lane.centre[:, 0] - masks.origin[0]) / masks.resolution).astype(int)
        row = ((lane.centre[:, 1] - masks.origin[1]) / masks.resolution).astype(int)
        inside = (row >= 0) & (row < road.shape[0]) & (column >= 0) & (column < road.shape[1])
        hits.append(road[row[inside], column[inside]].mean())
    assert np.mean(hits) > 0.97
    assert masks.masks["divider"].any() and masks.masks["walkway"].any()


def test_training_needs_no_more_than_numpy_and_numba():
    script = (
        "import sys; sys.path.insert(0, '.');"
        "import perception_nodes.simulator.lidar, perception_nodes.simulator.world,"
        " perception_nodes.simulator.traffic, perception_nodes.simulator.scenarios, perception_nodes.simulator.rigs;"
        "bad = {'cv2', 'torch', 'rosbags', 'rclpy', 'pydantic', 'rerun', 'rich'} & set(sys.modules); print(sorted(bad))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True).stdout
    assert out.strip() == "[]"


def test_every_rig_can_drive(world):
    for name in ("nuscenes", "kitti", "vlp16"):
        with drive(world, rig=name, seconds=0.1) as frames:
            sweep = next(frames).sweep
        assert 0.3 * rig(name).lidar.beams.rays < len(sweep) <= rig(name).lidar.beams.rays


def test_frames_are_the_same_whether_or_not_the_next_moments_are_found_ahead(world):
    """With several threads and a camera, traffic goes on beside the sensors; its frames stay in step."""
    options = {"rig": "vlp16", "cameras": True, "image_width": 64, "seconds": 0.3}
    one, two = (list(drive(world, threads=n, **options)) for n in (1, 2))
    assert [f.snapshot.time for f in one] == [f.snapshot.time for f in two]
    assert all(same(a, b) and repr(a.boxes) == repr(b.boxes) for a, b in zip(one, two))
    assert all(np.array_equal(a.images["front"].rgb, b.images["front"].rgb) for a, b in zip(one, two))
