"""The rendered video cache: its format, the choice of what is drawn, and the projected boxes."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.facts import ModelError
from perception_nodes.classes import EVENTS
from perception_nodes.simulator.camera import CameraImage
from perception_nodes.simulator.rigs import rig
from perception_nodes.simulator.scene import ActorState, EgoState, Mesh, Shape, Snapshot
from training.common.outlines import projected
from training.video.boxes import BoxTracker
from training.video.cache import ClipFacts, FrameBoxes, VideoCache, write_clip
from training.video.clips import EventClips
from training.video.frame_lists import cache_videos
from training.video.world import BUDGET, QUIET, drives, scenario_of, windows

CAMERA = rig("nuscenes").camera("front").resized(384, 192)


def facts(events, seed=5):
    return ClipFacts(seed, "free", "nuscenes", "front", "day", "clear", 2.0, (24, 48), 5.0, tuple(events))


def empty_boxes() -> FrameBoxes:
    return BoxTracker(CAMERA).boxes()


def cache(root: Path, split: str = "train") -> Path:
    """Two clips of 10 frames whose brightness says the frame number."""
    for k, name in enumerate(("cut_in_from_left", "person_crossing_right_to_left")):
        events = [() if i < 6 else (name, "ego_braking") for i in range(10)]
        images = [np.full((24, 48, 3), 20 * i + 5, np.uint8) for i in range(10)]
        write_clip(root / split / f"00000{k}_0", facts(events, k), images, empty_boxes())
    return root


def test_a_clip_round_trips(tmp_path: Path):
    clips = VideoCache(cache(tmp_path), "train")
    assert [len(c) for c in clips] == [10, 10]
    assert clips[0].labels.tolist() == [0] * 6 + [EVENTS.index("cut_in_from_left")] * 4
    assert abs(int(clips[0].image(3).mean()) - 65) <= 2
    assert len(clips[0].boxes(3)) == 0
    assert not list((tmp_path / "train").glob("*.part"))


def test_damage_is_said_in_one_sentence(tmp_path: Path):
    with pytest.raises(ModelError, match="make some"):
        VideoCache(tmp_path, "train")
    clip = VideoCache(cache(tmp_path), "train")[0]
    clip.path(2).unlink()
    with pytest.raises(ModelError, match="render it anew"):
        clip.image(2)
    told = json.loads((clip.folder / "clip.json").read_text())
    (clip.folder / "clip.json").write_text(json.dumps({**told, "version": 0}))
    with pytest.raises(ModelError, match="version 0"):
        VideoCache(tmp_path, "train")


def test_training_clips_end_where_their_label_holds(tmp_path: Path):
    clips = EventClips(cache(tmp_path), "train", segments=8, size=(12, 24))
    assert clips.frames.shape == (20, 12, 24, 3)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(20):
        sample = clips.draw(rng)
        steps = np.diff(sample.clip.mean((1, 2, 3)))
        assert (steps > 10).all()  # consecutive frames of one clip, in order
        assert sample.labels.shape == (8,)
        seen.add(int(sample.labels[-1]))
    assert seen == {EVENTS.index("cut_in_from_left"), EVENTS.index("person_crossing_right_to_left")}


def test_a_cache_is_a_list_of_frame_folders_too(tmp_path: Path):
    found = cache_videos(cache(tmp_path), "train")
    assert [(v.frames, v.label) for v in found] == [(10, 0), (10, 0)]
    assert found[1].image(9).mean() > 180


def test_what_is_drawn_is_within_budget_disjoint_and_around_events():
    events: list[tuple[str, ...]] = [()] * 340
    for first, name in ((40, "cut_out"), (100, "person_crossing_left_to_right"), (200, "oncoming_vehicle_passing")):
        events[first : first + 15] = [(name,)] * 15
    found = windows(events, np.random.default_rng(1))
    assert sum(len(w) for w in found) <= BUDGET + QUIET
    assert all(a.last < b.first for a, b in zip(found, found[1:]))
    for first in (40, 100, 200):
        assert any(w.first <= first - 8 and w.last >= first + 15 for w in found)
    assert any(not any(events[w.first : w.last]) for w in found)
    alone = windows(events, np.random.default_rng(1), ("cut_out",))
    assert [(w.first <= 32, w.last >= 55) for w in alone] == [(True, True)], "and of one event alone, nothing else"


def test_more_drives_of_one_script_follow_on_from_any_number():
    found = [number for _, number in drives("train", 40, 0, 1, "cut_in", 400000)]
    assert found == [400000, 400004, 400010, 400016, 400020, 400026, 400032, 400036]
    assert all(
        scenario_of(seed, number)[0].provoke == ("cut_in",) for seed, number in drives("train", 5, 0, 1, "cut_in")
    )


def test_a_drive_follows_from_its_seed_and_number():
    assert scenario_of(17, 3) == scenario_of(17, 3)
    assert scenario_of(17, 5)[0].turns == "left" and scenario_of(17, 8)[0].turns == "right"


def test_a_box_ahead_is_where_geometry_says():
    pose = CAMERA.base_from_camera
    centre = pose[:3, 3] + 20.0 * pose[:3, 2]
    signs = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
    pixels = projected(centre + signs * 0.5, pose, CAMERA)
    middle = (pixels.min(0) + pixels.max(0)) / 2
    assert middle == pytest.approx([CAMERA.cx, CAMERA.cy], abs=0.5)
    assert np.ptp(pixels[:, 0]) == pytest.approx(CAMERA.fx / 19.5, rel=0.03)
    assert projected(centre + signs * 0.5 - 40.0 * pose[:3, 2], pose, CAMERA) is None


def test_rows_hold_what_is_seen_of_an_object_and_how_it_moves():
    shape = Shape("car", Mesh.join([]))
    tracker = BoxTracker(CAMERA)
    for step in range(2):
        car = ActorState(7, "car", shape, (20.0, -0.4 * step, 0.0), 0.0, (4.0, 1.8, 1.5), (0.0, -2.0))
        hidden = ActorState(8, "bus", shape, (30.0, 8.0, 0.0), 0.0, (10.0, 2.5, 3.0))
        instance = np.zeros((192, 384), np.uint16)
        instance[95:105, 190:200] = 7
        plain = np.zeros((192, 384), np.float32)
        now = Snapshot(0.2 * step, EgoState(np.eye(4), 0.0, 0.0, 0.0), (car, hidden))
        rgb = np.zeros((192, 384, 3), np.uint8)
        tracker.add(now, CameraImage(rgb, plain, instance.astype(np.uint8), instance, CAMERA, now), 0.2)
    found = tracker.boxes()
    assert found.track.tolist() == [7, 7] and found.cls.tolist() == [0, 0]
    assert found.seen[0].tolist() == [190, 95, 200, 105] and found.pixels[0] == 100
    assert found.speed[1] == pytest.approx(2.0) and 0 < found.share[0] < 0.6
    assert np.isnan(found.flow[0]).all() and found.flow[1, 0] > 5 and abs(found.flow[1, 1]) < 1
    assert found.distance[0] == pytest.approx(20.0 - 1.70, abs=0.2)
