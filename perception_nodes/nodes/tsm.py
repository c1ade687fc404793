"""TsmNode: driving events in camera streams, frame by frame. Glue only: decode, step, encode."""

from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.publisher import Publisher
from sensor_msgs.msg import Image
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from perception_nodes.messages.assign import fill
from perception_nodes.messages.detections2d import Detections2D, detections2d_values
from perception_nodes.messages.events import CameraEvent, event_values
from perception_nodes.messages.image import CameraImage, decode_image, image_values
from perception_nodes.messages.image_markers import image_marker_values
from perception_nodes.nodes.config import TsmConfig
from perception_nodes.nodes.message_types import find_message_type
from perception_nodes.nodes.qos import LATCHED
from perception_nodes.nodes.views import ViewsNode
from perception_nodes.streaming.collector import ViewSet
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.segmentation import is_trained
from perception_nodes.streaming.stopwatch import Stopwatch
from perception_nodes.streaming.video import (
    VideoDetector,
    VideoSession,
    VideoStep,
    box_colours,
    class_table_text,
    decode_views,
    open_detector,
    open_video,
)
from perception_nodes.viewer.video_pictures import overlay

EVENTS = "~/output/events"
MARKERS = "~/output/markers"
DETECTIONS = "~/output/detections"
DETECTION_TYPE = "vision_msgs/msg/Detection2DArray"
WARM_UP_SIZE = (256, 256)  # of the picture that is stepped once in on_configure


class TsmNode(ViewsNode[TsmConfig]):
    """Says what is going on in front of each camera; outputs are computed only while somebody subscribes to one.

    Args:
        session_factory: builds the network's session from the parameters; called in on_configure.
        detector_factory: the same for the detector, None where there is to be none.
        name: node name.
        kwargs: see `PerceptionNode`.
    """

    def __init__(
        self,
        session_factory: Callable[[TsmConfig], VideoSession] | None = None,
        detector_factory: Callable[[TsmConfig], VideoDetector | None] | None = None,
        name: str = "tsm_node",
        **kwargs: Any,
    ) -> None:
        super().__init__(name, TsmConfig, **kwargs)
        self._session_factory = session_factory or _session_of
        self._detector_factory = detector_factory or _detector_of
        self.result_listener: Callable[[str, str, dict, int], None] | None = None
        self.step: VideoStep | None = None
        self._out: dict[str, Publisher] = {}
        self._debug: dict[str, Publisher] = {}
        self._colours: dict[str, tuple[int, int, int]] = {}
        self._box_colours: dict[str, tuple[int, int, int]] = {}
        self._note = ""

    @property
    def session(self) -> VideoSession | None:
        """The network's session while the node is configured."""
        return self.step.session if self.step is not None else None

    def load(self) -> None:
        """Loads the networks and runs them once, so that the first picture is as fast as the others."""
        session, detector = self._session_factory(self.config), self._detector_factory(self.config)
        limits = self.config.detector
        self.step = VideoStep(session, detector, limits.min_score, limits.max_overlap)
        grey = np.full((*WARM_UP_SIZE, 3), 128, np.uint8)
        for part in (session, detector):
            if part is not None:
                part.step({camera: grey for camera in self.cameras}, None)
        self.step.forget()
        self._colours = {c.name: c.rgb for c in self.step.classes}
        self._box_colours = box_colours(detector)
        self.health.value("model", "name", self.config.model.name)
        self.health.value("model", "engine", str(getattr(session, "engine", "")))
        self.health.value("model", "cache_bytes", int(getattr(session, "cache_bytes", 0)))
        self._note = ""
        for part, name in ((session, self.config.model.name), (detector, self.config.detector.model)):
            if part is not None and not is_trained(part):
                self._note = "UNTRAINED WEIGHTS"
                text = f"the weights of {name} are untrained: what they say means nothing"
                self.health.condition("model", f"untrained {name}", Level.WARN, text)
                self.get_logger().warning(text)

    def start(self) -> None:
        assert self.step is not None
        qos = self.config.qos.output
        each = qos.model_copy(update={"depth": max(qos.depth, len(self.cameras))})  # a message a camera on one topic
        self._out = {EVENTS: self.advertise(String, EVENTS, each), MARKERS: self.advertise(MarkerArray, MARKERS, each)}
        self.advertise(String, f"{EVENTS}/classes", LATCHED).publish(String(data=class_table_text(self.step.session)))
        detections = find_message_type(DETECTION_TYPE) if self.step.detector is not None else None
        if detections is not None:
            self._out[DETECTIONS] = self.advertise(detections, DETECTIONS, each)
        elif self.step.detector is not None:
            self.get_logger().info("vision_msgs is not installed here: boxes go out as markers and on ~/debug/image")
        several = len(self.cameras) > 1
        self._debug = {
            camera: self.advertise(Image, f"~/debug/{camera}/image" if several else "~/debug/image", qos)
            for camera in self.cameras
        }
        self.watch_cameras()

    def stop(self) -> None:
        super().stop()
        self._out.clear()
        self._debug.clear()

    def unload(self) -> None:
        self.step = None

    def process(self, message: ViewSet[bytes], watch: Stopwatch) -> None:
        """One set of pictures in, an event a camera out, with the pictures' stamps."""
        step = self.step
        assert step is not None
        if not self._wanted():
            step.forget()  # a past with a hole in it is none
            self.health.count("processing", "not_wanted")
            return
        with watch.stage("preprocess"):
            images, failed = decode_views(message, self._decode)
            for camera, error in failed.items():
                self.reject(error, f"camera {camera}: ")
        with watch.stage("inference"):
            events, boxes = step.step(message, images)
        with watch.stage("postprocess"):
            for camera, event in events.items():
                self._publish(images[camera], event, boxes.get(camera))
            self.health.count("processing", "pictures", len(events))

    def _wanted(self) -> bool:
        publishers = (*self._out.values(), *self._debug.values())
        return self.result_listener is not None or any(p.get_subscription_count() for p in publishers)

    def _decode(self, camera: str, raw: bytes) -> CameraImage:
        return decode_image(self.decode_view(camera, raw))

    def _publish(self, image: CameraImage, event: CameraEvent, boxes: Detections2D | None) -> None:
        """Sends what is wanted of one camera's picture."""
        colour = self._colours.get(event.event, (255, 255, 255))
        self._send(EVENTS, String, lambda: event_values(event))
        about = (image.frame_id, image.size, colour, boxes, self._box_colours)
        self._send(MARKERS, MarkerArray, lambda: image_marker_values(event, *about))
        if boxes is not None and DETECTIONS in self._out:
            self._send(DETECTIONS, find_message_type(DETECTION_TYPE), lambda: detections2d_values(boxes))
        if boxes is not None and self.result_listener is not None:
            topic = self.resolve_topic_name(DETECTIONS)
            self.result_listener(topic, DETECTION_TYPE, detections2d_values(boxes), image.stamp_ns)
        debug = self._debug[event.camera]
        if debug.get_subscription_count():
            picture = overlay(
                image.rgb, event, self._colours, boxes, self._box_colours, self.config.debug.width, self._note
            )
            debug.publish(fill(Image(), image_values(picture, image.frame_id, image.stamp_ns)))

    def _send(self, topic: str, kind: Any, values: Callable[[], dict]) -> None:
        publisher = self._out[topic]
        if publisher.get_subscription_count():
            publisher.publish(fill(kind(), values()))
            self.health.count("processing", f"published_{topic.rsplit('/', 1)[-1]}")


def _session_of(config: TsmConfig) -> VideoSession:
    model = config.model
    return open_video(model.name, model.runtime, model.threads, len(config.cameras))


def _detector_of(config: TsmConfig) -> VideoDetector | None:
    model, detector = config.model, config.detector.model
    return open_detector(detector, model.runtime, model.threads, len(config.cameras)) if detector else None
