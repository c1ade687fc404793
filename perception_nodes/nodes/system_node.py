"""SystemNode: the lifecycle node of any system. Glue only: bytes to the input, samples to the runner, messages out."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.publisher import Publisher
from rclpy.timer import Timer

from perception_nodes.calibration.source import TF, TF_STATIC, CalibrationSource
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import header_stamp_ns
from perception_nodes.messages.states import HELD
from perception_nodes.nodes.calibration_listener import CalibrationListener
from perception_nodes.nodes.message_types import find_message_type
from perception_nodes.nodes.node import PerceptionNode
from perception_nodes.nodes.qos import LATCHED
from perception_nodes.nodes.subscriptions import Subscriptions
from perception_nodes.nodes.tf_type import TF_MESSAGE, raw_message_type
from perception_nodes.nodes.timing import TimingTopics
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.inputs import Input, Note, Pushed, Sample
from perception_nodes.streaming.stopwatch import Stopwatch
from perception_nodes.streaming.worker import FOREIGN_CLOCK_S, Worker
from perception_nodes.systems.inputs import POINTS
from perception_nodes.systems.runner import Heard, Made, Runner
from perception_nodes.systems.system import System, is_trained

POLL_S = 0.02  # between looks at waits that may be over


class SystemNode(PerceptionNode[Any]):
    """Runs a system on live topics; an output is computed only while somebody subscribes to it.

    The intake's thread judges stamps and leaves samples for the worker; decoding, inference and publishing happen on
    the worker's thread, so that the node answers to services and parameters while the network computes.

    Args:
        system: its declaration.
        open_session: used instead of `system.open`, with the node's parameters; called in on_configure.
        name: node name; None: the system's.
        kwargs: see `PerceptionNode`.
    """

    def __init__(
        self,
        system: System,
        open_session: Callable[[Any], Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name or system.node_name, system.config, aspects=("input", "processing", "model"), **kwargs)
        self.system = system
        self.runner: Runner | None = None
        self.worker: Worker | None = None
        self.arrived: Counter[str] = Counter()  # messages taken in, by stream, those refused among them
        self.timing_listener: Callable[[str, float], None] | None = None
        self.uninstalled_listener: Callable[[str, bytes], None] | None = None  # outputs whose type is not installed
        self._open_session = open_session
        self._input: Input | None = None
        self._input_lock = threading.Lock()
        self._subscribed: Subscriptions | None = None
        self._calibration: CalibrationListener | None = None
        self._poll_timer: Timer | None = None
        self._timing: TimingTopics | None = None
        self._out: dict[str, Publisher] = {}  # by name in the node
        self._told: set[str] = set()
        self._heard = Heard(self._note_once, self._reject, lambda key, value: self.health.value("input", key, value))
        back = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False)
        self._jumps = self.get_clock().create_jump_callback(back, post_callback=self._on_clock_jump)

    @property
    def session(self) -> Any:
        """The system's session while the node is configured, else None."""
        return None if self.runner is None else self.runner.session

    # --- lifecycle ------------------------------------------------------------------------------------------------

    def load(self) -> None:
        """Opens the session and steps it once, so that the first real sample is as fast as the others."""
        runner = Runner(self.system, self.config, self._open_session)
        runner.warm_up()
        self.runner = runner
        main = runner.networks[0]
        self.health.value("model", "name", main.name)
        self.health.value("model", "engine", str(getattr(main.network, "engine", "")))
        if hasattr(main.network, "cache_bytes") or self.system.inputs.cameras:
            self.health.value("model", "cache_bytes", int(getattr(main.network, "cache_bytes", 0)))
        for name, network in runner.networks:
            if not is_trained(network):
                text = f"the weights of {name} are untrained: the answers mean nothing"
                self.health.condition("model", f"untrained {name}", Level.WARN, text)
                self.get_logger().warning(text)

    def unload(self) -> None:
        self.runner = None

    def start(self) -> None:
        config, runner = self.config, self.runner
        assert runner is not None
        self._advertise(runner)
        self._timing = TimingTopics(self, self.timing_listener)
        self.worker = Worker(
            self._process,
            lambda: None,  # the runner compares generations itself
            self.health,
            self._report_unless_ended,
            config.stream.queue,
            f"{self.get_name()} worker",
            self.system.memory_advice,
            self._timing.publish,
            lambda: (self.config.latency.warn_ms, self.config.latency.error_ms),
        )
        self.worker.start()
        self._input = self.system.inputs.open(config)
        self.arrived.clear()
        for stream in filter(self._has_status, config.cameras if self.system.inputs.cameras else ()):
            self.health.count(self._label(stream), "received", 0)
        if runner.calibration is not None:
            self._calibration = self._listen_to_calibration(runner.calibration)
        self._subscribed = Subscriptions(
            self,
            {s: self.system.inputs.topic_of(s.name, config) for s in self.system.inputs.streams(config)},
            config.qos.input,
            self._take,
            runner.kinds.__setitem__,
            self._lacking,
            self._label,
            config.input.patience_s,
            self._has_status,
        )
        if not self.get_parameter("use_sim_time").value:  # a replay is decided by stamps alone
            steady = Clock(clock_type=ClockType.STEADY_TIME)
            self._poll_timer = self.create_timer(POLL_S, self._poll, clock=steady)

    def stop(self) -> None:
        if self._poll_timer is not None:
            self.destroy_timer(self._poll_timer)
            self._poll_timer = None
        if self._subscribed is not None:
            self._subscribed.destroy()
            self._subscribed = None
        if self._calibration is not None:
            self._calibration.destroy()
            self._calibration = None
        if self.worker is not None:
            self.worker.stop()  # a step in progress ends by itself
        if self._timing is not None:
            self._timing.destroy()
            self._timing = None
        self._out.clear()
        for line in self.errors.summary():
            self.get_logger().warning(line)

    def _listen_to_calibration(self, source: CalibrationSource) -> CalibrationListener:
        """TF and CameraInfo; without TF where the middleware cannot carry TFMessage here and the system works without:
        there is a rig, or there are no cameras to be placed."""
        feeds, settings = self.system.inputs.calibration_topics(self.config), self.config.calibration
        without = bool(settings.rig) or not self.system.inputs.cameras
        if without and raw_message_type(TF_MESSAGE) is None:
            feeds = {feed: topic for feed, topic in feeds.items() if feed not in (TF_STATIC, TF)}
        rectified = getattr(settings, "rectified", False)
        return CalibrationListener(self, source, feeds, rectified, lambda feed: self.arrived.update([feed]))

    def _advertise(self, runner: Runner) -> None:
        qos, cameras = self.config.qos.output, len(self.config.cameras) if self.system.inputs.cameras else 1
        for output in runner.outputs:
            kind = find_message_type(output.type)
            if kind is None:
                self.get_logger().info(output.absent or f"{output.type} is not installed here: no {output.own_name}")
                continue
            shared = output.each and "{stream}" not in output.own_name  # a message for every camera on one topic
            depth = max(qos.depth, cameras) if shared else qos.depth
            for stream in runner.streams_of(output):
                name = runner.name_of(output, stream)
                self._out[name] = self.advertise(kind, name, qos.model_copy(update={"depth": depth}))
        text = find_message_type("std_msgs/msg/String")
        for output, table in runner.tables():
            self.advertise(text, f"{output.own_name}/classes", LATCHED).publish(table)

    # --- the intake's thread --------------------------------------------------------------------------------------

    def _take(self, stream: str, raw: bytes) -> None:
        """One message of a stream, as it comes."""
        try:
            self.health.count("input", "received")
            if self._has_status(stream):
                self.health.count(self._label(stream), "received")
            now_ns = self._now_ns(raw)
            with self._input_lock:
                assert self._input is not None
                self._hand_on(self._input.push(stream, raw, now_ns))
        except MessageError as error:
            self._reject(stream, error)
        except Exception as error:
            self.report("input", "exceptions", Level.ERROR, error)
        finally:
            self.arrived[stream] += 1

    def flush(self) -> None:
        """Ends every wait of the input: no message will come."""
        with self._input_lock:
            if self._input is not None:
                self._hand_on(self._input.flush())

    def _poll(self) -> None:
        with self._input_lock:
            if self._input is not None:
                self._hand_on(self._input.poll(time.monotonic_ns()))

    def _hand_on(self, pushed: Pushed) -> None:
        for note in pushed.notes:
            self._note(note)
        for sample in pushed.samples:
            if self.worker is not None:
                self.worker.put(sample, time.monotonic(), self._age_s(sample.stamp_ns))

    def _age_s(self, stamp_ns: int) -> float | None:
        """Seconds from a stamp to now by the node's clock; None while that does not run."""
        return (self.get_clock().now().nanoseconds - stamp_ns) * 1e-9 if self.clock_runs() else None

    def _now_ns(self, raw: bytes) -> int | None:
        """The clock that stamps are held against: the system's. A simulated one comes on a topic of its own, which may
        be seen before or after the message; and stamps of another time altogether are reported, not masked."""
        if self.get_parameter("use_sim_time").value:
            return None
        stamp_ns = header_stamp_ns(raw)
        now_ns: int = self.get_clock().now().nanoseconds
        return None if abs(now_ns - stamp_ns) > FOREIGN_CLOCK_S * 1e9 else now_ns

    def _note(self, note: Note) -> None:
        if note.level:
            self.health.event("input", note.counter, note.level, note.sentence, note.by)
            if self._has_status(note.stream):
                self.health.event(self._label(note.stream), note.counter, note.level, note.sentence, note.by)
        else:
            self.health.count("input", note.counter, note.by)
        if note.log:
            self.get_logger().info(note.sentence)

    def _note_once(self, note: Note) -> None:
        """A note on a message's content: counted each time; a warning is logged the first time."""
        self._note(note)
        if note.level and note.counter not in self._told:
            self._told.add(note.counter)
            self.get_logger().warning(note.sentence)

    def _reject(self, stream: str, error: MessageError) -> None:
        """A malformed message is dropped, counted and reported."""
        of = "" if stream == POINTS else f"{self._label(stream)}: "
        if self._has_status(stream):
            self.health.event(self._label(stream), "rejected", Level.ERROR, f"message rejected: {error}")
        self.report("input", "rejected", Level.ERROR, error, f"{of}message rejected: {error}")

    def _label(self, stream: str) -> str:
        return "the LiDAR" if self.system.inputs.cloud and stream == POINTS else f"camera {stream}"

    def _has_status(self, stream: str) -> bool:
        """True for the cameras beside a LiDAR: each has a status of its own on /diagnostics, named as its label."""
        return self.system.inputs.cloud and self.system.inputs.cameras and stream != POINTS

    def _lacking(self) -> dict[str, str]:
        with self._input_lock:
            return self._input.lacking() if self._input is not None else {}

    def _on_clock_jump(self, jump: TimeJump) -> None:
        with self._input_lock:
            if self._input is not None:
                self._input.expect_jump()

    # --- the worker's thread --------------------------------------------------------------------------------------

    def _process(self, sample: Sample, watch: Stopwatch) -> bool:
        """Works on a sample; False where the network was not run: all of its answers are held."""
        runner = self.runner
        assert runner is not None
        runner.config = self.config  # live parameters
        wanted = {
            (output.name, stream)
            for output in runner.outputs
            for stream in runner.streams_of(output)
            if self._is_wanted(runner.name_of(output, stream))
        }
        if not wanted:
            self.health.count("processing", "not_wanted")
        states = set()
        for made in runner.process(sample, wanted, watch, self._heard):
            with watch.stage("postprocess"):
                self._send(runner.name_of(made.output, made.stream), made)
            if made.output is self.system.answer and made.output.state is not None:
                states.add(made.output.state(made.raw))
        return states != {HELD}

    def is_heard(self, name: str) -> bool:
        """True where somebody subscribes to an output, or where its message type is not installed here."""
        publisher = self._out.get(name)
        return publisher is None or bool(publisher.get_subscription_count())

    def _is_wanted(self, name: str) -> bool:
        if name not in self._out:
            return self.uninstalled_listener is not None
        return self.is_heard(name)

    def _send(self, name: str, made: Made) -> None:
        publisher = self._out.get(name)
        if publisher is not None:
            publisher.publish(made.raw)
        elif self.uninstalled_listener is not None:
            self.uninstalled_listener(self.resolve_topic_name(name), made.raw)
        self.health.count("processing", f"published_{made.output.name}")

    def _report_unless_ended(
        self, aspect: str, counter: str, level: Level, error: BaseException, sentence: str = ""
    ) -> None:
        if self.context.ok():  # publishing fails once the process is shutting down: that is not a fault
            self.report(aspect, counter, level, error, sentence)
