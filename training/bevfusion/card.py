"""CARD.md of bevfusion-lite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.facts import ModelFacts
from training.common.card import ending, training_section

ERRORS = ("ATE, m", "ASE", "AOE, rad", "AVE, m/s", "AAE")
TRAINED = {
    True: "Both sensors are trained; the camera backbone is that of camera-lite and stays as it is.",
    False: "Only the LiDAR branch, the trunk and the heads are trained. A session of this model uses no pictures.",
}
LIMITS = """\
- Trained on a simulator only; the real drives above are for scoring.
- The temporal shift is not trained, so a session of this model does not use it.
- The LiDAR is expected on the roof, 1.5 to 2.2 m above the road, with level axes.
- Do not use it for safety functions."""


def card(facts: ModelFacts, metrics: dict[str, Any], modes: Sequence[str]) -> str:
    """The card's text. modes: keys of `metrics` that hold scores, the first one with all details."""
    first = metrics[modes[0]]
    lines = [f"# {facts.name}", "", f"Boxes and map layers in the bird's-eye view. {TRAINED[len(modes) > 1]}", ""]
    lines += training_section(facts, metrics["training"])
    lines += [f"## Held-out worlds (split `{metrics['split']}`, {first['frames']} moments)", ""]
    lines += ["| sensors | mAP (ten classes) | NDS | map mIoU at the best threshold |", "|---|---|---|---|"]
    for mode in modes:
        row = metrics[mode]
        lines.append(f"| {mode} | {row['map']:.3f} | {row['nds']:.3f} | {row['map_miou']:.3f} |")
    lines += ["", f"Details for `{modes[0]}`:", "", "| class | true boxes | AP |", "|---|---|---|"]
    lines += [f"| {name} | {first['boxes'][name]} | {ap:.3f} |" for name, ap in first["ap"].items()]
    lines += ["", "| mean error | value |", "|---|---|"]
    lines += [f"| {name} | {'-' if v is None else f'{v:.3f}'} |" for name, v in zip(ERRORS, first["errors"])]
    lines += ["", "| map class | IoU |", "|---|---|"]
    lines += [f"| {name} | {value:.3f} |" for name, value in first["map_iou"].items()]
    lines += _parts("distance from the LiDAR", first.get("by_range", {}), "map")
    lines += _parts("light, weather", first.get("conditions", {}), "map_present")
    if metrics.get("real"):
        lines += ["", "## Real drives, never trained on", ""]
        lines += ["Vehicles within 40 m (PandaSet) and 30 m (nuScenes) with at least 5 points, matched at 2 m.", ""]
        lines += ["| sensors | data | frames | vehicles | AP | recall |", "|---|---|---|---|---|---|"]
        for mode, sets in metrics["real"].items():
            for name, row in sets.items():
                lines.append(f"| {mode} | {name} | {row['frames']} | {row['boxes']} | {row['ap']} | {row['recall']} |")
    return "\n".join([*lines, "", ending(LIMITS, metrics)])


def _parts(title: str, rows: dict[str, dict[str, Any]], key: str) -> list[str]:
    """A table of the mAP of the classes that occur in each part of the moments."""
    if not rows:
        return []
    lines = ["", f"| {title} | true boxes | mAP of the classes that occur |", "|---|---|---|"]
    for name, row in rows.items():
        value = row[key]
        lines.append(f"| {name} | {row['boxes']} | {value if isinstance(value, str) else format(value, '.3f')} |")
    return lines
