"""A bag through spvcnn_node and tsm_node over real DDS, recorded: all composed in one process."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.writer import BagWriter
from perception_nodes.nodes.environment import rclpy_or_explain
from perception_nodes.streaming.offline import points_topic
from perception_nodes.streaming.result import ReplayResult
from perception_nodes.streaming.video_plan import VideoPlan


@dataclass(frozen=True)
class ReplayPlan:
    """How to replay.

    rate: times real time; 0: each message waits for the answer to the last of its topic, so that none is dropped.
    start, duration: seconds of the bag (duration None: to the end). parameters: dotted names for spvcnn_node.
    topics: further topics of the bag to play (a live viewer's cameras); what the nodes read is always played.
    segmentation: run spvcnn_node. video: run tsm_node.
    listener: called with (topic, type name, message, stamp in ns) for everything recorded and all of `topics`.
    session_factory: builds the network's session from the node's config; None: by `model`.
    """

    rate: float = 1.0
    model: str = "spvnas-lite"
    precision: str = "auto"
    threads: int = 2
    start: float = 0.0
    duration: float | None = None
    points: str = "/lidar/points"
    segmentation: bool = True
    video: VideoPlan | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    topics: tuple[str, ...] = ()
    listener: Callable[[str, str, Any, int], None] | None = None
    session_factory: Callable[[Any], Any] | None = None


def replay(
    bag: str | Path,
    out: str | Path | None = None,
    *,
    rate: float = 1.0,
    model: str = "spvnas-lite",
    progress: Callable[[float], None] | None = None,
    **plan: Any,
) -> ReplayResult:
    """Plays `bag` into spvcnn_node (and tsm_node) and records what they answer into `out`.

    Args:
        bag: rosbag2 folder or file. out: bag to write (refused where it exists), or None: measure only.
        rate, model, plan: see `ReplayPlan`.
        progress: called with the seconds played, about twice a second.

    Returns:
        Frames in and out, latencies from the sending of a message to the arrival of its answer.

    Raises:
        BagError: the bag cannot be read or written, or has no points. NodeError: a node did not start.
        ImportError: rclpy is not installed. KeyboardInterrupt: nothing half-written is left.
    """
    settings = ReplayPlan(rate=rate, model=model, **plan)
    rclpy_or_explain()
    from perception_nodes.nodes.replay_session import ReplaySession

    with BagReader(bag) as reader:
        points = points_topic(reader, settings.points) if settings.segmentation else ""
    with ExitStack() as stack:
        writer = stack.enter_context(BagWriter(out)) if out is not None else None
        live = stack.enter_context(ReplaySession(bag, points, settings, writer))
        began = time.monotonic()
        live.play(progress)
        result = live.result(Path(out) if out is not None else None, time.monotonic() - began)
        live.stop()
        if writer is not None:
            writer.note("replay", json.dumps(result.as_dict()))
    return result
