"""A bag through the nodes of systems over real DDS, recorded: all composed in one process."""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.writer import BagWriter
from perception_nodes.nodes.environment import isolate_environment, rclpy_or_explain
from perception_nodes.nodes.replay_options import ReplayOptions
from perception_nodes.streaming.result import ReplayResult
from perception_nodes.systems.run import SystemRun


def replay(
    bag: str | Path,
    out: str | Path | None,
    runs: Sequence[SystemRun],
    *,
    progress: Callable[[float], None] | None = None,
    **plan: Any,
) -> ReplayResult:
    """Plays `bag` into the nodes of systems and records what they answer into `out`.

    Args:
        bag: rosbag2 folder or file. out: bag to write (refused where it exists), or None: measure only.
        runs: the systems, with their topics and parameters. plan: see `ReplayOptions`.
        progress: called with the seconds played, about twice a second.

    Returns:
        Frames in and out, latencies from the sending of a message to the arrival of its answer.

    Raises:
        BagError: the bag cannot be read or written. NodeError: a node did not start, or another node takes part.
        DomainError: no ROS domain is free.
        ImportError: rclpy is not installed. KeyboardInterrupt: nothing half-written is left.
    """
    settings = ReplayOptions(**plan)
    if not settings.network:
        isolate_environment()
    rclpy_or_explain()
    from perception_nodes.nodes.replay_session import ReplaySession

    with BagReader(bag):  # a bad bag ends it here, before a network is loaded
        pass
    with ExitStack() as stack:
        writer = stack.enter_context(BagWriter(out)) if out is not None else None
        live = stack.enter_context(ReplaySession(bag, runs, settings, writer))
        began = time.monotonic()
        live.play(progress)
        result = live.result(Path(out) if out is not None else None, time.monotonic() - began)
        live.stop()
        if writer is not None:
            writer.note("replay", json.dumps(result.as_dict()))
    return result
