"""Player, spvcnn_node and recorder in one process and on one executor, from start to a clean end."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.serialization import serialize_message
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import Float64

from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.writer import BagWriter
from perception_nodes.graph import PLANS, SEGMENTATION, TIMING, resolve
from perception_nodes.nodes.errors import NodeError
from perception_nodes.nodes.main import spin
from perception_nodes.nodes.player import PlayerNode
from perception_nodes.nodes.recorder import Recorded, RecorderNode
from perception_nodes.nodes.spvcnn import SpvcnnNode
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.offline import percentiles
from perception_nodes.streaming.result import ReplayResult
from perception_nodes.streaming.segmentation import is_trained
from perception_nodes.streaming.stopwatch import Percentiles

if TYPE_CHECKING:
    from perception_nodes.nodes.replay import ReplayPlan

SETTLE_S = 3.0  # wall seconds for the last answer, after the last cloud
NODE = "spvcnn_node"
CLOUD, FLOAT, STRING = "sensor_msgs/msg/PointCloud2", "std_msgs/msg/Float64", "std_msgs/msg/String"

TOTAL = f"/{NODE}/debug/processing_time/total_ms"

RECORDED = [
    Recorded(SEGMENTATION, CLOUD, stamped=True, depth=10),
    Recorded(f"{SEGMENTATION}/classes", STRING, latched=True, depth=1),
    Recorded("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray"),
    *(Recorded(f"/{NODE}/{name}", FLOAT, local=True) for name in TIMING),
]


class ReplaySession:
    """Context manager: nodes configured and active inside, everything gone outside.

    Args:
        bag: what is played. points: topic of its clouds. plan: how. writer: an open bag for the results, or None.

    Raises:
        NodeError: a node could not be configured (its own sentence is in the log).
    """

    def __init__(self, bag: str | Path, points: str, plan: "ReplayPlan", writer: BagWriter | None) -> None:
        self._bag, self._points, self._plan, self._writer = bag, points, plan, writer
        self._done = threading.Event()
        self._code = 0
        self._nodes: list[Any] = []
        self._recorder: RecorderNode

    def __enter__(self) -> "ReplaySession":
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._spinner = threading.Thread(target=spin, args=(self._executor, self._nodes, self._finish), name="executor")
        self._spinner.start()
        try:
            self._build()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _build(self) -> None:
        node, player = self._resolved()
        self._node = SpvcnnNode(self._plan.session_factory, overrides=node.parameters, **self._ros(node.remaps))
        self._node.timing_listener = self._timed
        self._add(self._node)
        plan = self._plan
        rows = list(RECORDED if self._writer is not None or plan.listener is not None else RECORDED[:1])
        if plan.listener is not None:
            rows += [Recorded(topic, kind, keep=False) for topic, kind in self._seen_types().items()]
        self._recorder = self._add(
            RecorderNode(rows, self._writer, listener=plan.listener, overrides={"use_sim_time": True}, **self._ros({})),
        )
        self._player = PlayerNode(overrides=player.parameters, **self._ros({}))
        self._player.finish = self._finish

    def _timed(self, topic: str, value: float) -> None:
        """Hands a figure of the node to the recorder without a detour over DDS."""
        recorder = getattr(self, "_recorder", None)  # the node is started first
        if recorder is not None and topic in recorder.topics:
            recorder.take(topic, serialize_message(Float64(data=value)))

    def _seen_types(self) -> dict[str, str]:
        with BagReader(self._bag) as reader:
            topics = reader.topics()
        return {name: topics[name].type for name in self._plan.topics if name in topics}

    def _resolved(self) -> list[Any]:
        plan = self._plan
        arguments = {
            "bag": str(self._bag),
            "rate": plan.rate,
            "points": self._points,
            "model": plan.model,
            "precision": plan.precision,
            "threads": plan.threads,
        }
        node, player = resolve(PLANS["replay"], arguments)
        # A short queue evens out single slow frames; a network that is too slow still drops, and it is counted.
        node.parameters.update({"qos.output.depth": 10, "stream.queue": 3} | plan.parameters)
        player.parameters.update({"playback.start_s": plan.start, "playback.duration_s": plan.duration or 0.0})
        # Every cloud brings its own /clock; more ticks would only wake the executor beside the network.
        player.parameters["clock.rate_hz"] = 10.0
        # Ground truth and cameras are in the bag already: only what the node reads goes over DDS.
        player.parameters["playback.topics"] = [self._points, *plan.topics]
        return [node, player]

    def _ros(self, remaps: dict[str, str]) -> dict[str, Any]:
        rules = [part for old, new in remaps.items() for part in ("-r", f"{old}:={new}")]
        return {
            "context": self._context,
            "use_global_arguments": False,
            "cli_args": ["--ros-args", *rules] if rules else None,
        }

    def _add(self, node: Any) -> Any:
        self._nodes.append(node)
        self._executor.add_node(node)
        good = TransitionCallbackReturn.SUCCESS
        if node.trigger_configure() != good or node.trigger_activate() != good:
            raise NodeError(f"{node.get_name()} could not be started: {node.last_error or 'see its log'}")
        return node

    def _finish(self, code: int) -> None:
        self._code = self._code or code
        self._done.set()

    # --- playing --------------------------------------------------------------------------------------------------

    def play(self, progress: Callable[[float], None] | None = None) -> None:
        """Plays to the end and waits for the last answer."""
        self._add(self._player)
        while not self._done.wait(0.5):
            if progress is not None:
                progress(self._player.position_s)
        if self._code:
            raise NodeError(f"the replay broke off: {self._player.last_error or 'see the log'}")
        self._settle()
        for node in self._nodes:
            node.publish_diagnostics()
        done = self._node.health.counter("processing", "processed")
        self._wait(lambda: self._came("/diagnostics") > 0 and self._came(TOTAL) >= done, 1.0)

    def _came(self, topic: str) -> float:
        """Messages recorded of a topic; as many as one likes of one that is not recorded."""
        return int(self._recorder.tally.counts.get(topic, 0)) if self._writer is not None else float("inf")

    @staticmethod
    def _wait(condition: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not condition():
            time.sleep(0.01)

    def _settle(self) -> None:
        """Waits until as many answers came as clouds that the node took in, or for `SETTLE_S` without a new one."""
        health, answers = self._node.health, self._recorder.tally.arrivals[SEGMENTATION]
        quiet_since, seen = time.monotonic(), -1
        while time.monotonic() - quiet_since < SETTLE_S:
            lost = health.counter("processing", "dropped_overload") + health.counter("input", "rejected")
            if len(answers) + lost >= self._player.health.counter("playback", "clouds"):
                return
            if len(answers) != seen:
                quiet_since, seen = time.monotonic(), len(answers)
            time.sleep(0.01)

    def result(self, out: Path | None, wall_s: float) -> ReplayResult:
        """The figures so far."""
        sent, answers = self._player.sent_at, self._recorder.tally.arrivals[SEGMENTATION]
        latency = Percentiles()
        for stamp, arrival in answers.items():
            if stamp in sent:
                latency.add((arrival - sent[stamp]) * 1e3)
        warnings = [
            f"{node.get_name()}: {status.name}: {status.message}"
            for node in self._nodes
            for status in node.health.report()
            if status.level != Level.OK
        ]
        session = self._node.session
        return ReplayResult(
            out=out,
            frames_in=self._player.health.counter("playback", "clouds"),
            frames_out=len(answers),
            latency_ms=percentiles(latency),
            network_ms=percentiles(self._node.inference_ms),
            model=self._plan.model,
            engine=str(getattr(session, "engine", "")),
            trained=is_trained(session),
            rate=self._plan.rate,
            wall_s=wall_s,
            warnings=tuple(warnings),
        )

    def stop(self) -> None:
        """Ends and destroys everything; safe to call twice."""
        for node in reversed(self._nodes):
            node.close()
        self._done.set()
        self._executor.shutdown(timeout_sec=2.0)
        self._spinner.join(timeout=5.0)
        for node in self._nodes:
            node.destroy_node()
        self._nodes.clear()
        self._context.try_shutdown()
