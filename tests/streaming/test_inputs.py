"""CloudInput and CameraInputs: samples, generations, notes in the words of /diagnostics."""

import pytest

from perception_nodes.messages.errors import MessageError
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.inputs import IMAGE, POINT_CLOUD, CameraInputs, CloudInput
from tests.streaming.raw import MS, counts, feed, raw, views


def clouds(*stamps_ms):
    return [("points", ms) for ms in stamps_ms]


def test_each_cloud_is_a_sample_with_its_bytes_and_stamp():
    source = CloudInput()
    (sample,) = source.push("points", raw(1_234_567_890, "cloud")).samples
    assert sample.stamp_ns == sample.stamps["points"] == 1_234_567_890
    assert sample.messages["points"] == raw(1_234_567_890, "cloud") and not sample.masked
    assert [(s.name, s.kinds) for s in source.streams] == [("points", POINT_CLOUD)]


def test_a_big_endian_header_is_read():
    (sample,) = CloudInput().push("points", raw(7 * 10**9 + 5, little=False)).samples
    assert sample.stamp_ns == 7 * 10**9 + 5


def test_duplicates_and_latecomers_are_dropped_and_counted():
    samples, notes = feed(CloudInput(), clouds(0, 100, 100, 200, 150, 300))
    assert [s.stamp_ns // MS for s in samples] == [0, 100, 200, 300]
    assert counts(notes) == {"duplicates": 1, "out_of_order": 1}
    assert all(n.level is Level.WARN and "dropped" in n.sentence for n in notes)


def test_a_gap_and_a_jump_back_start_a_new_generation():
    samples, notes = feed(CloudInput(), clouds(*range(0, 500, 100), 3000, 3100, 0, 100))
    assert [s.generation for s in samples] == [0] * 5 + [1, 1, 2, 2]
    assert counts(notes) == {"missed_frames": 25, "gaps": 1, "time_jumps": 1}
    assert [n.counter for n in notes if n.log] == ["time_jumps"]


@pytest.mark.parametrize("bad", [b"", b"\0\1\0\0" + bytes(7), b"\0\1\0\0" + b"\xff" * 8])
@pytest.mark.parametrize("make", [CloudInput, lambda: CameraInputs(["points"])])
def test_a_header_that_cannot_be_read_changes_nothing(make, bad):
    source = make()
    source.push("points", raw(0))
    with pytest.raises(MessageError):
        source.push("points", bad)
    (sample,) = source.push("points", raw(100 * MS)).samples
    assert sample.stamp_ns == 100 * MS and sample.generation == 0


def test_a_silent_lidar_is_named_by_the_polls():
    source = CloudInput()
    source.poll(0)
    source.poll(2_000 * MS)
    assert source.lacking() == {"points": "no cloud yet"}
    source.push("points", raw(5))
    assert source.lacking() == {}
    source.poll(3_000 * MS)
    source.poll(5_500 * MS)
    assert source.lacking() == {"points": "no cloud for 2.5 s"}


def test_cameras_become_one_sample_per_moment():
    source = CameraInputs(["left", "right"])
    samples, notes = feed(source, [(c, ms) for ms in range(0, 500, 100) for c in ("left", "right")])
    assert [views(s) for s in samples] == [{"left": ms, "right": ms} for ms in range(0, 500, 100)]
    assert not notes and [s.kinds for s in source.streams] == [IMAGE, IMAGE]
    assert samples[1].messages["right"].endswith(b"right 3")


def test_a_masked_camera_is_counted_and_named():
    rows = [(c, ms + 800 * (c == "c")) for ms in range(0, 1000, 100) for c in "abc"]
    samples, notes = feed(CameraInputs("abc"), rows)
    assert set(samples[-1].messages) == {"a", "b"} and "in the future" in samples[-1].masked["c"]
    found = counts(notes)
    assert found["masked_views"] >= 5 and found["missing_views"] >= 5
    said = [n for n in notes if n.counter == "masked_views"][-1]
    assert said.sentence.startswith("camera c: stamped") and said.level is Level.WARN and said.stream == "c"


def test_each_camera_has_its_own_generation():
    rows = [*[(c, ms) for ms in range(0, 500, 100) for c in "ab"], ("a", 3000), ("b", 3000)]
    samples, notes = feed(CameraInputs("ab"), rows)
    assert samples[-1].generations == {"a": 1, "b": 1} and samples[-1].generation == 0
    assert counts(notes)["gaps"] == 2 and any(n.sentence.startswith("camera b: gap") for n in notes)


def test_flush_gives_the_set_under_way_and_a_set_with_too_few_views_is_given_up():
    source = CameraInputs("ab", min_cameras=2)
    assert not source.push("a", raw(0)).samples
    done = source.flush()
    assert not done.samples and counts(done.notes) == {"sets_given_up": 1}
    source.push("a", raw(100 * MS))
    (sample,) = source.push("b", raw(100 * MS)).samples
    assert not source.flush().samples and len(sample.messages) == 2


def test_a_view_that_cannot_be_decoded_is_taken_out_with_its_reason():
    source = CameraInputs("ab")
    source.push("a", raw(0))
    (sample,) = source.push("b", raw(0)).samples
    rest = sample.without({"a": "its JPEG is truncated"})
    assert rest.masked == {"a": "its JPEG is truncated"}
    assert set(rest.messages) == set(rest.stamps) == set(rest.generations) == {"b"} and rest.stamp_ns == sample.stamp_ns
