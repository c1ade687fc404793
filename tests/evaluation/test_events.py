"""Event scores on drives whose answer is known by hand, and from recorded bags to metrics.json and pictures."""

import json
from dataclasses import replace

import numpy as np
import pytest

from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.classes import EVENTS
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.events import EventScorer, average_precision, runs
from perception_nodes.evaluation.recorded_events import OUTPUT, TRUTH
from perception_nodes.messages.clock import events_values
from perception_nodes.messages.events import CameraEvent, event_values
from perception_nodes.messages.image import compressed_image_values, encode_jpeg
from perception_nodes.systems.evaluate import evaluate
from tests.nodes.cameras import grey

NAMES = ("none", "ego_braking", "cut_out")
N, B, C = NAMES
START = 10**9


def said(name, i, sure=0.8, warm=True, camera="front", names=NAMES):
    rest = (1 - sure) / (len(names) - 1)
    scores = {n: sure if n == name else rest for n in names}
    return CameraEvent(START + i * 10**8, camera, name, sure, scores, warm)


def score(predicted, truth):
    """Pictures 0.1 s apart; truth rows are names, sets of names, or None."""
    scorer = EventScorer(NAMES)
    for i, (name, what) in enumerate(zip(predicted, truth)):
        what = None if what is None else frozenset([what] if isinstance(what, str) else what)
        scorer.add(said(name, i), what)
    return scorer.metrics()


def test_a_perfect_run_scores_one():
    rows = [N] * 5 + [B] * 5 + [N] * 5 + [C] * 5
    found = score(rows, rows)
    assert found["top1"] == found["top1_in_events"] == found["map"] == 1.0
    assert found["spans"] == {"count": 2, "hit": 2, "hit_rate": 1.0, "latency_s": 0.0, "false_per_minute": 0.0}
    assert found["by_event"][B] | {} == {
        "frames": 5, "recall": 1.0, "precision": 1.0, "ap": 1.0, "spans": 1, "spans_hit": 1, "latency_s": 0.0,
    }  # fmt: skip


def test_of_two_events_under_way_either_is_right():
    found = score([B, C, N], [{B, C}, {B, C}, {B, C}])
    assert found["top1"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["by_event"][N]["frames"] == 0 and found["by_event"][N]["recall"] == "no data"
    assert found["top1_without_event"] == "no data"


def test_span_hits_and_latency_are_in_seconds():
    truth = [N, B, B, B, B, N, N, N, C, C, N, N, N, N, N, N, N, N]
    predicted = [N, N, N, B, N, N, N, N, N, N, N, N, C, N, N, N, N, B]
    found = score(predicted, truth)
    assert found["by_event"][B]["latency_s"] == pytest.approx(0.2) and found["by_event"][B]["spans_hit"] == 1
    assert found["by_event"][C]["latency_s"] == pytest.approx(0.4)  # 0.3 s after its end, within the grace
    assert found["spans"]["hit"] == 2 and found["spans"]["latency_s"] == pytest.approx(0.3)
    assert found["spans"]["false_per_minute"] == pytest.approx(60 / 1.7, abs=1e-4)  # the last braking


def test_a_span_that_nobody_names_is_missed_and_has_no_latency():
    found = score([N] * 6, [N, B, B, B, N, N])
    assert (found["spans"]["count"], found["spans"]["hit"], found["spans"]["latency_s"]) == (1, 0, "no data")
    assert found["by_event"][B]["recall"] == 0.0 and found["by_event"][B]["precision"] == "no data"


def test_without_ground_truth_nothing_is_scored():
    nothing = {"frames": 0, "warming_up": 0, "held": 0, "without_truth": 2}
    assert score([B, B], [None, None]) == {"top1": "no data", **nothing}
    assert EventScorer(NAMES).metrics()["top1"] == "no data"
    part = score([B, B], [B, None])
    assert part["top1"] == 1.0 and part["frames"] == 1 and part["without_truth"] == 1


def test_pictures_while_warming_up_are_counted_apart():
    scorer = EventScorer(NAMES)
    scorer.add(said(N, 0, warm=False), frozenset({B}))
    scorer.add(said(B, 1), frozenset({B}))
    assert scorer.metrics()["top1"] == 1.0 and scorer.metrics()["warming_up"] == 1


def test_other_classes_are_refused_by_name():
    with pytest.raises(EvaluationError, match="found events jumping, expected some of none"):
        EventScorer(NAMES).add(said(N, 0), frozenset({"jumping"}))


@pytest.mark.parametrize(
    ("scores", "truth", "wanted"),
    [
        ([0.9, 0.8, 0.1], [1, 1, 0], 1.0),
        ([0.9, 0.8, 0.1], [0, 1, 0], 0.5),
        ([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0], (1 + 2 / 3) / 2),
        ([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0], 0.25),
        ([0.5, 0.5], [1, 1], None),
        ([0.5], [0], None),
    ],
)
def test_average_precision_by_hand(scores, truth, wanted):
    found = average_precision(np.array(scores), np.array(truth, bool))
    assert found is None if wanted is None else found == pytest.approx(wanted)


def test_a_gap_in_time_ends_a_span():
    scorer = EventScorer(NAMES)
    for i in (0, 1, 2, 30, 31):
        scorer.add(said(B, i), frozenset({B}))
    assert [(s.first, s.last) for s in scorer.spans()] == [(0, 2), (3, 4)]
    assert scorer.metrics()["spans"]["hit"] == 2


def test_runs():
    assert runs(np.array([1, 0, 1, 1, 0, 1], bool)) == [(0, 0), (2, 3), (5, 5)]
    assert runs(np.zeros(0, bool)) == []


def table(names=EVENTS):
    return make(
        "std_msgs/msg/String", data=json.dumps({"classes": [{"id": i, "name": n} for i, n in enumerate(names)]})
    )


def bags(tmp_path, frames=20, cameras=("front",), names=EVENTS, with_table=True, shift_ns=0, warm=True, states=()):
    """Outputs that brake from 0.5 s to 0.9 s, and a truth that does so from 0.4 s to 0.9 s."""
    with BagWriter(tmp_path / "truth") as bag:
        for i in range(frames):
            stamp = START + i * 10**8
            bag.write(TRUTH, make("std_msgs/msg/String", **events_values([B] if 4 <= i <= 9 else [])), stamp)
            values = compressed_image_values(encode_jpeg(grey(i % 5)), "camera_front", stamp)
            bag.write("/camera/front/image/compressed", make("sensor_msgs/msg/CompressedImage", **values), stamp)
    with BagWriter(tmp_path / "out") as bag:
        if with_table:
            bag.write(f"{OUTPUT}/classes", table(names), START)
        for i in range(frames):
            for camera in cameras:
                name = B if 5 <= i <= 9 and camera == "front" else N
                event = said(name, i, camera=camera, names=EVENTS)
                event = CameraEvent(event.stamp_ns + shift_ns, camera, name, event.score, event.scores, warm)
                if states and i in states:
                    cold = CameraEvent.warming_up(event.stamp_ns, camera)
                    event = cold if states[i] == "warming_up" else replace(event, held=True)
                bag.write(OUTPUT, make("std_msgs/msg/String", **event_values(event)), event.stamp_ns)
    return tmp_path / "out", tmp_path / "truth"


def test_recorded_events_are_scored_and_drawn(tmp_path):
    folder = evaluate(*bags(tmp_path), tmp_path / "r")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["events"]["top1"] == 0.95 and metrics["events"]["by_event"][B]["recall"] == pytest.approx(5 / 6)
    assert metrics["events"]["camera"] == "front" and "segmentation" not in metrics
    assert metrics["frames"] == {"in": 20, "out": 20, "dropped": 0}
    page = (folder / "report.html").read_text()
    assert page.count("<figure>") == 2 and "ego_braking" in page
    assert sorted(p.name for p in (folder / "pictures").iterdir()) == ["events_front.png", "film_front.jpg"]


def test_held_and_cold_pictures_are_no_answers_and_are_counted_apart(tmp_path):
    out, truth = bags(tmp_path, frames=20, states={0: "warming_up", 1: "warming_up", 4: "held", 6: "held", 8: "held"})
    folder = evaluate(out, truth, tmp_path / "r")
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["frames"] == {"in": 20, "out": 15, "dropped": 0, "apart": {"held": 3, "warming_up": 2}}
    found = metrics["events"]
    assert (found["frames"], found["held"], found["warming_up"], found["top1"]) == (15, 3, 2, 1.0)  # 4 alone was wrong
    page = (folder / "report.html").read_text()
    assert "2 pictures while the network was warming up and 3 that came sooner" in page and "3 held" in page


def test_the_front_camera_is_scored_in_full_and_others_by_top1(tmp_path):
    folder = evaluate(*bags(tmp_path, cameras=("back", "front")), tmp_path / "r")
    found = json.loads((folder / "metrics.json").read_text())["events"]
    assert found["camera"] == "front" and found["cameras"] == {"back": 0.7, "front": 0.95}


def test_a_recording_too_short_to_warm_up_has_no_score_and_is_no_error(tmp_path):
    out, truth = bags(tmp_path, frames=5, warm=False)
    metrics = json.loads((evaluate(out, truth, tmp_path / "results") / "metrics.json").read_text())
    assert metrics["events"]["top1"] == "no data" and metrics["events"]["warming_up"] == 5


def test_without_truth_events_are_drawn_and_the_score_is_no_data(tmp_path):
    folder = evaluate(bags(tmp_path)[0], None, tmp_path / "r")
    assert json.loads((folder / "metrics.json").read_text())["events"]["top1"] == "no data"
    assert (folder / "pictures/events_front.png").is_file()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"with_table": False}, "no class table"),
        ({"names": ("none", "ego_braking")}, "expected some of none, ego_braking"),
        ({"shift_ns": 10**12}, "Give the bag that was replayed"),
    ],
)
def test_what_cannot_be_scored_is_refused_and_leaves_nothing_behind(tmp_path, changes, words):
    with pytest.raises(EvaluationError, match=words):
        evaluate(*bags(tmp_path, **changes), tmp_path / "r")
    assert not list((tmp_path / "r").glob("*")) if (tmp_path / "r").exists() else True
