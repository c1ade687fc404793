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
from perception_nodes.streaming.offline_events import EventRun
from perception_nodes.streaming.result import NodeResult, ReplayResult
from perception_nodes.streaming.segmentation import (
    Session,
    class_table_text,
    is_trained,
    open_session,
    segment,
    segmentation_layout,
)
from perception_nodes.streaming.stopwatch import Percentiles, Stopwatch
from perception_nodes.streaming.video_plan import VideoPlan

POINTS = "/lidar/points"
SEGMENTATION = "/perception/segmentation"
CLOUD = "sensor_msgs/msg/PointCloud2"


def offline(
    bag: str | Path,
    out: str | Path | None = None,
    *,
    model: str = "spvnas-lite",
    precision: str = "auto",
    threads: int = 2,
    max_points: int = 200_000,
    points: str = POINTS,
    start: float = 0.0,
    duration: float | None = None,
    session: Session | None = None,
    segmentation: bool = True,
    video: VideoPlan | None = None,
    progress: Callable[[int], None] | None = None,
) -> ReplayResult:
    """Labels every cloud (and names the events of every picture) of a bag and writes the results that the nodes would
    have sent.

    Args:
        bag: rosbag2 folder or file. out: bag to write, or None.
        points: topic of the clouds; a bag with one other PointCloud2 topic is read all the same.
        session: used instead of `model`.
        segmentation: label the clouds. video: cameras whose events are named, and how; None: none.
        progress: called with the number of messages read, after each.

    Raises:
        BagError: the bag cannot be read, has no points, or `out` cannot be written.
    """
    with ExitStack() as stack:
        reader = stack.enter_context(BagReader(bag))
        topic = points_topic(reader, points) if segmentation else ""
        writer = stack.enter_context(BagWriter(out)) if out is not None else None
        runs: dict[str, CloudRun | EventRun] = {}
        if segmentation:
            runs["spvcnn_node"] = CloudRun(
                session or open_session(model, precision, threads), model, topic, writer, max_points
            )
        if video is not None:
            runs["tsm_node"] = EventRun(video, writer)
        for run in runs.values():
            run.begin(reader.start_ns)
        by_topic = {name: run for run in runs.values() for name in run.topics}
        began = time.monotonic()
        for seen, message in enumerate(reader.messages(list(by_topic), start, duration), 1):
            by_topic[message.topic].one(message, reader)
            if progress is not None:
                progress(seen)
        warnings = tuple(f"{text} ({n} times)" for run in runs.values() for text, n in run.warnings.items())
        path, nodes = Path(out) if out is not None else None, {name: run.result() for name, run in runs.items()}
        found = ReplayResult.of(nodes, path, None, time.monotonic() - began, warnings)
        if writer is not None:
            writer.note("replay", json.dumps(found.as_dict()))
        return found


class CloudRun:
    """One pass over a bag: what spvcnn_node does with each cloud, without the node."""

    def __init__(self, session: Session, model: str, topic: str, writer: BagWriter | None, max_points: int) -> None:
        self._session, self._model, self._writer, self._max_points = session, model, writer, max_points
        self.topics = (topic,)
        self._monitor = StampMonitor()
        self._network, self._total = Percentiles(), Percentiles()
        self.warnings: dict[str, int] = {}
        self._seen = self._done = 0

    def begin(self, start_ns: int) -> None:
        """Writes the class table."""
        if self._writer is not None:
            table = make("std_msgs/msg/String", data=class_table_text(self._session))
            self._writer.write(f"{SEGMENTATION}/classes", table, start_ns)

    def result(self) -> NodeResult:
        """The figures so far."""
        return NodeResult(
            frames_in=self._seen,
            frames_out=self._done,
            latency_ms=self._total.summary(),
            network_ms=self._network.summary(),
            model=self._model,
            engine=str(getattr(self._session, "engine", "")),
            trained=is_trained(self._session),
        )

    def one(self, message: BagMessage, reader: BagReader) -> None:
        """Labels one stored cloud; a bad one, or one out of order, is counted in `warnings`."""
        self._seen += 1
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
        self._done += 1
        times = watch.milliseconds()
        self._network.add(times["inference"])
        self._total.add(times["total"])
        return None

    @staticmethod
    def _stored(message: BagMessage, reader: BagReader) -> Any:
        try:
            return reader.decode(message.raw, message.type)
        except BagError as error:
            raise MessageError(str(error)) from None

    def _warn(self, text: str) -> None:
        self.warnings[text] = self.warnings.get(text, 0) + 1


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
