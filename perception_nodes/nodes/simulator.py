"""SimulatorNode: a drive through the embedded world, live, with /clock."""

import threading
from collections.abc import Callable
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.clock import Clock as RosClock
from rclpy.clock import ClockType
from rclpy.publisher import Publisher
from rclpy.timer import Timer
from rosgraph_msgs.msg import Clock

from perception_nodes.bags.qos import default_qos
from perception_nodes.bags.typestore import make, to_bytes
from perception_nodes.config import Qos
from perception_nodes.messages.assign import fill
from perception_nodes.nodes.config import SimulatorConfig
from perception_nodes.nodes.names import in_namespace
from perception_nodes.nodes.node import PerceptionNode
from perception_nodes.nodes.tf_type import raw_message_type
from perception_nodes.simulator.drive import Drive
from perception_nodes.simulator.record import START_NS
from perception_nodes.simulator.rigs import rig
from perception_nodes.simulator.topics import Outgoing, frame_messages, opening
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.pacing import Pacer

LATE_S = 0.02


class SimulatorNode(PerceptionNode[SimulatorConfig]):
    """Computes frames on its own thread and publishes each when it is due.

    Simulated time waits for a frame that takes longer than its period: /clock never runs ahead of the sensors.
    """

    def __init__(self, name: str = "simulator_node", **kwargs: Any) -> None:
        super().__init__(name, SimulatorConfig, aspects=("simulation",), **kwargs)
        self._drive: Drive | None = None
        self._thread: threading.Thread | None = None
        self._halt = threading.Event()
        self._topics: dict[str, tuple[Callable[[dict], Any], Publisher] | None] = {}
        self._pacer = Pacer()
        self._clock_out: Publisher | None = None
        self._clock_timer: Timer | None = None
        self._limit_ns: int | None = None  # /clock goes no further before this frame is out
        self._told_ns = 0

    def load(self) -> None:
        """Builds the world (about a second) and the rig."""
        c = self.config
        cameras: bool | tuple[str, ...] = False
        if c.cameras:
            cameras = tuple(spec.name for spec in rig(c.rig).cameras[: c.max_cameras])
        seconds = c.seconds or None
        self._drive = Drive(
            c.scenario,
            c.rig,
            c.seed,
            seconds=seconds,
            cameras=cameras,
            lidar=c.lidar,
            image_width=c.image_width,
            compensate={"auto": None, "always": True, "never": False}[c.compensate],
            threads=c.threads,
        )

    def start(self) -> None:
        self._topics.clear()
        self._halt.clear()
        self._limit_ns, self._told_ns = None, 0
        self._pacer = Pacer(self.config.rate)
        self._clock_out = self.advertise(Clock, "/clock", Qos(depth=10))
        period = 1.0 / self.config.clock_hz
        self._clock_timer = self.create_timer(period, self._tick, clock=RosClock(clock_type=ClockType.STEADY_TIME))
        self._thread = threading.Thread(target=self._run, name="simulator")
        self._thread.start()

    def stop(self) -> None:
        self._halt.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._thread = None
        if self._clock_timer is not None:
            self.destroy_timer(self._clock_timer)
            self._clock_timer = None
        self._topics.clear()
        self._clock_out = None

    def unload(self) -> None:
        if self._drive is not None:
            self._drive.close()
            self._drive = None

    # --- the simulator's thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        code = 0
        try:
            self._simulate()
        except Exception as error:
            if not self._halt.is_set() and self.context.ok():
                self.report("simulation", "exceptions", Level.ERROR, error)
                code = 1
        if not self._halt.is_set():
            self.finish(code)

    def _simulate(self) -> None:
        drive, config = self._drive, self.config
        assert drive is not None
        for message in opening(drive, START_NS, config.truth):
            self._send(message, latched=True)
        for frame in drive:
            if self._halt.is_set():
                return
            stamp = START_NS + round(frame.time * 1e9)
            messages = list(frame_messages(drive, frame, START_NS, config.jpeg_quality, config.truth))
            if self._limit_ns is None:
                self._pacer.start(stamp)
            self._limit_ns = stamp
            wait = self._pacer.wait_s(stamp)
            if wait < -LATE_S:
                self._pacer.start(stamp)  # simulated time waited for this frame
                text = "frames take longer than their period: slower than asked for"
                self.health.event("simulation", "late_frames", Level.WARN, text)
            if self._halt.wait(max(0.0, wait)):
                return
            self._say_time(stamp)
            for message in messages:
                self._send(message)
            self._limit_ns = stamp + round(1e9 / drive.rate)
            self.health.count("simulation", "frames")
            self.health.value("simulation", "time_s", frame.time)

    def _send(self, message: Outgoing, latched: bool = False) -> None:
        if message.topic not in self._topics:
            self._topics[message.topic] = self._open(message, latched)
        outlet = self._topics[message.topic]
        if outlet is not None:
            build, publisher = outlet
            if latched or publisher.get_subscription_count():
                publisher.publish(build(message.values))

    def _open(self, message: Outgoing, latched: bool) -> tuple[Callable[[dict], Any], Publisher] | None:
        """(what makes a message of values, its publisher), or None where the type is not installed."""
        found = raw_message_type(message.type_name)
        if found is None:
            text = f"not publishing {message.topic}: message type {message.type_name} is not installed here"
            self.get_logger().warning(text)
            return None
        wanted = default_qos(message.topic, message.type_name)
        durability: Any = "transient_local" if latched else "volatile"
        kind, only_bytes = found

        def build(values: dict) -> Any:
            return to_bytes(make(message.type_name, **values)) if only_bytes else fill(kind(), values)

        return build, self.advertise(kind, in_namespace(message.topic), Qos(durability=durability, depth=wanted.depth))

    # --- /clock ---------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """On the executor's thread: time between two frames."""
        limit = self._limit_ns
        if limit is not None:
            self._say_time(min(self._pacer.time_ns(), limit))

    def _say_time(self, stamp_ns: int) -> None:
        publisher = self._clock_out
        if publisher is None or stamp_ns <= self._told_ns:
            return
        self._told_ns = stamp_ns
        seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
        publisher.publish(Clock(clock=Time(sec=seconds, nanosec=nanoseconds)))
