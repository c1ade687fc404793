"""SpvcnnNode: a class for every LiDAR point. Glue only: decode, step, encode."""

from collections.abc import Callable
from typing import Any

from rclpy.publisher import Publisher
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import String

from perception_nodes.classes import POINT_CLASSES
from perception_nodes.messages.cloud_cdr import CdrCloud, read_point_cloud2, write_point_cloud2
from perception_nodes.messages.point_cloud import CloudLayout, decode_point_cloud2, point_cloud2_layout
from perception_nodes.nodes.config import SpvcnnConfig
from perception_nodes.nodes.pipeline import PipelineNode
from perception_nodes.nodes.qos import LATCHED
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.segmentation import (
    Segmented,
    Session,
    class_table_text,
    classes_of,
    drop_table,
    filtered_layout,
    is_trained,
    open_session,
    palette,
    segment,
    segmentation_layout,
    visualization_layout,
)
from perception_nodes.streaming.stopwatch import Stopwatch
from perception_nodes.streaming.warm_cloud import warm_cloud

INPUT = "~/input/points"
SEGMENTATION = "~/output/segmentation"
VISUALIZATION = "~/output/visualization"
FILTERED = "~/output/filtered"


class SpvcnnNode(PipelineNode[SpvcnnConfig]):
    """Labels each cloud on `~/input/points`; every output is computed only while somebody subscribes to it.

    Args:
        session_factory: builds the network's session from the parameters; called in on_configure.
        name: node name.
        kwargs: see `PerceptionNode`.
    """

    def __init__(
        self, session_factory: Callable[[SpvcnnConfig], Session] | None = None, name: str = "spvcnn_node", **kwargs: Any
    ) -> None:
        super().__init__(name, SpvcnnConfig, **kwargs)
        self._factory = session_factory or (lambda c: open_session(c.model.name, c.model.precision, c.model.threads))
        self.session: Session | None = None
        self._out: dict[str, Publisher] = {}
        self._told: set[str] = set()
        self._classes = POINT_CLASSES
        self._colours = palette(POINT_CLASSES)

    def load(self) -> None:
        """Loads the network and labels a cloud of full size, so that the first real one is as fast as the others."""
        self.session = self._factory(self.config)
        xyz, intensity = warm_cloud()
        raw = write_point_cloud2(point_cloud2_layout({"xyz": xyz, "intensity": intensity}), "", 0)
        warm = segment(self.session, decode_point_cloud2(read_point_cloud2(raw), self.config.input.max_points))
        write_point_cloud2(segmentation_layout(warm), "", 0)
        self.session.reset()
        self._classes = classes_of(self.session)
        self._colours = palette(self._classes)
        self.health.value("model", "name", self.config.model.name)
        self.health.value("model", "engine", str(getattr(self.session, "engine", "")))
        if not is_trained(self.session):
            text = f"the weights of {self.config.model.name} are untrained: the labels mean nothing"
            self.health.condition("model", "untrained", Level.WARN, text)
            self.get_logger().warning(text)

    def start(self) -> None:
        qos = self.config.qos.output
        for topic in (SEGMENTATION, VISUALIZATION, FILTERED):
            self._out[topic] = self.advertise(PointCloud2, topic, qos)
        table = String(data=class_table_text(self.session))
        self.advertise(String, f"{SEGMENTATION}/classes", LATCHED).publish(table)
        self.listen(PointCloud2, INPUT)

    def stop(self) -> None:
        super().stop()
        self._out.clear()

    def unload(self) -> None:
        self.session = None

    def reset_state(self) -> None:
        if self.session is not None:
            self.session.reset()

    def open_message(self, raw: bytes) -> CdrCloud:
        return read_point_cloud2(raw)

    def process(self, message: CdrCloud, watch: Stopwatch) -> None:
        """One cloud in, up to three out, with its stamp and frame."""
        wanted = [topic for topic, publisher in self._out.items() if publisher.get_subscription_count()]
        with watch.stage("preprocess"):
            cloud = decode_point_cloud2(message, self.config.input.max_points)
            self._note(cloud.warnings, len(cloud))
        if not wanted or self.session is None:
            self.health.count("processing", "not_wanted")
            return
        with watch.stage("inference"):
            result = segment(self.session, cloud)
        with watch.stage("postprocess"):
            for topic in wanted:
                layout = self._encode(topic, result)
                self._out[topic].publish(write_point_cloud2(layout, cloud.frame_id, cloud.stamp_ns))
                self.health.count("processing", f"published_{topic.rsplit('/', 1)[-1]}")

    def _encode(self, topic: str, result: Segmented) -> CloudLayout:
        if topic == SEGMENTATION:
            return segmentation_layout(result)
        if topic == VISUALIZATION:
            return visualization_layout(result, self._colours)
        return filtered_layout(result, drop_table(self.config.filtered.drop_classes, self._classes))

    def _note(self, warnings: tuple[str, ...], points: int) -> None:
        """Counts what the decoder had to say; each kind is logged once."""
        self.health.value("input", "points", points)
        for text in warnings:
            kind = "empty" if "empty" in text else "no_intensity" if "intensity" in text else "capped"
            self.health.event("input", kind, Level.WARN, text)
            if kind not in self._told:
                self._told.add(kind)
                self.get_logger().warning(text)
