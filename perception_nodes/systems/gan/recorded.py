"""Recorded style messages of a bag: which pictures got which style, and a few of them before and after."""

from __future__ import annotations

from collections import Counter

import numpy as np

from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.recorded import stamped
from perception_nodes.evaluation.scorer import Recording, Scored
from perception_nodes.messages.image import decode_image
from perception_nodes.systems.gan.outputs import read_style
from perception_nodes.viewer import pictures

SHOWN = 6


def evaluate_styles(recording: Recording, style_topic: str, comparison_topic: str) -> Scored:
    """`style` of metrics.json: pictures by style and setting. Raises EvaluationError where nothing was recorded."""
    rows = [read_style(raw) for _, _, _, raw in recording.out.messages([style_topic])]
    if not rows:
        raise EvaluationError(f"{recording.out.path}: {style_topic} holds no message: no picture was restyled")
    styles = Counter(row["style"] or "unchanged" for row in rows)
    settings = Counter(f"resolution {row['resolution']}, channel_ratio {row['channel_ratio']:g}" for row in rows)
    metrics = {"pictures": dict(styles), "settings": dict(settings)}
    shown: list[tuple[str, str]] = []
    if comparison_topic in recording.out.topics():
        count = recording.out.topics()[comparison_topic].count
        wanted = {int(i) for i in np.linspace(0, count - 1, min(SHOWN, recording.pictures or SHOWN, count))}
        for i, (_, message) in enumerate(stamped(recording.out, comparison_topic)):
            if i in wanted:
                file = f"pictures/style_{i:05d}.jpg"
                pictures.save(recording.folder / file, decode_image(message).rgb)
                shown.append((file, f"picture {i}: before, and after"))
    return Scored(metrics, shown, answered=len(rows))
