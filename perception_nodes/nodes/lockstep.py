"""Rate 0: a player that sends the next message when the last one has been worked on."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from rclpy.node import Node
from rclpy.qos import QoSProfile

from perception_nodes.bags.reader import BagMessage
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import header_stamp_ns
from perception_nodes.nodes.message_types import find_message_type
from perception_nodes.systems import SYSTEMS
from perception_nodes.systems.system import Output

if TYPE_CHECKING:
    from perception_nodes.nodes.lanes import Lane

FIRST_ANSWER_S = 60.0
ANSWER_S = 20.0
LOOK_S = 0.001
LOST_S = 5.0  # for a message to be taken in; more, and it was lost on its way


class Lockstep(Protocol):
    """Who tells the player when to go on."""

    def ready(self, message: BagMessage, halt: threading.Event) -> bool:
        """Waits until a message may be sent; False if what is waited for does not come."""

    def sent(self, message: BagMessage) -> None:
        """Notes a message that was sent."""

    def finish(self, halt: threading.Event) -> bool:
        """Waits for the end of all work; False if it does not come."""

    def destroy(self) -> None:
        """Ends what listens."""


class NodeLockstep:
    """Watches the nodes themselves, in the player's own process: the next message for a node is sent when it has taken
    in the last one, has nothing left to work on, and the recorder has its answers. So every node gets its messages in
    the bag's order; a message that it refuses, or a sample that waits for others, costs no time.
    """

    def __init__(self, lanes: Sequence["Lane"]) -> None:
        self._lanes = lanes

    def ready(self, message: BagMessage, halt: threading.Event) -> bool:
        return all([self._wait(lane, halt) for lane in self._lanes if message.topic in lane.sent])

    def sent(self, message: BagMessage) -> None:
        """The player tells the lanes itself, at every rate."""

    def finish(self, halt: threading.Event) -> bool:
        return all([self._wait(lane, halt) for lane in self._lanes])

    def destroy(self) -> None:
        """Nothing listens."""

    @staticmethod
    def _wait(lane: "Lane", halt: threading.Event) -> bool:
        taken, since = lane.taken(), time.monotonic()
        while not halt.is_set() and not lane.complete():
            worker = lane.node.worker
            if lane.taken() != taken or (worker is not None and not worker.idle):
                taken, since = lane.taken(), time.monotonic()
            if time.monotonic() - since > LOST_S:
                lane.give_up()
                return False
            time.sleep(LOOK_S)
        return True


class TopicLockstep:
    """Listens to the answers' stamps: for nodes in other processes.

    Topics go on independently of each other: a cloud and a picture of one moment are worked on together. Where several
    topics share an answer (the cameras of one node), each may be one message ahead: the node itself waits for the
    others, and closes a set where one is missing.

    Args:
        node: where the subscriptions live.
        answers: topic that is sent -> topic on which something with the same stamp comes back.
        types: message type of each sent topic; an answer that no system declares is of its question's type.
    """

    def __init__(self, node: Node, answers: dict[str, str], types: dict[str, str]) -> None:
        self._node = node
        self._answers = answers
        self._changed = threading.Condition()
        self._came: dict[str, deque[int]] = {answer: deque(maxlen=200) for answer in answers.values()}
        self._waiting: dict[str, deque[int]] = {question: deque() for question in answers}
        shared = list(answers.values())
        self._ahead = {question: int(shared.count(answer) > 1) for question, answer in answers.items()}
        self._any = False
        declared = {system.answer.topic: system.answer for system in SYSTEMS}
        kinds: dict[str, tuple[Any, Callable[[bytes], int]]] = {}
        for question, answer in answers.items():
            output = declared.get(answer)
            kind = find_message_type(types[question] if output is None else output.type)
            kinds[answer] = (kind, _stamp_reader(output))
        self._subscriptions = [
            node.create_subscription(kind, topic, self._receiver(topic, stamp), QoSProfile(depth=20), raw=True)
            for topic, (kind, stamp) in kinds.items()
        ]

    def _receiver(self, topic: str, stamp_of: Callable[[bytes], int]) -> Callable[[bytes], None]:
        def receive(raw: bytes) -> None:
            try:
                stamp = stamp_of(raw)
            except MessageError:
                return
            with self._changed:
                self._came[topic].append(stamp)
                self._any = True
                self._changed.notify_all()

        return receive

    def ready(self, message: BagMessage, halt: threading.Event) -> bool:
        return self._wait(message.topic, self._ahead.get(message.topic, 0), halt)

    def sent(self, message: BagMessage) -> None:
        if message.topic in self._waiting:
            with contextlib.suppress(MessageError):  # nobody answers a message without a stamp
                self._waiting[message.topic].append(header_stamp_ns(message.raw))

    def finish(self, halt: threading.Event) -> bool:
        return all([self._wait(question, self._ahead[question], halt) for question in self._waiting])

    def _wait(self, question: str, ahead: int, halt: threading.Event) -> bool:
        waiting = self._waiting.get(question)
        if not waiting or not self._node.count_publishers(self._answers[question]):
            return True  # nobody there who could answer
        came = self._came[self._answers[question]]
        end = time.monotonic() + (ANSWER_S if self._any else FIRST_ANSWER_S)
        with self._changed:
            while not halt.is_set():
                answered = [i for i, stamp in enumerate(waiting) if stamp in came]
                if answered:  # one that came after it answers for an earlier one, too: that one was refused
                    came.remove(waiting[answered[-1]])
                    for _ in range(answered[-1] + 1):
                        waiting.popleft()
                if len(waiting) <= ahead:
                    return True
                if time.monotonic() > end:
                    waiting.popleft()
                    return False
                self._changed.wait(0.1)
        return True

    def destroy(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


def _stamp_reader(output: Output | None) -> Callable[[bytes], int]:
    """Reads which stamp (ns) a serialised answer carries."""
    if output is None or output.stamp is None:
        return header_stamp_ns
    read = output.stamp
    return lambda raw: read(raw)[1]
