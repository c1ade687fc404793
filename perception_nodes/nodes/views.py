"""A pipeline node that looks through cameras: one topic each, raw or compressed, collected into sets."""

import time
from functools import partial
from typing import Any, TypeVar

from rclpy.clock import Clock, ClockType, TimeJump
from rclpy.timer import Timer
from sensor_msgs.msg import CompressedImage, Image

from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import header_stamp_ns
from perception_nodes.nodes.config import ViewsConfig
from perception_nodes.nodes.pipeline import FOREIGN_CLOCK_S, Arrival, PipelineNode
from perception_nodes.nodes.serialized import decode
from perception_nodes.streaming.collector import ViewCollector
from perception_nodes.streaming.health import Level

V = TypeVar("V", bound=ViewsConfig)

TYPES = {"raw": Image, "compressed": CompressedImage}
NAMES = {"sensor_msgs/msg/Image": "raw", "sensor_msgs/msg/CompressedImage": "compressed"}
LOOK_S = 0.1  # between looks at the graph, while a topic has no type


class ViewsNode(PipelineNode[V]):
    """Adds `watch_cameras` to `PipelineNode`: `process` gets a `ViewSet` of serialised messages.

    A camera whose topic has no publisher yet is looked for until there is one: its type decides between Image and
    CompressedImage. What a camera lacks is said in /diagnostics by its name; the others go on without it.
    """

    memory_advice = "Send smaller pictures, or give the node more memory"

    def __init__(self, name: str, config_class: type[V], **kwargs: Any) -> None:
        super().__init__(name, config_class, **kwargs)
        self._collector: ViewCollector[bytes] | None = None
        self._kinds: dict[str, Any] = {}  # camera -> message class, once subscribed
        self._topics: dict[str, str] = {}
        self._look_timer: Timer | None = None
        self._began = 0.0

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras, in the order of the parameter."""
        return tuple(self.config.cameras)

    def topic_of(self, camera: str) -> str:
        """`~/input/image` of the only camera, `~/input/<camera>/image` of one among several."""
        return "~/input/image" if len(self.cameras) == 1 else f"~/input/{camera}/image"

    def watch_cameras(self) -> None:
        """Subscribes to the cameras, now or as soon as they are there, and starts the worker."""
        config, stream = self.config, self.config.stream
        times = (stream.gap_periods, stream.jump_back_s, stream.jump_back_periods)
        collect = (config.collect.max_age_s, config.collect.min_cameras, config.collect.absent_sets)
        self._collector = ViewCollector(self.cameras, *collect, *times)
        self._topics = {camera: self.topic_of(camera) for camera in self.cameras}
        self._kinds.clear()
        self._began = time.monotonic()
        self.start_worker()
        self._look()
        self._look_timer = self.create_timer(LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def stop(self) -> None:
        if self._look_timer is not None:
            self.destroy_timer(self._look_timer)
            self._look_timer = None
        super().stop()

    def open_message(self, raw: Any) -> Any:
        return raw  # a set: each view is decoded by `decode_view`, since one that cannot be costs only itself

    def decode_view(self, camera: str, raw: bytes) -> Any:
        """The rclpy message of a view; raises MessageError."""
        return decode(raw, self._kinds[camera])

    # --- the executor's thread ------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Subscribes to topics that have come, and says which cameras lack what."""
        for camera in self.cameras:
            if camera not in self._kinds:
                self._find(camera)
        waited = time.monotonic() - self._began > self.config.collect.patience_s
        lacking = self._collector.lacking() if self._collector is not None else {}
        for camera in self.cameras:
            if camera in lacking and (waited or camera in self._kinds and "no image" not in lacking[camera]):
                text = f"camera {camera}: {self._why(camera, lacking[camera])}"
                self.health.condition("input", f"camera {camera}", Level.WARN, text)
            elif camera not in lacking:
                self.health.clear("input", f"camera {camera}")

    def _find(self, camera: str) -> None:
        transport = self.config.input.transport
        if transport == "auto":
            found = {NAMES[kind] for kind in self._published(camera) if kind in NAMES}
            if not found:
                return
            transport = "compressed" if "compressed" in found else "raw"
        self._kinds[camera] = TYPES[transport]
        try:
            self.subscribe(TYPES[transport], self._topics[camera], partial(self._on_view, camera))
        except Exception as error:  # the middleware refuses a second type under one name in one process
            del self._kinds[camera]
            self.report("input", "refused_topics", Level.ERROR, error)

    def _published(self, camera: str) -> list[str]:
        """Message types that are published on a camera's topic."""
        topic = self.resolve_topic_name(self._topics[camera])
        return [info.topic_type for info in self.get_publishers_info_by_topic(topic)]

    def _why(self, camera: str, reason: str) -> str:
        topic, kinds = self.resolve_topic_name(self._topics[camera]), self._published(camera)
        if not kinds:
            return f"{reason}: nobody publishes {topic}"
        wanted = [name for name, short in NAMES.items() if self._kinds.get(camera) in (None, TYPES[short])]
        if not set(kinds) & set(wanted):
            return f"{reason}: {topic} carries {', '.join(sorted(set(kinds)))}, expected {' or '.join(wanted)}"
        return f"{reason} on {topic}" if "no" in reason.split() else reason

    # --- the intake's thread --------------------------------------------------------------------------------------

    def _on_view(self, camera: str, raw: bytes) -> None:
        try:
            self.health.count("input", "received")
            stamp_ns = header_stamp_ns(raw)
            assert self._collector is not None
            admission = self._collector.put(camera, stamp_ns, raw, self._now_ns(stamp_ns))
            of = f"camera {camera}: " if len(self.cameras) > 1 else ""
            self.note_verdict(admission.verdict, of)
            if admission.masked:
                text = f"camera {camera}: {admission.masked}: its view is not used"
                self.health.event("input", "masked_views", Level.WARN, text)
            for _ in range(admission.given_up):
                text = f"fewer than collect.min_cameras={self.config.collect.min_cameras} cameras: set given up"
                self.health.event("input", "sets_given_up", Level.WARN, text)
            for views in admission.sets:
                self.health.count("input", "missing_views", len(views.lacks))
                self.leave(Arrival(views, time.monotonic(), self.age_s(views.stamp_ns), self._generation))
        except MessageError as error:
            self.reject(error, f"camera {camera}: ")
        except Exception as error:
            self.report("input", "exceptions", Level.ERROR, error)

    def _now_ns(self, stamp_ns: int) -> int | None:
        """The clock that stamps are held against: the system's. A simulated one comes on a topic of its own, which may
        be seen before or after the picture; and stamps of another time altogether are said, not masked."""
        age = self.age_s(stamp_ns)
        if age is None or abs(age) > FOREIGN_CLOCK_S or self.get_parameter("use_sim_time").value:
            return None
        return stamp_ns + round(age * 1e9)

    def _on_clock_jump(self, jump: TimeJump) -> None:
        if self._collector is not None:
            self._collector.expect_jump()
