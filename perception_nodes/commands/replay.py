"""`perception replay`: a bag through its nodes (over DDS) or their sessions (offline), recorded, scored, drawn."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perception_nodes.bags.reader import BagReader
from perception_nodes.streaming.bag_inputs import PICTURES, BagInputs, find_inputs
from perception_nodes.streaming.result import ReplayResult
from perception_nodes.streaming.video_plan import VideoPlan

EVENTS_MODEL = "tsm-events-online"
RECORDED_SCORE = 0.05  # average precision is over all scores and every class's boxes, not over the sure ones alone


def run(
    bag: Path,
    record: Path | None = None,
    *,
    rate: float = 0.0,
    start: float = 0.0,
    duration: float | None = None,
    model: str = "spvnas-lite",
    precision: str = "auto",
    threads: int = 2,
    nodes: Sequence[str] = (),
    cameras: Sequence[str] = (),
    video_model: str = EVENTS_MODEL,
    video_threads: int = 1,
    runtime: str = "auto",
    detector: str = "",
    offline: bool = False,
    view: bool = False,
    report: bool = True,
    root: Path = Path("results"),
) -> Path | None:
    """Replay, then evaluate against the bag itself; returns the results folder (None without a report).

    nodes: of streaming.bag_inputs.NODES; none: all that the bag has input for. cameras: names; see `find_inputs`.
    Raises BagError, ModelError, ViewerError or ImportError (no rclpy), each one sentence.
    """
    with BagReader(bag) as reader:  # a bad bag ends it here, before a network is loaded
        seconds, topics = reader.duration_s, reader.topics()
        inputs = find_inputs(reader, nodes, cameras=cameras)
    if not nodes:
        inputs = _runnable(inputs, video_model)
    faint = {"detector.min_score": RECORDED_SCORE, "detector.max_overlap": 1.0}
    video = VideoPlan(inputs.cameras, video_model, runtime, video_threads, detector, faint) if inputs.cameras else None
    options: dict[str, Any] = {
        "model": model, "precision": precision, "threads": threads, "start": start, "duration": duration,
        "segmentation": bool(inputs.points), "video": video,
    }  # fmt: skip
    messages = sum(topics[name].count for name in (inputs.points, *inputs.cameras.values()) if name)
    with tempfile.TemporaryDirectory(prefix="perception_") as scratch:
        out = record if record is not None else Path(scratch) / "outputs"
        result = play(bag, out, messages, seconds, rate=rate, offline=offline, view=view, options=options)
        print_result(result)
        if record is not None:
            print(f"recorded: {record}")
        if not report:
            return None
        from perception_nodes.evaluation.evaluate import evaluate
        from perception_nodes.evaluation.show import print_metrics

        folder = evaluate(out, bag, root)
        print_metrics(folder)
        return folder


def _runnable(inputs: BagInputs, video_model: str) -> BagInputs:
    """Without the default model for events a bag with clouds is replayed all the same, and it is said."""
    from models.facts import list_models

    if video_model == EVENTS_MODEL and EVENTS_MODEL not in list_models() and inputs.points and inputs.cameras:
        print(f"events are left out: no model {EVENTS_MODEL} here (choose another with --video-model)")
        return BagInputs(inputs.points)
    return inputs


def play(
    bag: Path,
    out: Path,
    messages: int,
    seconds: float,
    *,
    rate: float,
    offline: bool,
    view: bool,
    options: dict[str, Any],
) -> ReplayResult:
    """Run the replay with a progress bar, live (optionally watched) or offline."""
    from rich.progress import Progress

    with Progress() as bar:
        if offline:
            from perception_nodes.streaming.offline import offline as replay_offline

            task = bar.add_task("reading", total=messages)
            return replay_offline(bag, out, progress=lambda done: bar.update(task, completed=done), **options)
        from perception_nodes.nodes.replay import replay

        task = bar.add_task("replaying over DDS", total=options["duration"] or seconds)
        watch = Watch(bag) if view else None
        try:
            extra = watch.options() if watch else {}
            return replay(bag, out, rate=rate, progress=lambda at: bar.update(task, completed=at), **options, **extra)
        finally:
            if watch:
                watch.close()


class Watch:
    """A live viewer for a replay: plays the bag's cameras too and logs every recorded output as it arrives."""

    def __init__(self, bag: Path) -> None:
        from perception_nodes.viewer.live import LiveViewer

        with BagReader(bag) as reader:
            self._cameras = tuple(topic for kind in PICTURES for topic in reader.topics_of(kind))
        self._viewer = LiveViewer(bag.name)

    def options(self) -> dict[str, Any]:
        """Arguments for `replay`: what else to play, and who listens."""
        return {"topics": self._cameras, "listener": self._viewer.log.message}

    def close(self) -> None:
        """Wait for a key where somebody can press one, then end the viewer."""
        import sys

        if sys.stdin.isatty():
            input("press Enter to close the viewer ")
        self._viewer.close()


def print_result(result: ReplayResult) -> None:
    """One line a node: messages and answers of the replay itself."""
    for name, node in result.nodes.items():
        what = "sweeps" if name == "spvcnn_node" else "pictures"
        print(f"{name}: {node.frames_out} of {node.frames_in} {what} answered, {node.dropped} dropped")
