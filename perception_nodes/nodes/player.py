"""PlayerNode: publishes a bag's stored bytes at any rate, with /clock."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from builtin_interfaces.msg import Time
from rclpy.publisher import Publisher
from rosgraph_msgs.msg import Clock
from std_srvs.srv import Trigger

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagMessage, BagReader, Topic
from perception_nodes.config import Qos
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import header_stamp_ns
from perception_nodes.nodes.config import PlayerConfig
from perception_nodes.nodes.errors import NodeError
from perception_nodes.nodes.lockstep import Lockstep, TopicLockstep
from perception_nodes.nodes.names import in_namespace
from perception_nodes.nodes.node import PerceptionNode
from perception_nodes.nodes.outlets import Outlets, matches
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.pacing import Pacer

LATE_S = 0.1  # a player this far behind its own schedule says so
SAY_S = 10.0  # between two sentences about who is waited for
SETTLE_S = 0.3  # from knowing a subscriber to its knowing this publisher: what is sent before comes late, or never


class PlayerNode(PerceptionNode[PlayerConfig]):
    """Plays `bag` on its own thread; the bag is read as it is played, never loaded whole.

    Ends its process with code 0 at the end of the bag (unless looping), 1 where the bag breaks off.

    Args:
        lockstep: who tells it to go on at rate 0; None: the answers on the topics of `answer.topics`.
        on_sent: called with the topic of each message that was published.
    """

    def __init__(
        self,
        name: str = "player_node",
        lockstep: Lockstep | None = None,
        on_sent: Callable[[str], None] = lambda topic: None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, PlayerConfig, aspects=("playback",), **kwargs)
        self._own_lockstep, self._on_sent = lockstep, on_sent
        self._topics: list[Topic] = []
        self._span = (0, 0.0)
        self.position_s = 0.0
        self._outlets: Outlets | None = None
        self._clock_out: Publisher | None = None
        self._lockstep: Lockstep | None = None
        self._thread: threading.Thread | None = None
        self._halt = threading.Event()
        self._pacer = Pacer()
        self.sent: dict[str, dict[int, float]] = {}  # answered topic -> header stamp (ns), the last 1000 -> monotonic s
        for verb in ("pause", "resume", "step"):
            self.create_service(Trigger, f"~/{verb}", getattr(self, f"_on_{verb}"))

    def load(self) -> None:
        """Opens the bag once, to find out now what is wrong with it."""
        config = self.config
        if not config.bag:
            raise BagError("no bag: give its path with -p bag:=PATH")
        wanted = [t for t in config.playback.topics if t]
        with BagReader(config.bag) as reader:
            self._topics = [t for t in reader.topics().values() if not wanted or matches(t.name, wanted)]
            self._span = (reader.start_ns, reader.duration_s)
            if not self._topics:
                raise BagError(f"the bag {config.bag} has none of the topics {', '.join(wanted) or '(any)'}")

    def start(self) -> None:
        config = self.config
        self._outlets = Outlets(self, self._topics)
        if config.clock.publish:
            self._clock_out = self.advertise(Clock, "/clock", Qos(reliability="reliable", depth=10))
        if config.playback.rate == 0 or config.playback.patient:
            types = {topic.name: topic.type for topic in self._topics}
            asked = [pair for pair in zip(config.answer.inputs, config.answer.topics) if pair[0] in types]
            self._lockstep = self._own_lockstep or TopicLockstep(self, asked, types)
        self._pacer = Pacer(config.playback.rate)
        if config.playback.paused:
            self._pacer.pause()
        self._halt.clear()
        self._thread = threading.Thread(target=self._run, name="player")
        self._thread.start()

    def stop(self) -> None:
        self._halt.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
            self._thread = None
        if self._lockstep is not None:
            self._lockstep.destroy()
            self._lockstep = None
        self._clock_out = None

    # --- the player's thread --------------------------------------------------------------------------------------

    def _run(self) -> None:
        code = 0
        try:
            self._wait_for_subscribers()
            while not self._halt.is_set():
                self._play_once()
                if not self.config.playback.loop:
                    break
                self.health.count("playback", "loops")
            if self._outlets is not None and not self._halt.is_set():
                self._outlets.flush(5.0)
            code = self._missed()
        except (BagError, NodeError) as error:
            self.last_error = str(error)
            self.get_logger().error(self.last_error)
            code = 1
        except Exception as error:
            if self.context.ok() and not self._halt.is_set():
                self.report("playback", "exceptions", Level.ERROR, error)
                code = 1
        if not self._halt.is_set():
            self.finish(code)

    def _wait_for_subscribers(self) -> None:
        """Waits for subscribers of `wait_for`; raises NodeError where a node of `wait_nodes` does not come."""
        play = self.config.playback
        nodes = play.wait_nodes if any(play.wait_nodes) else [""] * len(play.wait_for)
        wanted = [(topic, node) for topic, node in zip(play.wait_for, nodes) if topic]
        began = said = time.monotonic()
        start_ns = self._span[0] + round(play.start_s * 1e9)
        settled = began + SETTLE_S if wanted else 0.0
        while not self._halt.wait(0.02):
            self._send_clock(start_ns)  # time stands at the beginning, but it is there
            now = time.monotonic()
            missing = [(topic, node) for topic, node in wanted if not self._is_heard(topic, node)]
            if not missing:
                if now >= settled:
                    return
                continue
            settled = now + SETTLE_S
            text = ", ".join(f"{node or 'nobody'} to {topic}" for topic, node in missing)
            if now - said > SAY_S:
                said = now
                self.get_logger().info(f"waiting for subscriptions: {text}")
            if now - began > play.wait_s:
                self._give_up(missing, text)
                return

    def _is_heard(self, topic: str, node: str) -> bool:
        """True where a topic has a subscription, of this node where one is named."""
        assert self._outlets is not None
        if not node:
            return bool(self._outlets.subscribers(topic))
        found = self.get_subscriptions_info_by_topic(in_namespace(topic))
        own = self.get_namespace()
        return any(info.node_name == node and info.node_namespace == own for info in found)

    def _give_up(self, missing: list[tuple[str, str]], text: str) -> None:
        seconds = self.config.playback.wait_s
        if any(node for _, node in missing):
            raise NodeError(f"after {seconds:g} s no subscription of {text}: is the node running, on this topic?")
        text = f"nobody subscribes to {', '.join(topic for topic, _ in missing)}: playing all the same"
        self.health.event("playback", "no_subscriber", Level.WARN, text)
        self.get_logger().warning(text)

    def _play_once(self) -> None:
        play, outlets = self.config.playback, self._outlets
        assert outlets is not None
        with BagReader(self.config.bag) as reader:
            first = True
            topics = outlets.topics
            shown = time.monotonic()
            self._send_earlier(reader)
            for message in reader.messages(topics, play.start_s, play.duration_s or None) if topics else ():
                if first:
                    self._pacer.start(message.stamp_ns)
                    first = False
                if not self._hold(message.stamp_ns):
                    return
                if self._lockstep is not None and not self._lockstep.ready(message, self._halt):
                    self._unanswered()
                self._send_clock(message.stamp_ns)
                self._note_sending(message)
                if outlets.send(message, reader):
                    self.health.count("playback", "messages")
                    self._on_sent(message.topic)
                    if self._lockstep is not None:
                        self._lockstep.sent(message)
                if time.monotonic() - shown > 0.5:
                    shown = time.monotonic()
                    self._show(message.stamp_ns)
        if self._lockstep is not None and not self._lockstep.finish(self._halt):
            self._unanswered()

    def _send_earlier(self, reader: BagReader) -> None:
        """Latched messages from before `playback.start_s`, such as /tf_static: a late subscriber would have them."""
        outlets, start_s = self._outlets, self.config.playback.start_s
        assert outlets is not None
        latched = [topic for topic in outlets.topics if outlets.is_latched(topic)]
        for message in reader.messages(latched, 0.0, start_s) if latched and start_s > 0 else ():
            if self._halt.is_set():
                return
            if self._lockstep is not None and not self._lockstep.ready(message, self._halt):
                self._unanswered()
            if outlets.send(message, reader):
                self._on_sent(message.topic)
                if self._lockstep is not None:
                    self._lockstep.sent(message)

    def _missed(self) -> int:
        """Exit code at the end of the bag: 1 where answers that were waited for never came, and nobody else says so."""
        missed = self.health.counter("playback", "unanswered")
        if not missed or self._own_lockstep is not None:
            return 0
        self.last_error = f"{missed} messages got no answer on {', '.join(dict.fromkeys(self.config.answer.topics))}"
        self.get_logger().error(self.last_error)
        return 1

    def _unanswered(self) -> None:
        self.health.event("playback", "unanswered", Level.WARN, "a message got no answer in time")

    def asked(self, topic: str) -> int:
        """Messages sent so far on one of `answer.inputs`."""
        return self.health.counter("playback", f"sent {topic}")

    def _note_sending(self, message: BagMessage) -> None:
        if message.topic in self.config.answer.inputs:
            self.health.count("playback", f"sent {message.topic}")
            sent = self.sent.setdefault(message.topic, {})
            with contextlib.suppress(MessageError):  # a malformed message has no answer
                sent[header_stamp_ns(message.raw)] = time.monotonic()
            while len(sent) > 1000:
                sent.pop(next(iter(sent)))

    def _hold(self, stamp_ns: int) -> bool:
        """Waits until a message is due, with /clock running; False when the node is stopped meanwhile."""
        tick = 1.0 / self.config.clock.rate_hz
        while True:
            wait = self._pacer.wait_s(stamp_ns)
            if wait <= 0:
                if -wait > LATE_S and self._lockstep is None:
                    self.health.event("playback", "late", Level.WARN, "cannot keep the rate: messages leave late")
                return not self._halt.is_set()
            if self._halt.wait(min(wait, tick)):
                return False
            if wait > tick:
                self._send_clock(min(self._pacer.time_ns(), stamp_ns))

    def _send_clock(self, stamp_ns: int) -> None:
        if self._clock_out is not None:
            seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
            self._clock_out.publish(Clock(clock=Time(sec=seconds, nanosec=nanoseconds)))

    def _show(self, stamp_ns: int) -> None:
        start, duration = self._span
        at = (stamp_ns - start) * 1e-9
        self.position_s = at
        self.health.value("playback", "position_s", at)
        if sys.stderr.isatty():
            print(f"\r  {at:7.1f} / {duration:.1f} s ", end="", file=sys.stderr, flush=True)

    # --- services -------------------------------------------------------------------------------------------------

    def _on_pause(self, request: Any, response: Any) -> Any:
        self._pacer.pause()
        response.success, response.message = True, "paused"
        return response

    def _on_resume(self, request: Any, response: Any) -> Any:
        self._pacer.resume()
        response.success, response.message = True, "playing"
        return response

    def _on_step(self, request: Any, response: Any) -> Any:
        response.success = self._pacer.paused
        response.message = "one message" if self._pacer.paused else "not paused: call ~/pause first"
        if self._pacer.paused:
            self._pacer.step()
        return response
