"""Rate 0 in one process: the player sends the next message when the nodes have worked on the last one."""

import threading
import time
from collections.abc import Sequence

from perception_nodes.bags.reader import BagMessage
from perception_nodes.nodes.lanes import Lane
from perception_nodes.nodes.lockstep import LOOK_S

LOST_S = 5.0  # for a message to be taken in; more, and it was lost on its way


class NodeLockstep:
    """Watches the nodes themselves, in the player's own process: the next message for a node is sent when it has taken
    in the last one, has nothing left to work on, and the recorder has its answers. So every node gets its messages in
    the bag's order; a message that it refuses, or a sample that waits for others, costs no time.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
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
    def _wait(lane: Lane, halt: threading.Event) -> bool:
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
