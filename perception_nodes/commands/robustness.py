"""`perception robustness`: restyles the cameras of a bag, runs the stack on each version, and compares."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.gan.styles import lidar_model, style_model
from perception_nodes.bags.reader import BagReader
from perception_nodes.commands.replay import check_models, check_part, runnable
from perception_nodes.commands.words import say_next
from perception_nodes.evaluation import results
from perception_nodes.evaluation.agreement import Agreement, agreements
from perception_nodes.evaluation.errors import EvaluationError
from perception_nodes.evaluation.latency import percentiles
from perception_nodes.evaluation.recorded import stamped
from perception_nodes.evaluation.robustness import Variant, as_metrics, flat_scores, is_detail, write_report
from perception_nodes.messages.detections2d import read_detections2d
from perception_nodes.messages.image import decode_image
from perception_nodes.streaming.bag_inputs import camera_topics
from perception_nodes.systems import SCORERS
from perception_nodes.systems.evaluate import evaluate
from perception_nodes.systems.gan.restyle_bag import (
    Restyling,
    copy_part,
    lidar_topics,
    nothing_to_restyle,
    restyle_bag,
)
from perception_nodes.systems.offline import offline
from perception_nodes.systems.run import SystemRun, find_runs

WORST = 3  # pictures of each style
WIDTH = 640  # px of a picture in the report
LEAST_DRAWN = 0.3  # score of a box that is drawn
BOXES = "vision_msgs/msg/Detection2DArray"


class RobustnessError(ValueError):
    """The comparison cannot be made; the message says why."""


def run(
    bag: Path,
    styles: Sequence[str],
    *,
    strength: float = 1.0,
    nodes: Sequence[str] = (),
    cameras: Sequence[str] = (),
    start: float = 0.0,
    duration: float | None = None,
    keep: Path | None = None,
    threads: int = 2,
    root: Path = Path("results"),
    **options: Any,
) -> Path:
    """Compares, and returns the results folder with report.html and metrics.json.

    Args:
        styles: names, see `models.gan.styles`. strength: of the styles. nodes, cameras, start, duration, options: as
            for `perception replay`; systems without a camera are left out. keep: folder for the restyled bags.

    Raises BagError, ModelError, RobustnessError, ReplayError: one sentence each.
    """
    for style in styles:  # before anything is computed
        style_model(style)
    if not styles or len(set(styles)) < len(styles):
        given = ",".join(styles) or "(none)"
        raise RobustnessError(f"found --styles {given}; expected names, each once, such as night,rain,fog")
    with BagReader(bag) as reader:
        check_part(bag, reader.duration_s, start, duration)
        weather = any(lidar_model(style) for style in styles)
        if not camera_topics(reader) and not (weather and lidar_topics(reader)):
            raise RobustnessError(nothing_to_restyle(reader))
        found = find_runs(reader, nodes, cameras, options)
    runs = [one for one in found if one.system.inputs.cameras or weather]
    if not nodes:
        runs = runnable(runs, options, untrained=False) if runs else []
    if not runs:
        raise RobustnessError(f"{bag}: none of the systems asked for reads a sensor that these styles change")
    check_models(runs)
    results.check_root(root)
    folder = results.new_folder(root)
    try:
        with tempfile.TemporaryDirectory(prefix="perception_") as scratch:
            work = Work(bag, runs, folder, Path(scratch), start, duration)
            original = work.original()
            styled = [work.styled(style, strength, threads, keep) for style in styles]
        notes = _notes(found, runs, styled)
        results.write_metrics(folder, as_metrics(original, styled))
        settings = {"bag": str(bag), "styles": list(styles), "strength": strength, "start": start, "duration": duration}
        results.write_config(folder, settings | {"systems": [one.system.name for one in runs]})
        write_report(folder, bag.name, original, styled, notes)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    results.point_latest(folder)
    show(original, styled)
    print(f"report: {folder / 'report.html'}")
    say_next("replay", bag, "--nodes", "gan", "--style", styles[0])
    return folder


class Work:
    """The original and its versions. folder: of the results · scratch: for bags that are not kept."""

    def __init__(
        self, bag: Path, runs: list[SystemRun], folder: Path, scratch: Path, start: float, duration: float | None
    ) -> None:
        self.bag, self.runs, self.folder, self.scratch = bag, runs, folder, scratch
        self.start, self.duration = start, duration
        self._first = scratch / "original_bag"

    def original(self) -> Variant:
        """The stack on the bag's own pictures."""
        copy_part(self.bag, self._first, self.start, self.duration)
        return self._variant("original", self._first, self.runs)

    def styled(self, style: str, strength: float, threads: int, keep: Path | None) -> Variant:
        """The stack on the bag's pictures in a style."""
        bag = (keep or self.scratch) / f"{self.bag.stem}_{style.replace('/', '_').replace(':', '_')}"
        made = self._restyled(bag, style, strength, threads)
        runs = [run for run in self.runs if run.system.inputs.cameras or lidar_model(style)]
        variant = self._variant(style, bag, runs)
        with BagReader(self.scratch / "original_out") as before, BagReader(self.scratch / f"{bag.name}_out") as after:
            answered = {output.topic for run in runs for output in run.recorded()}
            found = [one for one in agreements(before, after) if one.topic in answered]
            variant.agreement = {a.topic: {"mean": round(a.mean, 4), "messages": len(a.rows)} for a in found}
            variant.worst = self._pictures(style, found, bag, (before, after))
        variant.style_ms = percentiles(list(made.style_ms))
        variant.cloud_ms = percentiles(list(made.cloud_ms))
        variant.pictures, variant.clouds, variant.damaged = made.pictures, made.clouds, made.damaged
        if keep is None:
            shutil.rmtree(bag, ignore_errors=True)
        return variant

    def _restyled(self, bag: Path, style: str, strength: float, threads: int) -> Restyling:
        from rich.progress import Progress

        with BagReader(self._first) as reader, Progress() as bar:
            task = bar.add_task(f"restyling, {style}", total=reader.count)
            read = {topic for run in self.runs for topic in run.topics.values()}
            options: dict[str, Any] = {"topics": read, "progress": lambda done: bar.update(task, completed=done)}
            return restyle_bag(self._first, bag, style, strength, threads, **options)

    def _variant(self, name: str, bag: Path, runs: Sequence[SystemRun]) -> Variant:
        """Runs the systems on a bag, and scores their answers where there is ground truth."""
        from rich.progress import Progress

        out = self.scratch / ("original_out" if name == "original" else f"{bag.name}_out")
        with BagReader(bag) as reader, Progress() as bar:
            topics = reader.topics()
            played = {topic for one in runs for topic in one.topics.values()}
            task = bar.add_task(f"running the stack, {name}", total=sum(topics[t].count for t in played if t in topics))
            done = offline(bag, out, runs, progress=lambda count: bar.update(task, completed=count))
        scores: dict[str, float] = {}
        report = ""
        try:
            scored = evaluate(out, bag, self.folder / "runs" / name.replace("/", "_"))
            scores = flat_scores(json.loads((scored / "metrics.json").read_text()), [s.key for s in SCORERS])
            report = str((scored / "report.html").relative_to(self.folder))
        except EvaluationError as error:
            print(f"{name}: no scores: {error}")
        latency = {node: dict(found.latency_ms) for node, found in done.nodes.items()}
        return Variant(name, scores, latency, report=report)

    def _pictures(
        self, style: str, found: Sequence[Agreement], bag: Path, outs: tuple[BagReader, BagReader]
    ) -> list[tuple[str, str]]:
        """Original beside restyled, of the messages of a stack that agree least."""
        from perception_nodes.viewer.pictures import save, side_by_side
        from perception_nodes.viewer.video_pictures import overlay

        rows = [(a.topic, row) for a in found for row in a.worst(WORST)]
        rows = sorted(rows, key=lambda row: row[1].agreement)[:WORST]
        shown = []
        with BagReader(self._first) as before, BagReader(bag) as after:
            cameras = camera_topics(before)
            for i, (topic, row) in enumerate(rows):
                name = row.of.removeprefix("camera_")
                camera = name if name in cameras else "front" if "front" in cameras else next(iter(cameras))
                both = [_nearest(reader, cameras[camera], row.stamp_ns) for reader in (before, after)]
                boxes = [_boxes(reader, image) for reader, image in zip(outs, both)]
                views = [overlay(image.rgb, None, {}, found, width=WIDTH) for image, found in zip(both, boxes)]
                file = f"pictures/{style.replace('/', '_').replace(':', '_')}_{i}.jpg"
                save(self.folder / file, side_by_side(list(zip(("original", style), views))))
                at = f"{style}, {(row.stamp_ns - before.start_ns) * 1e-9:.2f} s"
                shown.append((file, f"{at}: {topic} agrees to {row.agreement:.2f}; camera {camera}"))
        return shown


def _nearest(reader: BagReader, topic: str, stamp_ns: int) -> Any:
    """The picture of a topic whose stamp is nearest."""
    return decode_image(min(stamped(reader, topic), key=lambda row: abs(row[0] - stamp_ns))[1])


def _boxes(out: BagReader, image: Any) -> Any:
    """The recorded boxes of a picture, or None."""
    for topic in out.topics_of(BOXES):
        for _, message in stamped(out, topic):
            boxes = read_detections2d(message)
            if (boxes.stamp_ns, boxes.frame_id) == (image.stamp_ns, image.frame_id):
                return boxes.above(LEAST_DRAWN)
    return None


def _notes(found: Sequence[SystemRun], runs: Sequence[SystemRun], styled: Sequence[Variant]) -> list[str]:
    """What a reader must know of the comparison."""
    blind = [one.system.node_name for one in found if not one.system.inputs.cameras]
    still = [variant.name for variant in styled if not lidar_model(variant.name)]
    notes = []
    if blind and still:
        notes.append(f"{', '.join(blind)}: reads no camera, so {', '.join(still)} does not change its answers.")
    if any(variant.clouds for variant in styled):
        notes.append("Points that a style takes away have no label any more: they count as missed.")
    for variant in styled:
        if variant.damaged:
            notes.append(f"{variant.name}: {variant.damaged} messages cannot be decoded; they are as in the original.")
    return notes


def show(original: Variant, styled: Sequence[Variant]) -> None:
    """The headline scores and agreements on the terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("score or agreement", "original", *(variant.name for variant in styled), title="robustness")
    for name, value in original.scores.items():
        if not is_detail(name):
            cells = [f"{v.scores[name]:.3f}" if name in v.scores else "no data" for v in styled]
            table.add_row(escape(name), f"{value:.3f}", *cells)
    for topic in sorted({topic for variant in styled for topic in variant.agreement}):
        cells = [f"{v.agreement[topic]['mean']:.3f}" if topic in v.agreement else "no data" for v in styled]
        table.add_row(f"agreement, {escape(topic)}", "", *cells)
    Console().print(table)
