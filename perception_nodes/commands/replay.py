"""`perception replay`: a bag through the segmentation node (over DDS) or session (offline), recorded, scored, drawn."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from perception_nodes.bags.reader import BagReader
from perception_nodes.streaming.result import ReplayResult


def run(
    bag: Path,
    record: Path | None = None,
    *,
    rate: float = 0.0,
    start: float = 0.0,
    duration: float | None = None,
    model: str = "spvcnn-lite",
    precision: str = "auto",
    threads: int = 2,
    offline: bool = False,
    view: bool = False,
    report: bool = True,
    root: Path = Path("results"),
) -> Path | None:
    """Replay, then evaluate against the bag itself; returns the results folder (None without a report).

    Raises BagError, ModelError, ViewerError or ImportError (no rclpy), each one sentence.
    """
    with BagReader(bag) as reader:  # a bad bag ends it here, before a network is loaded
        seconds, clouds = reader.duration_s, sum(t.count for t in reader.topics().values() if is_cloud(t.type))
    options: dict[str, Any] = {
        "model": model, "precision": precision, "threads": threads, "start": start, "duration": duration,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="perception_") as scratch:
        out = record if record is not None else Path(scratch) / "outputs"
        result = label_bag(bag, out, clouds, seconds, rate=rate, offline=offline, view=view, options=options)
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


def label_bag(
    bag: Path,
    out: Path,
    clouds: int,
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
            from perception_nodes.streaming.offline import offline as label

            task = bar.add_task("labelling", total=clouds)
            return label(bag, out, progress=lambda done: bar.update(task, completed=done), **options)
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
            self._cameras = tuple(reader.topics_of("sensor_msgs/msg/CompressedImage"))
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


def is_cloud(type_name: str) -> bool:
    """True for the type of LiDAR topics."""
    return type_name == "sensor_msgs/msg/PointCloud2"


def print_result(result: ReplayResult) -> None:
    """One line: frames and latency of the replay itself."""
    print(f"{result.frames_out} of {result.frames_in} sweeps answered, {result.dropped} dropped")
