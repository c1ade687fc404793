"""Rate 0: a player that sends the next cloud when the last one has been answered."""

import threading
import time

from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2

from perception_nodes.bags.reader import BagMessage
from perception_nodes.nodes.serialized import HEADER_BYTES, header_stamp_ns

FIRST_ANSWER_S = 60.0
ANSWER_S = 20.0


class Lockstep:
    """Listens to the answers' stamps; only their headers are read.

    Args:
        node: where the subscription lives.
        question: topic of the clouds that are sent.
        answer: topic on which a cloud with the same stamp comes back.
    """

    def __init__(self, node: Node, question: str, answer: str) -> None:
        self._node = node
        self._question = question
        self._changed = threading.Condition()
        self._newest = -1
        self._any = False
        self._subscription = node.create_subscription(
            PointCloud2, answer, self._on_answer, QoSProfile(depth=5), raw=True
        )

    def _on_answer(self, raw: bytes) -> None:
        with self._changed:
            self._newest = header_stamp_ns(raw)
            self._any = True
            self._changed.notify_all()

    def answered(self, message: BagMessage, halt: threading.Event) -> bool:
        """Waits for the answer to a cloud; True at once for other messages, False if none comes in time."""
        if message.topic != self._question or len(message.raw) < HEADER_BYTES:
            return True
        stamp = header_stamp_ns(message.raw)
        end = time.monotonic() + (ANSWER_S if self._any else FIRST_ANSWER_S)
        with self._changed:
            while self._newest != stamp and not halt.is_set():
                if time.monotonic() > end:
                    return False
                self._changed.wait(0.1)
        return True

    def destroy(self) -> None:
        self._node.destroy_subscription(self._subscription)
