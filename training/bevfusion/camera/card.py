"""CARD.md of a camera branch: what it learned from, how it scores, where it fails."""

from __future__ import annotations

from typing import Any

from models.bevfusion.lite.depth_bins import FOCAL
from models.facts import ModelFacts
from training.common.card import ending, training_section

LIMITS = """\
- Trained on a simulator only. Real scores count vehicles of one street in daylight and of one moment; they say little
  of night, rain or people.
- Made as the start of bevfusion-lite, not as a detector: its boxes are single pictures', without tracks.
- Pinhole pictures without distortion, upright cameras 1 to 2.5 m above the road.
- Not for safety functions."""


def card(facts: ModelFacts, metrics: dict[str, Any]) -> str:
    """The text, markdown."""
    sim, image = metrics["sim"], facts.image or {}
    nearest, farthest, count, _ = facts.network["depth_bins"]
    lines = [
        f"# {facts.name}",
        "",
        "The camera branch of bevfusion-lite: EfficientNet-Lite0 to stride 16 and a neck that gives one map at",
        f"stride 8 ({facts.network['channels']} channels), pre-trained with 2-D boxes, pixel classes and depth.",
        f"Pictures of {image['size'][1]} x {image['size'][0]} px, {metrics['params']:,} parameters.",
        f"Depth: {count} bins from {nearest:g} to {farthest:g} m at a focal length of {FOCAL:g} px (in proportion at",
        f"others), and one class for what is beyond. Licence {facts.licence}.",
        "",
        *training_section(facts, metrics["training"]),
        f"## Held-out worlds ({metrics['worlds']} of the split `{metrics['split']}`, {sim['pictures']} pictures)",
        "",
        "| score | value |",
        "|---|---|",
        f"| 2-D boxes, mAP at IoU 0.5 | {_number(sim['map50'])} |",
        f"| 2-D boxes, mAP at IoU 0.5 to 0.95 | {_number(sim['map'])} |",
        f"| pixel classes, mIoU | {_number(sim['pixel_miou'])} |",
        f"| depth, mean of abs(found / true - 1), 2 to 60 m | {_number(sim['depth_abs_rel'])} |",
        f"| depth, share within 25 % | {_number(sim['depth_within_25'])} |",
        "",
        "| class | true boxes | AP, IoU 0.5 |",
        "|---|---|---|",
        *[f"| {name} | {count} | {_number(sim['ap50'][name])} |" for name, count in sim["boxes"].items()],
        "",
        "| pixel class | IoU |",
        "|---|---|",
        *[f"| {name} | {_number(value)} |" for name, value in sim["pixel_iou"].items()],
        "",
        *_real(metrics.get("real", {})),
        ending(LIMITS, metrics),
    ]
    return "\n".join(lines)


def _real(real: dict[str, Any]) -> list[str]:
    if not real:
        return ["No real pictures were at hand.", ""]
    ranges = next(iter(real.values()))["by_distance"]
    lines = [
        "## Real pictures, never trained on",
        "",
        "Share of the annotated vehicles that are found: IoU of at least 0.5 with the outline of the 3-D box, any",
        f"vehicle class, scores from {next(iter(real.values()))['min_score']} on (training/bevfusion/camera/real.py).",
        "",
        f"| data set | pictures | vehicles | within 60 m | {' | '.join(ranges)} | boxes a picture besides |",
        "|---" * (len(ranges) + 5) + "|",
    ]
    for name, scores in real.items():
        parts = " | ".join(f"{_number(v['recall50'])} ({v['vehicles']})" for v in scores["by_distance"].values())
        lines.append(
            f"| {name} | {scores['pictures']} | {scores['vehicles']} | {_number(scores['vehicle_recall50'])} | {parts} "
            f"| {scores['told_besides']} |"
        )
    return [*lines, ""]


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
