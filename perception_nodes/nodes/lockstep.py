"""Rate 0: a player that sends the next message of a topic when the last one has been answered."""

import threading
import time
from collections import deque
from collections.abc import Callable

from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import String

from perception_nodes.bags.reader import BagMessage
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import HEADER_BYTES, header_stamp_ns
from perception_nodes.nodes.serialized import event_key

FIRST_ANSWER_S = 60.0
ANSWER_S = 20.0
CLOUD = "sensor_msgs/msg/PointCloud2"


class Lockstep:
    """Listens to the answers' stamps; of clouds only the header is read.

    Topics go on independently of each other: a cloud and a picture of one moment are worked on together. Where several
    topics share an answer (the cameras of one node), each may be one message ahead: the node itself waits for the
    others, and closes a set where one is missing.

    Args:
        node: where the subscriptions live.
        answers: topic that is sent -> topic on which something with the same stamp comes back.
        types: message type of each sent topic; clouds are answered by clouds, pictures by events (JSON).
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
        kinds = {answer: PointCloud2 if types[question] == CLOUD else String for question, answer in answers.items()}
        self._subscriptions = [
            node.create_subscription(kind, topic, self._receiver(topic, kind), QoSProfile(depth=20), raw=True)
            for topic, kind in kinds.items()
        ]

    def _receiver(self, topic: str, kind: type) -> Callable[[bytes], None]:
        def receive(raw: bytes) -> None:
            try:
                stamp = header_stamp_ns(raw) if kind is PointCloud2 else event_key(raw)[1]
            except MessageError:
                return
            with self._changed:
                self._came[topic].append(stamp)
                self._any = True
                self._changed.notify_all()

        return receive

    def ready(self, message: BagMessage, halt: threading.Event) -> bool:
        """Waits until a message may be sent; False if the answer to an earlier one of its topic does not come."""
        return self._wait(message.topic, self._ahead.get(message.topic, 0), halt)

    def sent(self, message: BagMessage) -> None:
        """Notes a message whose answer is to be waited for."""
        if message.topic in self._waiting and len(message.raw) >= HEADER_BYTES:
            self._waiting[message.topic].append(header_stamp_ns(message.raw))

    def finish(self, halt: threading.Event) -> bool:
        """Waits for every answer that is still due; False if one did not come."""
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
