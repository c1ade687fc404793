"""The player's publishers: waiting for acknowledgements stops nobody else; losses are told with their cure."""

import pytest

pytest.importorskip("rclpy")

from perception_nodes.config import Qos
from perception_nodes.nodes.outlets import Outlets
from perception_nodes.nodes.subscriptions import cure_of_losses
from perception_nodes.streaming.inputs import IMAGE, POINT_CLOUD, Stream

HELD_NS = 10_000_000  # rclpy holds the interpreter's lock for so long at most


class Slow:
    """A publisher whose messages are acknowledged at the third look, or never."""

    def __init__(self, looks):
        self.looks, self.waits = looks, []

    def wait_for_all_acked(self, timeout):
        self.waits.append(timeout.nanoseconds)
        return len(self.waits) >= self.looks


@pytest.mark.parametrize(("looks", "timeout_s"), [(3, 5.0), (10**9, 0.05)])
def test_waiting_for_acknowledgements_never_holds_the_interpreter_for_long(looks, timeout_s):
    outlets, publisher = Outlets.__new__(Outlets), Slow(looks)
    outlets._publishers = {"/camera/front/image": publisher}
    outlets.flush(timeout_s)
    assert 1 <= len(publisher.waits) <= looks and max(publisher.waits) <= HELD_NS
    assert looks > 3 or len(publisher.waits) == 3


def test_a_lost_message_names_the_qos_or_the_format_that_helps():
    best, sure = Qos(reliability="best_effort"), Qos(reliability="reliable", depth=4)
    cloud = cure_of_losses("/lidar/points", Stream("points", POINT_CLOUD), best, 17_000_000)
    assert "17.0 MB on /lidar/points" in cloud and "-p qos.input.reliability:=reliable" in cloud and "points" in cloud
    assert "CompressedImage" in cure_of_losses("/cam", Stream("front", IMAGE), best, 0)
    assert "raise qos.input.depth (now 4)" in cure_of_losses("/cam", Stream("front", IMAGE), sure, 10)
