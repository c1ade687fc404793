"""CARD.md of a video detector: what it learned from, how it scores beside its twin, where it fails."""

from __future__ import annotations

from typing import Any

from models.facts import ModelFacts
from perception_nodes.evaluation.detection2d import LEAST_SIZE, LEAST_VISIBLE, SPEEDS
from training.common.card import ending, training_section

WEAK = 0.2

LIMITS = """\
- Trained on a simulator only; no labelled real video is at hand, so nothing is known of its scores on real streets.
- Boxes are those of the whole object, hidden parts included, cut at the picture's edges, as KITTI's and nuScenes' are.
- Wide front cameras (horizontal view of about 65 to 81 degrees), upright, 1 to 1.7 m above the road; pictures of any
  proportions are stretched to the network's. At 384 x 192 px a person farther than about 35 m is too small.
- Learned at 5 frames/s. The session holds its answer where frames come faster; at other rates the past that the shifted
  channels bring is not the one of training.
- Not for safety functions."""


def table(scores: dict[str, dict[str, Any]]) -> list[str]:
    """Markdown: mAP at IoU 0.5 and at 0.5 to 0.95, overall and by motion."""
    columns = ("all", *SPEEDS)
    lines = [
        "| detector | " + " | ".join(f"{c}, IoU 0.5" for c in columns) + " | all, 0.5 to 0.95 |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for name, score in scores.items():
        cells = [score["map50"], *(score["by_motion"][s]["map50"] for s in SPEEDS), score["map"]]
        lines.append(f"| {name} | " + " | ".join(_percent(c) for c in cells) + " |")
    return lines


def card(facts: ModelFacts, metrics: dict[str, Any]) -> str:
    """The text, markdown."""
    spec, image, scores = facts.network, facts.image or {}, metrics["detection2d"]
    shifted = spec["mode"] == "online"
    kind = (
        "with channels shifted from the past"
        if shifted
        else "without shift: the twin that tsm-detector-lite is measured by"
    )
    width, height = image["size"][1], image["size"][0]
    lines = [
        f"# {facts.name}",
        "",
        f"One-stage, anchor-free video detector, {spec['backbone']} {kind}.",
        f"Pictures of {width} x {height} px, classes {', '.join(facts.class_names)}. {metrics['params']:,} parameters,",
        f"caches of {metrics['cache_bytes']:,} bytes a camera. Licence {facts.licence}.",
        "",
        *training_section(facts, metrics["training"]),
        "Both twins had the same start, the same batches in the same order and the same number of steps.",
        "",
        f"## Held-out worlds ({metrics['drives']} drives, {metrics['clips']} clips, {metrics['frames']} frames)",
        "",
        "Mean average precision, %, streamed frame by frame. Motion as in ImageNet-VID (mean IoU of an object's box",
        "with its own boxes within 0.4 s: slow > 0.9, medium 0.7 to 0.9, fast < 0.7). Boxes lower than",
        f"{LEAST_SIZE[1]:.0f} px, narrower than {LEAST_SIZE[0]:.0f} px or less than {LEAST_VISIBLE:.0%} visible do not",
        "count (perception_nodes/evaluation/detection2d.py).",
        "",
        *table({facts.name: scores, **{n: m["detection2d"] for n, m in metrics["twin"].items()}}),
        "",
        *_gain(metrics.get("gain", {})),
        *_classes(scores),
        "",
        ending(_how_far(scores, metrics["training"]) + "\n" + LIMITS, metrics, metrics["engine"]),
    ]
    return "\n".join(lines)


def _gain(gain: dict[str, Any]) -> list[str]:
    """What the shift brings, with how far chance in the choice of drives reaches."""
    if not gain:
        return []
    lines = ["What the shift brings, points of mAP at IoU 0.5 (90 % interval over draws of the test drives):"]
    rows = []
    for speed, row in gain.items():
        if "map50" in row:
            low, high = (100 * v for v in row["map50_interval"])
            rows.append(f"{speed} {100 * row['map50']:+.1f} ({low:+.1f} to {high:+.1f})")
    lines += ["; ".join(rows) + ".", ""]
    interval = gain.get("all", {}).get("map50_interval")
    if interval is not None and interval[0] <= 0.0:
        chance = "Over all boxes that is no more than chance in the choice of drives."
        lines += [
            chance if interval[1] >= 0.0 else "In this training the shift did not pay.",
            "",
            "Both twins start from a detector without shift, so that the shift first costs an eighth of the channels",
            "in eight layers that had learned without it. Nothing is said about longer trainings.",
            "",
        ]
    return lines


def _classes(scores: dict[str, Any]) -> list[str]:
    lines = ["| class | true boxes | AP, IoU 0.5 | AP, 0.5 to 0.95 |", "|---|---|---|---|"]
    for name, count in scores["boxes"].items():
        lines.append(f"| {name} | {count} | {_percent(scores['ap50'][name])} | {_percent(scores['ap'][name])} |")
    return lines


def _how_far(scores: dict[str, Any], training: dict[str, Any]) -> str:
    """What was learned by then, in words; WEAK is the AP at IoU 0.5 below which a class counts as hardly found."""
    weak = [name for name, ap in scores["ap50"].items() if isinstance(ap, float) and ap < WEAK]
    lines = [f"- Far from converged: it saw {training['frames']} pictures after its start, on two CPU cores."]
    if weak:
        lines.append(f"  Hardly finds: {', '.join(weak)}.")
    return "\n".join(lines)


def _percent(value: Any) -> str:
    return f"{100 * value:.1f}" if isinstance(value, float) else str(value)
