"""Events of a bag's cameras without ROS: what tsm_node's answers on the same bag must equal."""

from typing import Any

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagMessage, BagReader
from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.messages.detections2d import detections2d_values
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.events import event_values
from perception_nodes.messages.header import read_header
from perception_nodes.messages.image import decode_image
from perception_nodes.streaming.collector import ViewCollector, ViewSet
from perception_nodes.streaming.result import NodeResult
from perception_nodes.streaming.segmentation import is_trained
from perception_nodes.streaming.stopwatch import Percentiles, Stopwatch
from perception_nodes.streaming.video import (
    MAX_OVERLAP,
    MIN_SCORE,
    VideoStep,
    class_table_text,
    decode_views,
    open_detector,
    open_video,
)
from perception_nodes.streaming.video_plan import VideoPlan

EVENTS = "/perception/events"
DETECTIONS = "/perception/detections2d"


class EventRun:
    """One pass over a bag: what tsm_node does with each picture, without the node.

    Args:
        plan: cameras and networks. writer: an open bag for the results, or None.
    """

    def __init__(self, plan: VideoPlan, writer: BagWriter | None) -> None:
        self.plan, self._writer = plan, writer
        self._cameras = {topic: name for name, topic in plan.cameras.items()}
        self._collector: ViewCollector[Any] = ViewCollector(tuple(plan.cameras))
        make_session, make_detector = plan.session_factory, plan.detector_factory
        sizes = (plan.runtime, plan.threads, len(plan.cameras))
        session = make_session(None) if make_session is not None else open_video(plan.model, *sizes)
        detector = None
        if make_detector is not None:
            detector = make_detector(None)
        elif plan.detector:
            detector = open_detector(plan.detector, *sizes)
        min_score = float(plan.parameters.get("detector.min_score", MIN_SCORE))
        max_overlap = float(plan.parameters.get("detector.max_overlap", MAX_OVERLAP))
        self._step = VideoStep(session, detector, min_score, max_overlap)
        self._network, self._total = Percentiles(), Percentiles()
        self.warnings: dict[str, int] = {}
        self._seen = self._done = 0

    @property
    def topics(self) -> tuple[str, ...]:
        """The pictures' topics."""
        return tuple(self._cameras)

    def begin(self, start_ns: int) -> None:
        """Writes the class table."""
        if self._writer is not None:
            table = make("std_msgs/msg/String", data=class_table_text(self._step.session))
            self._writer.write(f"{EVENTS}/classes", table, start_ns)

    def one(self, message: BagMessage, reader: BagReader) -> None:
        """Takes one stored picture in; a bad one, or one out of order, is counted in `warnings`."""
        self._seen += 1
        camera = self._cameras[message.topic]
        try:
            stored = reader.decode(message.raw, message.type)
            admission = self._collector.put(camera, read_header(stored)[1], stored)
        except (BagError, MessageError) as error:
            return self._warn(f"camera {camera}: {error}")
        if not admission.verdict.accepted:
            self._warn(f"camera {camera}: {admission.verdict.kind.value} stamps")
        if admission.masked:
            self._warn(f"camera {camera}: {admission.masked}")
        for views in admission.sets:
            self._run(views, message.stamp_ns)
        return None

    def _run(self, views: ViewSet[Any], bag_ns: int) -> None:
        watch = Stopwatch()
        with watch.stage("preprocess"):
            images, failed = decode_views(views, lambda camera, stored: decode_image(stored))
        for camera, error in failed.items():
            self._warn(f"camera {camera}: {error}")
        with watch.stage("inference"):
            events, boxes = self._step.step(views, images)
        with watch.stage("postprocess"):
            if self._writer is not None:
                for event in events.values():
                    self._writer.write(EVENTS, make("std_msgs/msg/String", **event_values(event)), bag_ns)
                for found in boxes.values():
                    values = detections2d_values(found)
                    self._writer.write(DETECTIONS, make("vision_msgs/msg/Detection2DArray", **values), bag_ns)
        self._done += len(events)
        times = watch.milliseconds()
        self._network.add(times["inference"])
        self._total.add(times["total"])

    def result(self) -> NodeResult:
        """The figures so far."""
        session = self._step.session
        return NodeResult(
            frames_in=self._seen,
            frames_out=self._done,
            latency_ms=self._total.summary(),
            network_ms=self._network.summary(),
            model=self.plan.model,
            engine=str(getattr(session, "engine", "")),
            trained=is_trained(session),
        )

    def _warn(self, text: str) -> None:
        self.warnings[text] = self.warnings.get(text, 0) + 1
