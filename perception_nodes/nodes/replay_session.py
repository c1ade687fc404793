"""Player, the nodes under test and recorder in one process and on one executor, from start to a clean end."""

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
from perception_nodes.bags.typestore import make, to_bytes
from perception_nodes.bags.writer import BagWriter
from perception_nodes.graph import PLANS, POINTS, ResolvedNode, resolve
from perception_nodes.nodes.errors import NodeError
from perception_nodes.nodes.main import spin
from perception_nodes.nodes.player import PlayerNode
from perception_nodes.nodes.recorder import Recorded, RecorderNode
from perception_nodes.nodes.replay_lanes import Lane, all_rows, cloud_rows, event_rows
from perception_nodes.nodes.spvcnn import SpvcnnNode
from perception_nodes.nodes.tsm import TsmNode
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.result import ReplayResult
from perception_nodes.streaming.video_plan import VideoPlan

if TYPE_CHECKING:
    from perception_nodes.nodes.replay import ReplayPlan

# A short queue evens out single slow frames; a network that is too slow still drops, and it is counted. The clock comes
# when all networks are loaded.
PATIENT = {"qos.output.depth": 10, "stream.queue": 3, "diagnostics.clock_patience_s": 120.0}
SETTLE_S = 3.0  # wall seconds for the last answer, after the last cloud


class ReplaySession:
    """Context manager: nodes configured and active inside, everything gone outside.

    Args:
        bag: what is played. points: topic of its clouds ("": no segmentation). plan: how. writer: an open bag for the
            results, or None.

    Raises:
        NodeError: a node could not be configured (its own sentence is in the log).
    """

    def __init__(self, bag: str | Path, points: str, plan: "ReplayPlan", writer: BagWriter | None) -> None:
        self._bag, self._points, self._plan, self._writer = bag, points, plan, writer
        self._done = threading.Event()
        self._code = 0
        self._nodes: list[Any] = []
        self._lanes: list[Lane] = []
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
        plan = self._plan
        self._lanes, player = self._resolved()
        for lane in self._lanes:
            lane.node = lane.make()
            lane.node.timing_listener = self._timed
            self._add(lane.node)
        rows = all_rows(self._lanes)
        if self._writer is None and plan.listener is None:
            rows = [lane.rows[0] for lane in self._lanes]
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

    def _found(self, topic: str, type_name: str, values: dict, stamp_ns: int) -> None:
        """The same for a result whose message type is not installed here."""
        recorder = getattr(self, "_recorder", None)
        if recorder is not None and topic in recorder.topics:
            recorder.take(topic, to_bytes(make(type_name, **values)))

    def _seen_types(self) -> dict[str, str]:
        with BagReader(self._bag) as reader:
            topics = reader.topics()
        return {name: topics[name].type for name in self._plan.topics if name in topics}

    def _resolved(self) -> tuple[list[Lane], Any]:
        """The nodes under test, not yet made, and the player's parameters."""
        plan, video = self._plan, self._plan.video
        arguments = {
            "bag": str(self._bag),
            "rate": plan.rate,
            "segmentation": bool(self._points),
            "points": self._points or POINTS,
            "model": plan.model,
            "precision": plan.precision,
            "threads": plan.threads,
            "events": video is not None,
        }
        if video is not None:
            arguments |= video.arguments()
        resolved = {node.name: node for node in resolve(PLANS["replay"], arguments)}
        lanes = []
        if "spvcnn_node" in resolved:
            lanes.append(self._cloud_lane(resolved["spvcnn_node"]))
        if video is not None:
            lanes.append(self._video_lane(resolved["tsm_node"], video))
        player = resolved["player_node"]
        fed = {topic: lane.rows[0].topic for lane in lanes for topic in lane.inputs}
        player.parameters.update({"playback.start_s": plan.start, "playback.duration_s": plan.duration or 0.0})
        player.parameters.update({"answer.inputs": list(fed), "answer.topics": list(fed.values())})
        # Every message brings its own /clock; more ticks would only wake the executor beside the network.
        player.parameters.update({"clock.rate_hz": 10.0, "playback.wait_for": list(fed)})
        # Ground truth is in the bag already: only what the nodes read goes over DDS.
        player.parameters["playback.topics"] = list(dict.fromkeys([*fed, *plan.topics]))
        return lanes, player

    def _cloud_lane(self, node: ResolvedNode) -> Lane:
        node.parameters.update(PATIENT | self._plan.parameters)

        def make() -> SpvcnnNode:
            return SpvcnnNode(self._plan.session_factory, overrides=node.parameters, **self._ros(node.remaps))

        return Lane("spvcnn_node", self._plan.model, {self._points: ""}, cloud_rows(), make)

    def _video_lane(self, node: ResolvedNode, video: VideoPlan) -> Lane:
        node.parameters.update(PATIENT | video.parameters)
        node.parameters["cameras"] = list(video.cameras)
        if len(video.cameras) > 1:
            node.remaps.update({f"~/input/{name}/image": topic for name, topic in video.cameras.items()})

        def make() -> TsmNode:
            factories = (video.session_factory, video.detector_factory)
            made = TsmNode(*factories, overrides=node.parameters, **self._ros(node.remaps))
            made.result_listener = self._found
            return made

        inputs = {topic: name for name, topic in video.cameras.items()}
        return Lane("tsm_node", video.model, inputs, event_rows(), make)

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
        done = {lane.total_topic: lane.node.health.counter("processing", "processed") for lane in self._lanes}
        self._wait(lambda: self._came("/diagnostics") > 0 and all(self._came(t) >= n for t, n in done.items()), 1.0)

    def _came(self, topic: str) -> float:
        """Messages recorded of a topic; as many as one likes of one that is not recorded."""
        return int(self._recorder.tally.counts.get(topic, 0)) if self._writer is not None else float("inf")

    @staticmethod
    def _wait(condition: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not condition():
            time.sleep(0.01)

    def _settle(self) -> None:
        """Waits until as many answers came as messages that the nodes took in, or for `SETTLE_S` without a new one."""
        tally, player = self._recorder.tally, self._player
        quiet_since, seen = time.monotonic(), -1
        while time.monotonic() - quiet_since < SETTLE_S:
            if all(lane.settled(player, tally) for lane in self._lanes):
                return
            came = sum(len(lane.answers(tally)) for lane in self._lanes)
            if came != seen:
                quiet_since, seen = time.monotonic(), came
            time.sleep(0.01)

    def result(self, out: Path | None, wall_s: float) -> ReplayResult:
        """The figures so far."""
        warnings = [
            f"{node.get_name()}: {status.name}: {status.message}"
            for node in self._nodes
            for status in node.health.report()
            if status.level != Level.OK
        ]
        nodes = {lane.name: lane.result(self._player, self._recorder.tally) for lane in self._lanes}
        return ReplayResult.of(nodes, out, self._plan.rate, wall_s, tuple(warnings))

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
