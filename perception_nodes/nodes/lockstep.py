"""Rate 0: a player that sends the next message when the last one has been worked on."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from rclpy.node import Node
from rclpy.qos import QoSProfile

from perception_nodes.bags.reader import BagMessage
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import header_stamp_ns
from perception_nodes.nodes.message_types import find_message_type
from perception_nodes.nodes.names import in_namespace
from perception_nodes.systems import SYSTEMS
from perception_nodes.systems.inputs import CLOUD
from perception_nodes.systems.system import Output

FIRST_ANSWER_S = 60.0
ANSWER_S = 20.0
LOOK_S = 0.001


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


class TopicLockstep:
    """Listens to the answers' stamps: for nodes in other processes.

    Topics go on independently of each other: a cloud and a picture of one moment are worked on together. A topic may be
    one message ahead where its node waits for others: where several topics share an answer (the cameras of one node),
    and where a cloud is answered together with pictures.

    Args:
        node: where the subscriptions live.
        pairs: (topic that is sent, topic on which something with the same stamp comes back); a topic may have several
            answers, and an answer several topics.
        types: message type of each sent topic; an answer that no system declares is of its question's type.
    """

    def __init__(self, node: Node, pairs: Sequence[tuple[str, str]], types: dict[str, str]) -> None:
        self._node = node
        self._changed = threading.Condition()
        declared = {system.answer.topic: system for system in SYSTEMS}
        answers = [answer for _, answer in pairs]
        self._came: dict[str, deque[int]] = {answer: deque(maxlen=200) for answer in answers}
        self._waits = []
        for question, answer in pairs:
            inputs = declared[answer].inputs if answer in declared else CLOUD
            ahead = int(answers.count(answer) > 1 or (inputs.cloud and inputs.cameras))
            self._waits.append(_Wait(question, answer, ahead, self._came[answer]))
        self._any = False
        self._subscriptions = []
        for answer in dict.fromkeys(answers):
            output = declared[answer].answer if answer in declared else None
            question = next(q for q, a in pairs if a == answer)
            kind = find_message_type(types[question] if output is None else output.type)
            if kind is not None:  # else nobody here can answer
                receive, qos = self._receiver(answer, _stamp_reader(output)), QoSProfile(depth=20)
                self._subscriptions.append(node.create_subscription(kind, in_namespace(answer), receive, qos, raw=True))

    def _receiver(self, answer: str, stamp_of: Callable[[bytes], int]) -> Callable[[bytes], None]:
        def receive(raw: bytes) -> None:
            try:
                stamp = stamp_of(raw)
            except MessageError:
                return
            with self._changed:
                self._came[answer].append(stamp)
                self._any = True
                self._changed.notify_all()

        return receive

    def ready(self, message: BagMessage, halt: threading.Event) -> bool:
        return all([self._wait(wait, halt) for wait in self._waits if wait.question == message.topic])

    def sent(self, message: BagMessage) -> None:
        with contextlib.suppress(MessageError), self._changed:  # nobody answers a message without a stamp
            for wait in self._waits:
                if wait.question == message.topic:
                    wait.due.append(header_stamp_ns(message.raw))

    def finish(self, halt: threading.Event) -> bool:
        return all([self._wait(wait, halt) for wait in self._waits])

    def _wait(self, wait: "_Wait", halt: threading.Event) -> bool:
        if not wait.due or not self._node.count_publishers(in_namespace(wait.answer)):
            return True  # nobody there who could answer
        end = time.monotonic() + (ANSWER_S if self._any else FIRST_ANSWER_S)
        with self._changed:
            while not halt.is_set() and not wait.settled():
                if time.monotonic() > end:
                    wait.due.popleft()
                    return False
                self._changed.wait(0.1)
        return True

    def destroy(self) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)


class _Wait:
    """The stamps of a topic's messages for which an answer is due; `ahead` of them may be sent before it comes.

    came: stamps of the answers so far, shared by the topics that share an answer topic.
    """

    def __init__(self, question: str, answer: str, ahead: int, came: deque[int]) -> None:
        self.question, self.answer, self.ahead = question, answer, ahead
        self.due: deque[int] = deque()
        self._came = came

    def settled(self) -> bool:
        """Takes the answers that came; one answers for earlier messages, too, since they were refused."""
        answered = [i for i, stamp in enumerate(self.due) if stamp in self._came]
        if answered:
            self._came.remove(self.due[answered[-1]])
            for _ in range(answered[-1] + 1):
                self.due.popleft()
        return len(self.due) <= self.ahead


def _stamp_reader(output: Output | None) -> Callable[[bytes], int]:
    """Reads which stamp (ns) a serialised answer carries."""
    if output is None or output.stamp is None:
        return header_stamp_ns
    read = output.stamp
    return lambda raw: read(raw)[1]
