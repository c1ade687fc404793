"""Scores video detectors on clips of held-out worlds, and releases checkpoints.

    python -m training.evaluate_detector2d runs/detector2d/tsn-detector-lite.checkpoint.safetensors \\
        runs/detector2d/tsm-detector-lite.checkpoint.safetensors
    python -m training.evaluate_detector2d tsm-detector-lite

A checkpoint's averaged weights are first written to `--out`/<name> (weights.safetensors, model.yaml). Then every model
sees the same clips of the test split frame by frame, as the node would; metrics.json and CARD.md go beside its weights.
Give the twin without shift first: its scores are quoted by tsm-detector-lite's card.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from models.tsm.detector_session import VideoDetector
from perception_nodes.evaluation.detection2d import WINDOW_S, Detection2dScorer, TrueBoxes2D, hard_to_see, motion_ious
from training.detector2d_clips import truth_of
from training.video_cache import RATE, Clip

MOTION_WINDOW = max(1, round(WINDOW_S * RATE))  # frames


def score_clips(
    detector: VideoDetector, clips: Sequence[Clip], scorer: Detection2dScorer, show: Callable[[], None] = lambda: None
) -> None:
    """Streams clips through a detector, from empty caches each, and counts every frame; `show` after each clip."""
    for clip in clips:
        rows = [clip.boxes(i) for i in range(len(clip))]
        motion = motion_ious([r.box for r in rows], [r.track for r in rows], MOTION_WINDOW)
        detector.reset()
        for i, row in enumerate(rows):
            boxes, label, share = truth_of(row)
            truth = TrueBoxes2D(boxes, label, hard_to_see(boxes, share), motion[i])
            found = detector.step(clip.image(i))
            scorer.add(truth, found.box, found.label, found.score)
        show()
