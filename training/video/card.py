"""CARD.md and the confusion picture of an event network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.facts import ModelFacts
from perception_nodes.classes import EVENTS
from training.common.card import ending

LIMITS = """\
- Learned from the embedded driving world alone. On real video it has not been scored: there are no labelled real
  drives here. Its answers there are illustrations.
- Events are derived from the true motion of all road users, 1.5 s to both sides (perception_nodes/simulator/events.py).
  Some spans show nothing that a front camera can see: a passed vehicle, one about to overtake, people in fog.
- One label a frame: where several events are under way the first of PRIORITY in training/video/cache.py counts.
- Mirrored events are told apart by motion and by what one frame shows too: which way a body faces, on which side a
  vehicle stands in the first half of a cut-in, where the road goes in a turn. The figures of TSN and of standing clips
  say how far that leads.
- Made for a forward camera near the windscreen at 5 frames/s, horizontal view 64 to 81 degrees.
- Not for safety functions."""
BOTH_WAYS = """\
The same last frame reached from before and, played backwards as a car sees it that backs up, from after ({} frames):
a turn or a crossing is then its mirror, a cut-in a cut-out. Share told rightly, both ways; whoever looks at the last
frame alone gets 0.50."""
TITLES = {"tsm": "TSM", "tsn": "TSN (2D)", "tsm-i3d": "inflated 3D", "tsm-lstm": "CNN + LSTM",
          "tsm-two-stream": "two-stream"}  # fmt: skip


def title(variant: dict[str, Any]) -> str:
    """What a variant is called in the table."""
    name = TITLES.get(variant["architecture"], variant["architecture"])
    return f"{name}, {variant['mode']}" if variant["architecture"] == "tsm" else name


def table(variants: dict[str, dict[str, Any]]) -> list[str]:
    """The results table, markdown; rows as they were given."""
    columns = ("network", "steps", "top-1 (90 %)", "over TSN (90 %)", "mean of events", "mirrored", "parameters",
               "MACs/frame", "ms/clip", "ms/frame")  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, v in variants.items():
        low, high = v["top1_interval"]
        cost = v["cost"]
        frame = f"{cost['frame_ms']:.1f}" if "frame_ms" in cost else "no stream"
        over = "{:+.3f} ({:+.3f} to {:+.3f})".format(*v["over_tsn"]) if "over_tsn" in v else "–"
        lines.append(
            f"| {title(v)} (`{name}`) | {v['training'].get('steps', '?')} | {v['top1']:.3f} ({low:.3f} to {high:.3f}) "
            f"| {over} | {v['mean_class']:.3f} | {v.get('mirrored_top1', float('nan')):.3f} "
            f"| {cost['params'] / 1e6:.2f} M | {cost['macs_per_frame'] / 1e6:.0f} M | {cost['clip_ms']:.0f} | {frame} |"
        )
    return lines


def card(facts: ModelFacts, metrics: dict[str, Any]) -> str:
    """The text, markdown."""
    own = metrics["variants"][facts.name]
    image = facts.image or {}
    lines = [
        f"# {facts.name}", "",
        f"{title(own)} on {facts.network['backbone']}, {len(facts.classes)} driving events of one forward camera,",
        f"pictures of {image['size'][1]} x {image['size'][0]} px every {image['period_s']} s, frame by frame, cached.",
        f"Licence {facts.licence}; started from ImageNet weights of EfficientNet-Lite0 (Apache-2.0).", "",
        "## Training", "", f"Data: {facts.training_data}", "",
        *[f"- {key}: {value}" for key, value in own["training"].items()], "",
        "## Held-out worlds", "",
        _test(metrics), "",
        *table(metrics["variants"]), "",
    ]  # fmt: skip
    if metrics.get("note"):
        lines += [metrics["note"], ""]
    lines += ["Right answers by event (share of clips):", "", *_events(metrics["variants"]), ""]
    lines += ["Left or right within the pairs (chance 0.5):", "", *_pairs(metrics["variants"], "mirrored"), ""]
    if "both_ways" in own:
        lines += [BOTH_WAYS.format(own["both_ways_clips"]), "", *_pairs(metrics["variants"], "both_ways"), ""]
    if "still_mirrored" in own:
        told = ", ".join(f"{pair} {value:.2f}" for pair, value in own["still_mirrored"].items())
        lines += [f"This network where every clip shows its last frame only, so that nothing moves: {told}.", ""]
    lines += ["![confusions](confusion.png)", ""]
    return "\n".join([*lines, ending(LIMITS, metrics)])


def _test(metrics: dict[str, Any]) -> str:
    """What the scores are of and what they mean."""
    test = metrics["test"]
    return (
        f"{test['drives']} drives of the untouched split `{metrics['split']}` (seeds from {metrics['seed']}), "
        f"{test['windows']} windows, {test['clips']} clips of {test['segments']} frames (1.4 s). All networks answer "
        "for the last frame of the same clips. top-1: share right; over TSN: how much more than TSN's; (90 %): "
        "interval over drawings of whole drives; mirrored: left or right of a mirrored event, the better of the pair's "
        f"two logits, chance is 0.5. Times: CPU time of one thread of {test['processor']}, torch, least of five, on a "
        "shared machine."
    )


def _events(variants: dict[str, dict[str, Any]]) -> list[str]:
    names = list(variants)
    lines = [f"| event | clips | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    for event in EVENTS:
        rows = [v["per_event"].get(event) for v in variants.values()]
        if rows[0] is not None:
            cells = " | ".join(f"{row['right']:.2f}" for row in rows)
            lines.append(f"| {event} | {rows[0]['clips']} | {cells} |")
    return lines


def _pairs(variants: dict[str, dict[str, Any]], score: str) -> list[str]:
    names = [name for name, v in variants.items() if score in v]
    lines = [f"| pair | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for pair in variants[names[0]][score]:
        cells = " | ".join(f"{variants[name][score][pair]:.2f}" for name in names)
        lines.append(f"| {pair} | {cells} |")
    return lines


def confusion_picture(path: Path, matrix: NDArray[np.int64], heading: str) -> None:
    """Writes a PNG: rows truth, columns answers, each row's shares as numbers and shades."""
    import cv2

    cell, left, top = 46, 250, 190
    count = len(EVENTS)
    picture = np.full((top + count * cell + 10, left + count * cell + 10, 3), 255, np.uint8)
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    face = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(picture, heading, (8, 22), face, 0.55, (0, 0, 0), 1, cv2.LINE_AA)
    for i, name in enumerate(EVENTS):
        y = top + i * cell
        cv2.putText(picture, f"{name[:26]} {matrix[i].sum()}", (6, y + 28), face, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
        word = np.full((cell, 160, 3), 255, np.uint8)
        cv2.putText(word, name[:24], (2, 28), face, 0.36, (0, 0, 0), 1, cv2.LINE_AA)
        picture[top - 160 : top, left + i * cell : left + (i + 1) * cell] = np.rot90(word)
        for j in range(count):
            x, value = left + j * cell, float(share[i, j])
            shade = (255, int(255 - 150 * value), int(255 - 230 * value))
            cv2.rectangle(picture, (x, y), (x + cell - 2, y + cell - 2), shade, -1)
            if value >= 0.005:
                cv2.putText(picture, f"{100 * value:.0f}", (x + 12, y + 28), face, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.imwrite(str(path), picture)
