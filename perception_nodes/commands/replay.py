"""`perception replay`: a bag through its nodes (over DDS) or their sessions (offline), recorded, scored, drawn."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from perception_nodes.bags.reader import BagReader
from perception_nodes.children import until_interrupted
from perception_nodes.commands.words import say_next
from perception_nodes.config import parameters_of
from perception_nodes.streaming.bag_inputs import PICTURES
from perception_nodes.streaming.result import ReplayResult
from perception_nodes.systems import PANELS, SCORERS
from perception_nodes.systems.run import SystemRun, find_runs

REMARKS = 8  # lines of what went wrong, below the counts


class ReplayError(ValueError):
    """The replay cannot be run, or its answers are not complete; the message says why."""


def run(
    bag: Path,
    record: Path | None = None,
    *,
    rate: float = 0.0,
    patient: bool = False,
    start: float = 0.0,
    duration: float | None = None,
    points: str = "",
    nodes: Sequence[str] = (),
    cameras: Sequence[str] = (),
    offline: bool = False,
    view: bool = False,
    report: bool = True,
    untrained: bool = False,
    network: bool = False,
    domain: int | None = None,
    root: Path = Path("results"),
    **options: Any,
) -> Path | None:
    """Replay, then evaluate against the bag itself; returns the results folder (None without a report).

    Args:
        start, duration: the part of the bag, s. points: topic of the clouds; "": see `points_topic`.
        nodes: names of systems; none: all that the bag has input for. cameras: names; see `find_runs`.
        untrained: a system whose default model is not here runs with random weights; else it is left out.
        patient, network, domain: see `nodes.replay.ReplayOptions`.
        options: launch arguments of the systems (model, threads …) by name; None: its default.

    Raises BagError, ModelError, ViewerError, ReplayError or ImportError (no rclpy), each one sentence.
    """
    with BagReader(bag) as reader:  # a bad bag ends it here, before a network is loaded
        seconds, topics = reader.duration_s, reader.topics()
        check_part(bag, seconds, start, duration)
        runs = find_runs(reader, nodes, cameras, options, points=points)
    if not nodes:
        runs = runnable(runs, options, untrained)
    check_models(runs)
    if report:
        from perception_nodes.evaluation.results import check_root

        check_root(root)
    played = dict.fromkeys(topic for run in runs for topic in run.topics.values())
    messages = sum(topics[name].count for name in played)
    part: dict[str, Any] = {"start": start, "duration": duration}
    live: dict[str, Any] = {"network": network, "domain": domain, "patient": patient}
    with tempfile.TemporaryDirectory(prefix="perception_") as scratch:
        out = record if record is not None else Path(scratch) / "outputs"
        result = play(bag, out, runs, messages, seconds, rate=rate, offline=offline, view=view, part=part, live=live)
        print_result(result, runs)
        if record is not None:
            print(f"recorded: {record}")
        if not report:
            refuse_silence(result)
            if record is not None:
                say_next("evaluate", record, "--truth", bag)
            return None
        if not any(node.replies for node in result.nodes.values()):
            raise ReplayError(f"{bag}: {_why_nothing(result, runs, start, duration)}; there is nothing to score")
        from perception_nodes.evaluation.show import print_metrics
        from perception_nodes.systems.evaluate import evaluate

        folder = evaluate(out, bag, root)
        print_metrics(folder, SCORERS)
        refuse_silence(result)
        say_next(*(("view", record, "--with", bag) if record is not None else ("view", bag)))
        return folder


def check_models(runs: Sequence[SystemRun]) -> None:
    """Raises ModelError where a network that was asked for is not here, ConfigError for a value that is not allowed."""
    from models.facts import load_facts

    for run in runs:
        if run.open_session is None:
            values = dict(parameters_values(run.config))
            for parameter in run.system.launch.options():
                if (parameter == "model.name" or parameter.endswith(".model")) and values.get(parameter):
                    load_facts(values[parameter])


def parameters_values(config: Any) -> Iterator[tuple[str, Any]]:
    """Dotted name and value of every parameter of a config."""
    for parameter in parameters_of(type(config)):
        value = config
        for part in parameter.name.split("."):
            value = getattr(value, part)
        yield parameter.name, value


def check_part(bag: Path, seconds: float, start: float, duration: float | None) -> None:
    """Raises ReplayError where a part begins or ends outside a bag of so many seconds."""
    if not 0 <= start <= seconds:
        raise ReplayError(f"found --start {start:g}, but {bag} is {seconds:.1f} s long: expected 0 to {seconds:.1f}")
    if duration is not None and not duration > 0:
        raise ReplayError(f"found --duration {duration:g}, expected seconds above 0")


def _why_nothing(result: ReplayResult, runs: Sequence[SystemRun], start: float, duration: float | None) -> str:
    """One sentence: no message in the part that was played, or none that was answered."""
    sent = sum(node.frames_in for node in result.nodes.values())
    if sent:
        return f"none of its {sent} messages was answered"
    read = ", ".join(dict.fromkeys(topic for run in runs for topic in run.topics.values()))
    until = "its end" if duration is None else f"{start + duration:g} s"
    return f"no message on {read} from {start:g} s to {until}"


def runnable(runs: list[SystemRun], options: dict[str, Any], untrained: bool) -> list[SystemRun]:
    """The runs whose default model is here. The others are left out or, with `untrained`, run with random weights where
    there is such a network; either is printed."""
    from models.facts import list_models

    held, kept = list_models(), []
    for run in runs:
        model = run.system.launch.options().get("model.name")
        if model is None or options.get(model.name) not in (None, model.default) or model.default in held:
            kept.append(run)
        elif untrained and _has_preset(model.default):
            print(f"{run.system.name}: no model {model.default} here yet: random weights, so its answers mean nothing")
            kept.append(replace(run, parameters={**run.parameters, "model.name": f"random:{model.default}"}))
        elif len(runs) > 1:
            option = model.name.replace("_", "-")
            print(f"{run.system.name} is left out: no model {model.default} here (choose another with --{option})")
    return kept or runs


def _has_preset(name: str | None) -> bool:
    from models.facts import ModelError, load_facts

    try:
        load_facts(f"random:{name}")
    except ModelError:
        return False
    return True


def play(
    bag: Path,
    out: Path,
    runs: Sequence[SystemRun],
    messages: int,
    seconds: float,
    *,
    rate: float,
    offline: bool,
    view: bool,
    part: dict[str, Any],
    live: dict[str, Any],
) -> ReplayResult:
    """Run the replay with a progress bar, live (optionally watched) or offline."""
    from rich.progress import Progress

    names = ", ".join(run.system.node_name for run in runs)
    with Progress() as bar:
        task = bar.add_task(f"loading {names}", total=None)  # until the first progress
        if not bar.console.is_terminal:
            print(f"loading {names} …", flush=True)
        if offline:
            from perception_nodes.systems.offline import offline as replay_offline

            def read(done: float) -> None:
                bar.update(task, description="reading", total=messages, completed=done)

            return replay_offline(bag, out, runs, progress=read, **part)
        from perception_nodes.nodes.replay import replay

        length = part["duration"] or seconds - part["start"]

        def played(at: float) -> None:
            done = min(max(at - part["start"], 0.0), length)
            bar.update(task, description="replaying over DDS", total=length, completed=done)

        watch = Watch(bag) if view else None
        try:
            extra = watch.options() if watch else {}
            result = replay(bag, out, runs, rate=rate, progress=played, **part, **live, **extra)
            bar.update(task, total=length, completed=length)
            return result
        finally:
            if watch:
                bar.stop()  # it would write over the prompt
                watch.close()


class Watch:
    """A live viewer for a replay: plays the bag's cameras too and logs every recorded output as it arrives."""

    def __init__(self, bag: Path) -> None:
        from perception_nodes.viewer.live import LiveViewer
        from perception_nodes.viewer.view import sensors_of

        with BagReader(bag) as reader:
            self._cameras = tuple(topic for kind in PICTURES for topic in reader.topics_of(kind))
            self._viewer = LiveViewer(bag.name, panels=PANELS, **sensors_of([reader]))

    def options(self) -> dict[str, Any]:
        """Arguments for `replay`: what else to play, and who listens."""
        return {"topics": self._cameras, "listener": self._viewer.log.message}

    def close(self) -> None:
        """Wait for a key where somebody can press one, then end the viewer."""
        try:
            if sys.stdin.isatty():
                with contextlib.suppress(EOFError), until_interrupted():  # the report follows all the same
                    input("press Enter to close the viewer ")
        finally:
            self._viewer.close()


def refuse_silence(result: ReplayResult) -> None:
    """Raises ReplayError where answers that were waited for never came."""
    silent = [name for name, node in result.nodes.items() if node.frames_in and not node.replies]
    if silent:
        raise ReplayError(f"{', '.join(silent)} answered nothing{''.join('; ' + w for w in result.warnings)}")
    if result.unanswered:
        raise ReplayError(
            f"{result.unanswered} messages got no answer although the replay waited for each one"
            f"{''.join('; ' + warning for warning in result.warnings)}"
        )


def print_result(result: ReplayResult, runs: Sequence[SystemRun]) -> None:
    """One line a node: messages and answers of the replay itself."""
    for run in runs:
        node, what = result.nodes[run.system.node_name], run.system.inputs.noun
        name = run.system.node_name
        apart = "".join(f", {count} {state.replace('_', ' ')}" for state, count in node.apart.items())
        print(f"{name}: {node.frames_out} of {node.frames_in} {what} answered{apart}, {node.dropped} dropped")
    for text in result.warnings[:REMARKS]:
        print(f"  {text}")
    if len(result.warnings) > REMARKS:
        print(f"  and {len(result.warnings) - REMARKS} more remarks")
