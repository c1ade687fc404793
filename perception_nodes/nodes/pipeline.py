"""A node that turns one stream into results: subscription, stamps, latest-wins worker, timing."""

import threading
import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from rclpy.clock import JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.subscription import Subscription

from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import header_stamp_ns
from perception_nodes.nodes.config import PipelineConfig
from perception_nodes.nodes.node import PerceptionNode
from perception_nodes.nodes.qos import profile, subscription_events
from perception_nodes.nodes.serialized import decode
from perception_nodes.nodes.timing import TimingTopics
from perception_nodes.streaming.clock import StampKind, StampMonitor, StampVerdict
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.mailbox import Mailbox
from perception_nodes.streaming.stopwatch import Percentiles, Stopwatch

P = TypeVar("P", bound=PipelineConfig)

FOREIGN_CLOCK_S = 3600.0


class Arrival(NamedTuple):
    """A serialised message (or a set of them) on its way to the worker: when it came (monotonic s), its age then, its
    span of time."""

    raw: Any
    received: float
    age_s: float | None
    generation: int


class PipelineNode(PerceptionNode[P]):
    """Adds to `PerceptionNode`: `listen`, `process` and `reset_state`.

    The intake's thread only judges stamps and fills the mailbox; decoding, inference and publishing happen on one
    worker thread, so that the node answers to services and parameters while the network computes.
    """

    memory_advice = "Lower input.max_points, or give the node more memory"

    def __init__(self, name: str, config_class: type[P], **kwargs: Any) -> None:
        super().__init__(name, config_class, aspects=("input", "processing", "model"), **kwargs)
        self._mailbox: Mailbox[Arrival] | None = None
        self._worker: threading.Thread | None = None
        self._inputs: list[Subscription] = []
        self._timing: TimingTopics | None = None
        self.timing_listener: Callable[[str, float], None] | None = None
        self._generation = 0
        self._monitor = StampMonitor()
        self._message_type: Any = None
        self.inference_ms = Percentiles()
        self._previous_input: float | None = None
        back = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False)
        self._jumps = self.get_clock().create_jump_callback(back, post_callback=self._on_clock_jump)

    # --- for subclasses -------------------------------------------------------------------------------------------

    @abstractmethod
    def process(self, message: Any, watch: Stopwatch) -> None:
        """Decode, step, encode and publish one message; runs on the worker."""

    def open_message(self, raw: Any) -> Any:
        """What `process` gets of an arrival; runs on the worker."""
        return decode(raw, self._message_type)

    def reset_state(self) -> None:
        """Forgets what was carried from frame to frame: time jumped, or too many frames were lost."""

    def listen(self, message_type: Any, topic: str) -> None:
        """Subscribes the node's stream and starts its worker."""
        stream = self.config.stream
        self._monitor = StampMonitor(stream.gap_periods, stream.jump_back_s, stream.jump_back_periods)
        self._message_type = message_type
        self.start_worker()
        self.subscribe(message_type, topic, self._on_message)

    def start_worker(self) -> None:
        """Opens the mailbox, and starts the thread that empties it."""
        self._mailbox = Mailbox(self.config.stream.queue)
        self._timing = TimingTopics(self, self.timing_listener)
        self._worker = threading.Thread(target=self._work, args=(self._mailbox,), name=f"{self.get_name()} worker")
        self._worker.start()

    def subscribe(self, message_type: Any, topic: str, receive: Callable[[bytes], None]) -> None:
        """Serialised messages of a topic go to `receive`, on the intake's thread, until the node is deactivated."""
        own = profile(self.config.qos.input)
        events = subscription_events(self, topic, own, self._on_qos_mismatch)
        events.message_lost = self._on_message_lost
        how = {"event_callbacks": events, "callback_group": self.intake, "raw": True}
        self._inputs.append(self.create_subscription(message_type, topic, receive, own, **how))

    def leave(self, arrival: Arrival) -> None:
        """Leaves an arrival for the worker; an older one that still waits may be given up for it."""
        mailbox = self._mailbox
        if mailbox is not None and mailbox.put(arrival):
            text = "slower than the sensor: the latest message wins, older ones are dropped"
            self.health.event("processing", "dropped_overload", Level.WARN, text)

    def age_s(self, stamp_ns: int) -> float | None:
        """Seconds from a stamp to now by the node's clock; None while that does not run."""
        return (self.get_clock().now().nanoseconds - stamp_ns) * 1e-9 if self.clock_runs() else None

    def stop(self) -> None:
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs.clear()
        if self._mailbox is not None:
            self._mailbox.close()
        if self._worker is not None:
            self._worker.join()  # a step in progress ends by itself
            self._worker = None
        if self._timing is not None:
            self._timing.destroy()
            self._timing = None
        for line in self.errors.summary():
            self.get_logger().warning(line)

    # --- the intake's thread --------------------------------------------------------------------------------------

    def _on_message(self, raw: bytes) -> None:
        try:
            received = time.monotonic()
            self.health.count("input", "received")
            stamp_ns = header_stamp_ns(raw)
            age = self.age_s(stamp_ns)
            verdict = self._monitor.observe(stamp_ns)
            self.note_verdict(verdict)
            if not verdict.accepted:
                return
            if verdict.resets:
                self._generation += 1
            self.leave(Arrival(raw, received, age, self._generation))
        except MessageError as error:
            self.reject(error)
        except Exception as error:
            self.report("input", "exceptions", Level.ERROR, error)

    def note_verdict(self, verdict: StampVerdict, of: str = "") -> None:
        """Counts and says what a stamp told; `of` names the stream where a node has several ("camera left: ")."""
        kind, gone = verdict.kind, f"{verdict.delta_s:+.3f} s"
        if verdict.missed:
            self.health.count("input", "missed_frames", verdict.missed)
        if kind is StampKind.GAP:
            self.health.event("input", "gaps", Level.WARN, f"{of}gap of {gone} in the stamps: state reset")
        elif kind is StampKind.JUMP_BACK:
            self.health.event("input", "time_jumps", Level.WARN, f"{of}stamps jumped back ({gone}): state reset")
            self.get_logger().info(f"{of}time jumped back ({gone}): state reset")
        elif kind is StampKind.DUPLICATE:
            self.health.event("input", "duplicates", Level.WARN, f"{of}duplicate stamps are dropped")
        elif kind is StampKind.LATE:
            self.health.event("input", "out_of_order", Level.WARN, f"{of}messages out of order are dropped")

    def _on_clock_jump(self, jump: TimeJump) -> None:
        self._monitor.expect_jump()

    def _on_message_lost(self, info: Any) -> None:
        lost = int(info.total_count_change)
        self.health.event("input", "lost_in_transport", Level.WARN, "messages were lost on their way here", by=lost)

    def reject(self, error: MessageError, of: str = "") -> None:
        """A message that is none costs its frame, a counter and a diagnostic."""
        self.report("input", "rejected", Level.ERROR, error, f"{of}message rejected: {error}")

    # --- the worker's thread --------------------------------------------------------------------------------------

    def _work(self, mailbox: Mailbox[Arrival]) -> None:
        generation = self._generation
        while (arrival := mailbox.get()) is not None:
            try:
                if arrival.generation != generation:
                    generation = arrival.generation
                    self.reset_state()
                self._one(arrival)
            except MessageError as error:
                self.reject(error)
            except MemoryError as error:
                sentence = f"out of memory: frame skipped. {self.memory_advice}"
                self.report("processing", "out_of_memory", Level.ERROR, error, sentence)
            except Exception as error:
                if self.context.ok():  # publishing fails once the process is shutting down: that is no fault
                    self.report("processing", "exceptions", Level.ERROR, error)

    def _one(self, arrival: Arrival) -> None:
        watch = Stopwatch()
        with watch.stage("preprocess"):
            message = self.open_message(arrival.raw)
        self.process(message, watch)
        stages = watch.milliseconds()
        self.health.count("processing", "processed")
        self.inference_ms.add(stages["inference"])
        for stage, ms in stages.items():
            self.health.value("processing", f"{stage}_ms", ms)
        cyclic = None if self._previous_input is None else (arrival.received - self._previous_input) * 1e3
        self._previous_input = arrival.received
        latency = self._judge_latency(arrival)
        if self._timing is not None:
            self._timing.publish(stages, cyclic, latency)

    def _judge_latency(self, arrival: Arrival) -> float | None:
        """Milliseconds from the message's stamp to now by the node's clock; None if it does not run, or is foreign."""
        if arrival.age_s is None:
            return None
        if abs(arrival.age_s) > FOREIGN_CLOCK_S:
            text = (
                f"the input's stamps are {arrival.age_s:.0f} s away from this node's clock: "
                "for a replay or a simulation, start the node with -p use_sim_time:=true"
            )
            self.health.condition("clock", "foreign", Level.WARN, text)
            return None
        self.health.clear("clock", "foreign")
        latency = (arrival.age_s + time.monotonic() - arrival.received) * 1e3
        self.health.value("processing", "pipeline_latency_ms", latency)
        limits = self.config.latency
        if latency > limits.error_ms:
            text = f"pipeline latency is above {limits.error_ms:g} ms"
            self.health.event("processing", "latency_errors", Level.ERROR, text)
        elif latency > limits.warn_ms:
            text = f"pipeline latency is above {limits.warn_ms:g} ms"
            self.health.event("processing", "latency_warnings", Level.WARN, text)
        return latency
