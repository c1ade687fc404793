"""Player, the nodes under test and recorder in one process and on one executor, from start to a clean end."""

import struct
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.writer import BagWriter
from perception_nodes.nodes.domain import OwnDomain
from perception_nodes.nodes.errors import NodeError
from perception_nodes.nodes.lanes import Lane, all_rows, answer_row, make_lane
from perception_nodes.nodes.main import spin
from perception_nodes.nodes.node_lockstep import NodeLockstep
from perception_nodes.nodes.player import PlayerNode
from perception_nodes.nodes.recorder import Recorded, RecorderNode
from perception_nodes.nodes.replay_options import ReplayOptions
from perception_nodes.streaming.result import ReplayResult
from perception_nodes.systems.run import SystemRun

# A short queue evens out single slow frames; a network that is too slow still drops, and it is counted. The clock comes
# when all networks are loaded.
PATIENT = {"qos.output.depth": 10, "stream.queue": 3, "diagnostics.clock_patience_s": 120.0}
LOCKSTEP_QUEUE = 100  # one message may complete several samples, and where messages wait none is dropped
SETTLE_S = 3.0  # wall seconds without progress, after the last message
FLOAT64 = struct.Struct("<4sd")  # serialised std_msgs/Float64
CLOCK = "/clock"
DISCOVERY_S = 4.0  # DDS participants announce themselves every 3 s


class ReplaySession:
    """Context manager: nodes configured and active inside, everything gone outside.

    Args:
        bag: what is played. runs: the systems under test. options: how. writer: an open bag for the results, or None.

    Raises:
        NodeError: a node could not be configured (its own sentence is in the log).
    """

    def __init__(
        self, bag: str | Path, runs: Sequence[SystemRun], options: ReplayOptions, writer: BagWriter | None
    ) -> None:
        self._bag, self._runs, self._options, self._writer = bag, runs, options, writer
        self._done = threading.Event()
        self._code = 0
        self._nodes: list[Any] = []
        self._lanes: list[Lane] = []
        self._recorder: RecorderNode
        self._own_domain: OwnDomain | None = None

    def __enter__(self) -> "ReplaySession":
        self._context = rclpy.Context()
        domain = self._options.domain
        if domain is None and not self._options.network:
            self._own_domain = OwnDomain()
            domain = self._own_domain.number
        no_signals = SignalHandlerOptions.NO
        rclpy.init(args=[], context=self._context, domain_id=domain, signal_handler_options=no_signals)
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
        options = self._options
        patient = PATIENT | ({"stream.queue": LOCKSTEP_QUEUE} if options.rate == 0 or options.patient else {})
        for run in self._runs:
            lane = make_lane(run, patient, context=self._context, use_global_arguments=False)
            self._lanes.append(lane)
            lane.node.timing_listener = self._timed
            lane.node.uninstalled_listener = self._found
            self._add(lane.node)
        rows = all_rows(self._lanes)
        if self._writer is None and options.listener is None:
            rows = [answer_row(lane.run) for lane in self._lanes]
        if options.listener is not None:
            rows += [Recorded(topic, kind, keep=False) for topic, kind in self._seen_types().items()]
        ros: dict[str, Any] = {"context": self._context, "use_global_arguments": False}
        self._recorder = self._add(
            RecorderNode(rows, self._writer, listener=options.listener, overrides={"use_sim_time": True}, **ros)
        )
        for lane in self._lanes:
            lane.recorder = self._recorder
        lockstep = NodeLockstep(self._lanes)
        self._player = PlayerNode(lockstep=lockstep, on_sent=self._sent, overrides=self._player_parameters(), **ros)
        self._player.finish = self._finish

    def _sent(self, topic: str) -> None:
        for lane in self._lanes:
            lane.note_sent(topic)

    def _timed(self, topic: str, value: float) -> None:
        """Hands a figure of the node to the recorder without a detour over DDS."""
        self._found(topic, FLOAT64.pack(b"\0\1\0\0", value))

    def _found(self, topic: str, raw: bytes) -> None:
        """The same for a message that the node cannot publish here."""
        recorder = getattr(self, "_recorder", None)  # the node is started first
        if recorder is not None and topic in recorder.topics:
            recorder.take(topic, raw)

    def _seen_types(self) -> dict[str, str]:
        with BagReader(self._bag) as reader:
            topics = reader.topics()
        return {name: topics[name].type for name in self._options.topics if name in topics}

    def _player_parameters(self) -> dict[str, Any]:
        options = self._options
        fed = {topic: lane.run.system.answer.topic for lane in self._lanes for topic in lane.inputs}
        rows = [(topic, lane.name if topic in lane.inputs else "") for lane in self._lanes for topic in lane.sent]
        read = list(dict.fromkeys(topic for topic, _ in rows))
        return {
            "bag": str(self._bag),
            "playback.rate": float(options.rate),
            "playback.patient": options.patient,
            "playback.start_s": float(options.start),
            "playback.duration_s": float(options.duration or 0.0),
            "playback.wait_for": [topic for topic, _ in rows],
            "playback.wait_nodes": [node for _, node in rows],
            "playback.wait_s": 60.0,
            # Ground truth is in the bag already: only what the nodes read goes over DDS.
            "playback.topics": list(dict.fromkeys([*read, *options.topics])),
            "answer.inputs": list(fed),
            "answer.topics": list(fed.values()),
            # Every message brings its own /clock; more ticks would only wake the executor beside the network.
            "clock.rate_hz": 10.0,
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
        """Plays to the end and waits for the last answer. Raises NodeError, or BagError where recording failed."""
        self._wait(lambda: all(lane.listened() for lane in self._lanes), SETTLE_S)
        if self._own_domain is None:  # others may be there: give them time to be seen
            end = time.monotonic() + DISCOVERY_S
            while time.monotonic() < end and not self._done.wait(0.1):
                self._refuse_strangers()
        self._add(self._player)
        while not self._done.wait(0.5):
            self._check_recorder()
            self._refuse_strangers()
            if progress is not None:
                progress(self._player.position_s)
        if self._code:
            raise NodeError(f"the replay broke off: {self._player.last_error or 'see the log'}")
        self._settle()
        self._check_recorder()
        self._refuse_strangers()
        self._compare_counts()
        for node in self._nodes:
            node.publish_diagnostics()
        done = {lane.total_topic: lane.node.health.counter("processing", "processed") for lane in self._lanes}
        self._wait(lambda: self._came("/diagnostics") > 0 and all(self._came(t) >= n for t, n in done.items()), 1.0)

    def _check_recorder(self) -> None:
        """Ends the replay where the results can no longer be written: a full disk, for one."""
        if self._recorder.error is not None:
            raise self._recorder.error

    def _refuse_strangers(self) -> None:
        """Another publisher on a topic of this replay would be answered, recorded and scored as ours."""
        names = {name for lane in self._lanes for name in (*lane.published(), *lane.sent)} | {CLOCK}
        for name in sorted(names):
            infos = self._recorder.get_publishers_info_by_topic(name)
            found = [f"{info.node_namespace}/{info.node_name}".replace("//", "/") for info in infos]
            if len(found) > 1:
                raise NodeError(
                    f"{name} has {len(found)} publishers in ROS domain {self._context.get_domain_id()} "
                    f"({', '.join(sorted(found))}); expected this replay alone: end the other node, or leave out "
                    "--network and --domain so that the replay takes a domain of its own"
                )

    def _compare_counts(self) -> None:
        for lane in self._lanes:
            came, asked = self._recorder.tally.counts.get(lane.run.system.answer.topic, 0), lane.asked(self._player)
            if came > asked:
                raise NodeError(
                    f"{lane.name}: {came} answers to {asked} {lane.run.system.inputs.noun}; expected one each at most: "
                    "another node answers in this ROS domain"
                )

    def _came(self, topic: str) -> float:
        """Messages recorded of a topic; as many as one likes of one that is not recorded."""
        return int(self._recorder.tally.counts.get(topic, 0)) if self._writer is not None else float("inf")

    @staticmethod
    def _wait(condition: Callable[[], bool], seconds: float, progress: Callable[[], Any] = lambda: None) -> None:
        """Waits for a condition, or for so many seconds without progress."""
        quiet_since, seen = time.monotonic(), progress()
        while time.monotonic() - quiet_since < seconds and not condition():
            if (now := progress()) != seen:
                quiet_since, seen = time.monotonic(), now
            time.sleep(0.005)

    def _settle(self) -> None:
        """Waits for the nodes to work on everything, what they still hold included, and for the answers to arrive."""
        self._wait(self._idle, SETTLE_S, self._done_so_far)
        for lane in self._lanes:
            lane.node.flush()
        self._wait(self._idle, SETTLE_S, self._done_so_far)
        counts = self._recorder.tally.counts
        self._wait(lambda: all(lane.complete() for lane in self._lanes), SETTLE_S, lambda: sum(counts.values()))
        self._wait(self._recorder.idle, SETTLE_S)

    def _idle(self) -> bool:
        return all(lane.idle() for lane in self._lanes)

    def _done_so_far(self) -> int:
        processed = (lane.node.health.counter("processing", "processed") for lane in self._lanes)
        return sum(lane.taken() for lane in self._lanes) + sum(processed)

    def result(self, out: Path | None, wall_s: float) -> ReplayResult:
        """The figures so far."""
        warnings = [f"{node.get_name()}: {text}" for node in self._nodes for text in node.health.history()]
        nodes = {lane.name: lane.result(self._player, self._recorder.tally) for lane in self._lanes}
        unanswered = self._player.health.counter("playback", "unanswered")
        return ReplayResult.of(nodes, out, self._options.rate, wall_s, tuple(warnings), unanswered)

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
        if self._own_domain is not None:
            self._own_domain.close()
