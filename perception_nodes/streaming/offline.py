"""The same session on the same bag without ROS: what a live replay must equal, label for label."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagMessage, BagReader
from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.point_cloud import decode_point_cloud2, make_point_cloud2
from perception_nodes.streaming.clock import StampMonitor
from perception_nodes.streaming.result import ReplayResult
from perception_nodes.streaming.segmentation import (
    Session,
    class_table_text,
    is_trained,
    open_session,
    segment,
    segmentation_layout,
)
from perception_nodes.streaming.stopwatch import Percentiles, Stopwatch

POINTS = "/lidar/points"
SEGMENTATION = "/perception/segmentation"
CLOUD = "sensor_msgs/msg/PointCloud2"


def offline(
    bag: str | Path,
    out: str | Path | None = None,
    *,
    model: str = "spvcnn-lite",
    precision: str = "auto",
    threads: int = 2,
    max_points: int = 200_000,
    points: str = POINTS,
    start: float = 0.0,
    duration: float | None = None,
    session: Session | None = None,
    progress: Callable[[int], None] | None = None,
) -> ReplayResult:
    """Labels every cloud of a bag and writes the results that `spvcnn_node` would have sent, at its stamps.

    Args:
        bag: rosbag2 folder or file. out: bag to write, or None.
        points: topic of the clouds; a bag with one other PointCloud2 topic is read all the same.
        session: used instead of `model`.
        progress: called with the number of clouds done, after each message.

    Raises:
        BagError: the bag cannot be read, has no points, or `out` cannot be written.
    """
    with ExitStack() as stack:
        reader = stack.enter_context(BagReader(bag))
        topic = points_topic(reader, points)
        session = session or open_session(model, precision, threads)
        writer = stack.enter_context(BagWriter(out)) if out is not None else None
        if writer is not None:
            table = make("std_msgs/msg/String", data=class_table_text(session))
            writer.write(f"{SEGMENTATION}/classes", table, reader.start_ns)
        run = _Run(session, writer, max_points)
        began, seen = time.monotonic(), 0
        for message in reader.messages([topic], start, duration):
            seen += 1
            run.one(message, reader)
            if progress is not None:
                progress(run.done)
        found = ReplayResult(
            out=Path(out) if out is not None else None,
            frames_in=seen,
            frames_out=run.done,
            latency_ms=percentiles(run.total),
            network_ms=percentiles(run.network),
            model=model,
            engine=str(getattr(session, "engine", "")),
            trained=is_trained(session),
            rate=None,
            wall_s=time.monotonic() - began,
            warnings=tuple(f"{text} ({n} times)" for text, n in run.warnings.items()),
        )
        if writer is not None:
            writer.note("replay", json.dumps(found.as_dict()))
        return found


class _Run:
    """One pass over a bag: what the node does with each message, without the node."""

    def __init__(self, session: Session, writer: BagWriter | None, max_points: int) -> None:
        self._session, self._writer, self._max_points = session, writer, max_points
        self._monitor = StampMonitor()
        self.network, self.total = Percentiles(), Percentiles()
        self.warnings: dict[str, int] = {}
        self.done = 0

    def one(self, message: BagMessage, reader: BagReader) -> None:
        """Labels one stored cloud; a bad one, or one out of order, is counted in `warnings`."""
        try:
            watch = Stopwatch()
            with watch.stage("preprocess"):
                cloud = decode_point_cloud2(self._stored(message, reader), self._max_points)
            verdict = self._monitor.observe(cloud.stamp_ns)
            if not verdict.accepted:
                return self._warn(f"{verdict.kind.value} stamps")
            if verdict.resets:
                self._session.reset()
            with watch.stage("inference"):
                result = segment(self._session, cloud)
            with watch.stage("postprocess"):
                layout = segmentation_layout(result)
                if self._writer is not None:
                    answer = make_point_cloud2(layout, cloud.frame_id, cloud.stamp_ns)
                    self._writer.write(SEGMENTATION, answer, message.stamp_ns)
        except MessageError as error:
            return self._warn(str(error))
        self.done += 1
        times = watch.milliseconds()
        self.network.add(times["inference"])
        self.total.add(times["total"])
        return None

    @staticmethod
    def _stored(message: BagMessage, reader: BagReader) -> Any:
        try:
            return reader.decode(message.raw, message.type)
        except BagError as error:
            raise MessageError(str(error)) from None

    def _warn(self, text: str) -> None:
        self.warnings[text] = self.warnings.get(text, 0) + 1


def percentiles(values: Percentiles) -> dict[str, float]:
    """`p50` and `p99`, or nothing where there are no values (never 0)."""
    p50, p99 = values.at(50), values.at(99)
    return {} if p50 is None or p99 is None else {"p50": p50, "p99": p99}


def points_topic(reader: BagReader, wanted: str = POINTS) -> str:
    """The topic of the clouds: `wanted`, or the bag's only PointCloud2 topic outside /ground_truth and /perception.

    Raises:
        BagError: no such topic, or several.
    """
    clouds = reader.require(CLOUD)
    if wanted in clouds:
        return wanted
    others = [name for name in clouds if not name.startswith(("/ground_truth/", "/perception/"))]
    if len(others) == 1:
        return others[0]
    raise BagError(
        f"the bag {reader.path} has no points on {wanted}; its PointCloud2 topics are {', '.join(clouds)}: "
        "name one of them as the points topic"
    )
