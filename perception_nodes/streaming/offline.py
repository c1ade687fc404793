"""The same session on the same bag without ROS: what a live replay must equal, label for label."""

import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
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
        progress: called with the number of clouds done.

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
        monitor, network, total = StampMonitor(), Percentiles(), Percentiles()
        began, seen, done = time.monotonic(), 0, 0
        warnings: dict[str, int] = {}
        for message in reader.messages([topic], start, duration):
            seen += 1
            try:
                watch = Stopwatch()
                with watch.stage("preprocess"):
                    cloud = decode_point_cloud2(reader.decode(message.raw, message.type), max_points)
                verdict = monitor.observe(cloud.stamp_ns)
                if not verdict.accepted:
                    warnings[f"{verdict.kind.value} stamps"] = warnings.get(f"{verdict.kind.value} stamps", 0) + 1
                    continue
                if verdict.resets:
                    session.reset()
                with watch.stage("inference"):
                    result = segment(session, cloud)
                with watch.stage("postprocess"):
                    layout = segmentation_layout(result)
                    if writer is not None:
                        answer = make_point_cloud2(layout, cloud.frame_id, cloud.stamp_ns)
                        writer.write(SEGMENTATION, answer, message.stamp_ns)
            except (MessageError, BagError) as error:
                warnings[str(error)] = warnings.get(str(error), 0) + 1
                continue
            done += 1
            times = watch.milliseconds()
            network.add(times["inference"])
            total.add(times["total"])
            if progress is not None:
                progress(done)
        found = ReplayResult(
            out=Path(out) if out is not None else None,
            frames_in=seen,
            frames_out=done,
            latency_ms=percentiles(total),
            network_ms=percentiles(network),
            model=model,
            engine=str(getattr(session, "engine", "")),
            trained=is_trained(session),
            rate=None,
            wall_s=time.monotonic() - began,
            warnings=tuple(f"{text} ({n} times)" for text, n in warnings.items()),
        )
        if writer is not None:
            writer.note("replay", json.dumps(found.as_dict()))
        return found


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
