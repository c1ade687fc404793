"""Lists, sampling and augmentation of video clips."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.facts import ModelError
from perception_nodes.classes import EVENTS
from training.video import clip_sampling
from training.video.cache import IGNORED, ClipFacts, FrameBoxes, backward_ids, mirrored_ids, primary, write_clip
from training.video.clip_augment import ClipAugment, augment, crop_offsets, flipped, multi_scale_crop, panned, resized
from training.video.clip_augment import test_crops as crops_of
from training.video.clips import EventClips
from training.video.frame_lists import Video, read_list, write_list

frames_and_segments = st.tuples(st.integers(1, 400), st.sampled_from([1, 3, 8, 16]))


@settings(deadline=None, max_examples=50)
@given(frames_and_segments, st.integers(0, 10))
def test_every_sampled_frame_exists(numbers, seed):
    frames, segments = numbers
    rng = np.random.default_rng(seed)
    for found in (
        clip_sampling.uniform_train(frames, segments, rng),
        clip_sampling.uniform_test(frames, segments),
        clip_sampling.uniform_test(frames, segments, twice=True),
        clip_sampling.dense_train(frames, segments, rng),
        clip_sampling.dense_test(frames, segments),
    ):
        assert found.shape[-1] in (segments, 2 * segments)
        assert (found >= 0).all() and (found < frames).all()


def test_uniform_test_takes_the_middles_of_equal_parts():
    assert clip_sampling.uniform_test(80, 8).tolist() == [5, 15, 25, 35, 45, 55, 65, 75]
    assert clip_sampling.uniform_test(20, 8).tolist() == [1, 3, 6, 8, 11, 13, 16, 18]


def test_uniform_train_draws_one_frame_of_each_part():
    found = clip_sampling.uniform_train(80, 8, np.random.default_rng(0))
    assert (found // 10 == np.arange(8)).all()


def test_dense_clips_span_64_frames_and_wrap_in_short_videos():
    assert clip_sampling.dense_train(64, 8, np.random.default_rng(0)).tolist() == list(range(0, 64, 8))
    assert clip_sampling.dense_train(20, 8, np.random.default_rng(0)).tolist() == [(8 * i) % 20 for i in range(8)]
    assert clip_sampling.dense_test(300, 8).shape == (10, 8)


def test_a_causal_clip_ends_at_its_frame_and_says_when_there_is_too_little_past():
    assert clip_sampling.causal(14, 8, 2).tolist() == list(range(0, 15, 2))
    with pytest.raises(ValueError, match="first end is 14"):
        clip_sampling.causal(13, 8, 2)


def test_a_flip_swaps_left_and_right_events_and_nothing_else():
    ids = mirrored_ids()
    assert [EVENTS[ids[EVENTS.index(n)]] for n in ("cut_in_from_left", "ego_turning_right", "cut_out", "none")] == [
        "cut_in_from_right", "ego_turning_left", "cut_out", "none",
    ]  # fmt: skip
    assert (ids[ids] == np.arange(len(EVENTS))).all()
    clip = np.arange(2 * 4 * 6 * 3, dtype=np.uint8).reshape(2, 4, 6, 3)
    config = ClipAugment(scales=(), flip=1.0)
    out, labels = augment(clip, np.array([2, 8]), (4, 6), config, np.random.default_rng(0), ids)
    assert (out == clip[:, :, ::-1]).all() and labels.tolist() == [3, 9]
    out, labels = augment(
        clip, np.array([2, 8]), (4, 6), ClipAugment(scales=(), flip=0.0), np.random.default_rng(0), ids
    )
    assert (out == clip).all() and labels.tolist() == [2, 8]


def test_a_flipped_flow_turns_its_x_around():
    flow = np.full((1, 2, 2, 4), 100, np.uint8)
    assert flipped(flow, flow=True)[0, 0, 0].tolist() == [155, 100, 155, 100]


def test_all_frames_of_a_clip_are_cropped_alike():
    frame = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    clip = np.stack([frame] * 3)
    out = multi_scale_crop(clip, (24, 24), ClipAugment(), np.random.default_rng(3))
    assert out.shape == (3, 24, 24, 3) and (out[0] == out[1]).all() and (out[0] == out[2]).all()


def test_a_panned_clip_travels_at_a_steady_speed_within_the_picture():
    frame = np.add.outer(100 * np.arange(40), np.arange(60)).astype(np.int64)[..., None]  # every pixel tells its place
    clip = panned(np.stack([frame] * 3), 24, 30, np.random.default_rng(1))
    assert clip.shape == (3, 24, 30, 1)
    places = np.stack(np.divmod(clip[:, 0, 0, 0], 100), 1)
    steps = np.diff(places, axis=0)
    assert np.abs(steps[0] - steps[1]).max() <= 1 and np.abs(steps).max() > 1
    assert (clip[1] - clip[0] == clip[1, 0, 0, 0] - clip[0, 0, 0, 0]).all()


def test_there_are_thirteen_crop_places_inside_the_picture():
    places = crop_offsets(340, 256, 224, 224)
    assert len(set(places)) == 13
    assert all(0 <= x <= 340 - 224 and 0 <= y <= 256 - 224 for x, y in places)


@pytest.mark.parametrize(("crops", "shape"), [(1, (1, 2, 24, 24, 3)), (3, (3, 2, 24, 24, 3)), (10, (10, 2, 24, 24, 3))])
def test_crops_for_testing(crops, shape):
    assert crops_of(np.zeros((2, 30, 50, 3), np.uint8), 24, crops, scale=28).shape == shape


def test_resizing_keeps_a_clip_of_the_right_size_as_it_is():
    clip = np.zeros((2, 8, 10, 3), np.uint8)
    assert resized(clip, (8, 10)) is clip


def test_a_list_round_trips(tmp_path: Path):
    videos = [Video(tmp_path / "a b" / "c", 12, 3), Video(tmp_path / "d", 5, 0)]
    assert write_list(tmp_path / "list.txt", videos, tmp_path) == 2
    assert read_list(tmp_path / "list.txt") == videos
    assert read_list(tmp_path / "list.txt", least=6) == videos[:1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a 5\n", "line 1"),
        ("a 5 0\nb five 0\n", "line 2"),
        ("a 5 12\n", "label 12, the network has 12 classes"),
        ("", "no video"),
    ],
)
def test_a_bad_list_is_refused_in_one_sentence(tmp_path: Path, text: str, said: str):
    path = tmp_path / "list.txt"
    path.write_text(text)
    with pytest.raises(ModelError, match=said):
        read_list(path, classes=12)
    with pytest.raises(ModelError, match="no list"):
        read_list(tmp_path / "nothing.txt")


def test_a_missing_or_damaged_frame_is_named(tmp_path: Path):
    video = Video(tmp_path / "v", 2, 0)
    with pytest.raises(ModelError, match="folder holds 0 files"):
        video.image(0)
    video.folder.mkdir()
    (video.folder / "img_00001.jpg").write_bytes(b"no picture")
    with pytest.raises(ModelError, match="img_00001.jpg is missing or no picture"):
        video.image(0)


def test_the_label_of_several_events_is_the_first_by_priority():
    assert EVENTS[primary(["ego_braking", "person_crossing_left_to_right"])] == "person_crossing_left_to_right"
    assert primary([]) == 0


def test_backwards_a_turn_is_its_mirror_a_cut_in_a_cut_out_and_braking_teaches_nothing():
    ids = dict(zip(EVENTS, backward_ids()))
    becomes = {
        "none": "none", "ego_turning_left": "ego_turning_right", "ego_turning_right": "ego_turning_left",
        "person_crossing_left_to_right": "person_crossing_right_to_left", "cut_in_from_left": "cut_out",
        "person_crossing_right_to_left": "person_crossing_left_to_right", "cut_in_from_right": "cut_out",
    }  # fmt: skip
    for name, found in ids.items():
        assert found == (EVENTS.index(becomes[name]) if name in becomes else IGNORED), name


def test_ignored_labels_stay_ignored_in_the_mirror():
    clip, labels = np.zeros((2, 4, 6, 3), np.uint8), np.array([IGNORED, 2])
    config = ClipAugment(scales=(), flip=1.0)
    assert augment(clip, labels, (4, 6), config, np.random.default_rng(0), mirrored_ids())[1].tolist() == [IGNORED, 3]


def street(tmp_path: Path, events: list[tuple[str, ...]]) -> EventClips:
    """One clip of the cache whose frame k is all of shade 10 k."""
    images = [np.full((16, 32, 3), 10 * k, np.uint8) for k in range(len(events))]
    facts = ClipFacts(1, "free", "kitti", "left", "day", "clear", 0.0, (16, 32), 5.0, tuple(events))
    nothing = FrameBoxes(**{k: np.zeros(0) for k in FrameBoxes.__dataclass_fields__})
    write_clip(tmp_path / "train" / "000001_0", facts, images, nothing)
    return EventClips(tmp_path, "train", 4, (16, 32), sided=1.0, backward=0.5)


def test_the_same_last_frame_is_reached_from_both_sides_with_mirrored_labels(tmp_path):
    clips = street(tmp_path, [()] * 4 + [("ego_turning_left",)] * 4 + [()] * 2)
    left, right = EVENTS.index("ego_turning_left"), EVENTS.index("ego_turning_right")
    shades = lambda sample: sample.clip.mean((1, 2, 3)).round(-1).tolist()  # noqa: E731 (JPEG blurs the last digit)
    assert clips.both_ways(clips.ends).tolist() == [4, 5, 6], "frame 7 has no four frames from itself on"
    forward, backward = clips.at(5), clips.backward(5)
    assert (shades(forward), forward.labels.tolist()) == ([20, 30, 40, 50], [0, 0, left, left])
    assert (shades(backward), backward.labels.tolist()) == ([80, 70, 60, 50], [0, right, right, right])


def test_half_of_the_sided_draws_run_backwards(tmp_path):
    clips = street(tmp_path, [()] * 4 + [("ego_turning_left",)] * 3 + [()] * 4)
    rng = np.random.default_rng(0)
    last = [int(clips.draw(rng).labels[-1]) for _ in range(200)]
    assert 70 < sum(k == EVENTS.index("ego_turning_right") for k in last) < 130
    assert set(last) == {EVENTS.index("ego_turning_left"), EVENTS.index("ego_turning_right")}
