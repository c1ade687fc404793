"""Systems on a bag without ROS: the same bytes through the same input and runner as in the node, so equal outputs."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from perception_nodes.bags.reader import BagMessage, BagReader
from perception_nodes.bags.writer import BagWriter
from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.source import TF_STATIC
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.states import HELD
from perception_nodes.streaming.inputs import Note, Pushed, Sample
from perception_nodes.streaming.remarks import Remarks
from perception_nodes.streaming.result import NodeResult, ReplayResult
from perception_nodes.streaming.stopwatch import Percentiles, Stopwatch
from perception_nodes.systems.run import SystemRun
from perception_nodes.systems.runner import Heard, Runner
from perception_nodes.systems.system import is_trained


def offline(
    bag: str | Path,
    out: str | Path | None,
    runs: Sequence[SystemRun],
    *,
    start: float = 0.0,
    duration: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> ReplayResult:
    """Runs systems on every message of a bag and writes the results that their nodes would have sent.

    Args:
        bag: rosbag2 folder or file. out: bag to write, or None.
        start, duration: seconds of the bag (duration None: to the end).
        progress: called with the number of messages read, after each.

    Raises:
        BagError: the bag cannot be read, or `out` cannot be written.
    """
    with ExitStack() as stack:
        reader = stack.enter_context(BagReader(bag))
        writer = stack.enter_context(BagWriter(out)) if out is not None else None
        passes = [_Pass(run, reader, writer) for run in runs]
        for one in passes:
            one.begin(reader.start_ns)
        topics = [topic for one in passes for topic in (*one.streams, *one.feeds)]
        began, bag_ns = time.monotonic(), reader.start_ns
        latched = {topic for one in passes for topic, feed in one.feeds.items() if feed == TF_STATIC}
        # As the player does: latched transforms from before the start.
        for message in reader.messages(latched, 0.0, start) if latched and start > 0 else ():
            for one in passes:
                one.take(message)
        for seen, message in enumerate(reader.messages(topics, start, duration), 1):
            bag_ns = message.stamp_ns
            for one in passes:
                one.take(message)
            if progress is not None:
                progress(seen)
        for one in passes:
            one.end(bag_ns)
        warnings = tuple(f"{one.run.system.node_name}: {text}" for one in passes for text in one.remarks.sentences())
        nodes = {one.run.system.node_name: one.result() for one in passes}
        path = Path(out) if out is not None else None
        found = ReplayResult.of(nodes, path, None, time.monotonic() - began, warnings)
        if writer is not None:
            writer.note("replay", json.dumps(found.as_dict()))
        return found


class _Pass:
    """One system on its way through a bag."""

    def __init__(self, run: SystemRun, reader: BagReader, writer: BagWriter | None) -> None:
        self.run, self._writer = run, writer
        config = run.config
        self._input = run.system.inputs.open(config)
        self._runner = Runner(run.system, config, run.open_session)
        self.streams = {topic: stream for stream, topic in run.topics.items()}
        self.feeds = {topic: feed for feed, topic in run.calibration.items()}
        known = reader.topics()
        self._runner.kinds.update({s: known[topic].type for topic, s in self.streams.items() if topic in known})
        self._wanted = self._runner.wanted({output.name for output in run.recorded()})
        self._heard = Heard(self._note, self._reject, lambda key, value: None)
        self._network, self._total = Percentiles(), Percentiles()
        self._answered = set(run.answered)
        self.remarks = Remarks()
        self._seen, self._states = 0, Counter[str]()

    def begin(self, start_ns: int) -> None:
        """Writes the class tables."""
        for output, table in self._runner.tables():
            if self._writer is not None:
                self._writer.write(f"{output.topic}/classes", table, start_ns, "std_msgs/msg/String")

    def take(self, message: BagMessage) -> None:
        """Takes one stored message; one of a topic that is not read is passed over."""
        if message.topic in self.feeds:
            self._calibrate(message)
        stream = self.streams.get(message.topic)
        if stream is None:
            return
        self._seen += stream in self._answered
        try:
            self._hand_on(self._input.push(stream, message.raw), message.stamp_ns)
        except MessageError as error:
            self._reject(stream, error)

    def _calibrate(self, message: BagMessage) -> None:
        assert self._runner.calibration is not None
        try:
            rectified = getattr(self.run.config.calibration, "rectified", False)
            self._runner.calibration.take(self.feeds[message.topic], message.raw, rectified)
        except (MessageError, CalibrationError) as error:
            self.remarks.note(f"{message.topic}: {error}")

    def end(self, bag_ns: int) -> None:
        """The end of the bag: what still waits is worked on."""
        self._hand_on(self._input.flush(), bag_ns)

    def _hand_on(self, pushed: Pushed, bag_ns: int) -> None:
        for note in pushed.notes:
            self._note(note)
        for sample in pushed.samples:
            self._process(sample, bag_ns)

    def _process(self, sample: Sample, bag_ns: int) -> None:
        watch, states = Stopwatch(), Counter[str]()
        for made in self._runner.process(sample, self._wanted, watch, self._heard):
            if made.output is self.run.system.answer:
                states[self.run.state_of_answer(made.raw)] += 1
            if self._writer is not None:
                topic = self._runner.topic_of(made.output, made.stream)
                self._writer.write(topic, made.raw, bag_ns, made.output.type)
        self._states += states
        if states.total() > states[HELD]:
            times = watch.milliseconds()
            self._network.add(times["inference"])
            self._total.add(times["total"])

    def _reject(self, stream: str, error: MessageError) -> None:
        of = f"camera {stream}: " if self.run.system.inputs.cameras and stream in self.run.config.cameras else ""
        self.remarks.note(f"{of}{error}")

    def _note(self, note: Note) -> None:
        if note.level:
            self.remarks.note(note.sentence, note.by)

    def result(self) -> NodeResult:
        """The figures so far."""
        name, network = self._runner.networks[0]
        return NodeResult(
            frames_in=self._seen,
            frames_out=self._states[""],
            apart={state: count for state, count in sorted(self._states.items()) if state},
            latency_ms=self._total.summary(),
            network_ms=self._network.summary(),
            model=name,
            engine=str(getattr(network, "engine", "")),
            trained=is_trained(network),
        )
