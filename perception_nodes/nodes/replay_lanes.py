"""The nodes under test in a replay: what each is fed, what it answers, and its figures."""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from perception_nodes.graph import DETECTIONS_2D, EVENTS, SEGMENTATION, TIMING
from perception_nodes.messages.header import header_stamp_ns
from perception_nodes.nodes.pipeline import PipelineNode
from perception_nodes.nodes.player import PlayerNode
from perception_nodes.nodes.recorder import Recorded, Tally
from perception_nodes.nodes.serialized import event_key
from perception_nodes.streaming.result import NodeResult
from perception_nodes.streaming.segmentation import is_trained
from perception_nodes.streaming.stopwatch import Percentiles

CLOUD, FLOAT, STRING = "sensor_msgs/msg/PointCloud2", "std_msgs/msg/Float64", "std_msgs/msg/String"
DETECTION_TYPE = "vision_msgs/msg/Detection2DArray"
LOST = (("processing", "dropped_overload"), ("input", "rejected"), ("input", "masked_views"))


def timing_rows(node: str) -> list[Recorded]:
    """A node's figures, which it hands to the recorder itself."""
    return [Recorded(f"/{node}/{name}", FLOAT, local=True) for name in TIMING]


def cloud_rows() -> list[Recorded]:
    """What is recorded of spvcnn_node; its answers first."""
    return [
        Recorded(SEGMENTATION, CLOUD, key=header_stamp_ns, depth=10),
        Recorded(f"{SEGMENTATION}/classes", STRING, latched=True, depth=1),
        *timing_rows("spvcnn_node"),
    ]


def event_rows() -> list[Recorded]:
    """What is recorded of tsm_node; its answers first. Boxes come by hand: vision_msgs is not installed everywhere."""
    return [
        Recorded(EVENTS, STRING, key=event_key, depth=50),
        Recorded(f"{EVENTS}/classes", STRING, latched=True, depth=1),
        Recorded(DETECTIONS_2D, DETECTION_TYPE, local=True),
        *timing_rows("tsm_node"),
    ]


@dataclass
class Lane:
    """One node: `inputs` maps each topic that it is fed to its key's first part (a camera's name; "" for clouds)."""

    name: str
    model: str
    inputs: dict[str, str]
    rows: list[Recorded]
    make: Callable[[], PipelineNode[Any]]
    node: Any = None

    @property
    def total_topic(self) -> str:
        """The topic of the node's processing time."""
        return f"/{self.name}/debug/processing_time/total_ms"

    def answers(self, tally: Tally) -> dict[Hashable, float]:
        """Key -> arrival of everything that it has answered."""
        return tally.arrivals.get(self.rows[0].topic, {})

    def asked(self, player: PlayerNode) -> int:
        """Messages that it was sent."""
        return sum(player.asked(topic) for topic in self.inputs)

    def settled(self, player: PlayerNode, tally: Tally) -> bool:
        """True once everything is answered that will be."""
        lost = sum(self.node.health.counter(aspect, counter) for aspect, counter in LOST)
        return len(self.answers(tally)) + lost >= self.asked(player)

    def result(self, player: PlayerNode, tally: Tally) -> NodeResult:
        """The figures so far."""
        answers, latency = self.answers(tally), Percentiles()
        for topic, camera in self.inputs.items():
            for stamp, sent in player.sent.get(topic, {}).items():
                arrival = answers.get((camera, stamp) if camera else stamp)
                if arrival is not None:
                    latency.add((arrival - sent) * 1e3)
        session = self.node.session
        return NodeResult(
            frames_in=self.asked(player),
            frames_out=len(answers),
            latency_ms=latency.summary(),
            network_ms=self.node.inference_ms.summary(),
            model=self.model,
            engine=str(getattr(session, "engine", "")),
            trained=is_trained(session),
        )


def all_rows(lanes: Iterable[Lane]) -> list[Recorded]:
    """Everything recorded of these lanes, and the diagnostics of all nodes."""
    rows = [row for lane in lanes for row in lane.rows]
    return [*rows, Recorded("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")]
