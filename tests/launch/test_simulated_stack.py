"""`perception.launch.py simulate:=true events:=true`: the processes that it starts give labels and events."""

import signal
import subprocess

import pytest

from perception_nodes.messages.events import read_event
from tests.commands.test_signals import alive, start, until  # noqa: F401
from tests.nodes.conftest import DOMAIN

pytestmark = [pytest.mark.ros, pytest.mark.slow]

STACK = "plan: perception\narguments: {simulate: true, events: true, rig: vlp16, rate: 0.5}\n"


def test_a_simulated_stack_gives_labels_and_events(start, tmp_path, monkeypatch):  # noqa: F811
    rclpy = pytest.importorskip("rclpy")
    from sensor_msgs.msg import PointCloud2
    from std_msgs.msg import String

    domain = 101 + (DOMAIN + 83) % 100
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    (tmp_path / "stack.yaml").write_text(STACK)
    child = start("-m", "perception_nodes.cli", "up", "--no-composed", "--config", tmp_path / "stack.yaml")
    context = rclpy.Context()
    rclpy.init(args=[], context=context, domain_id=domain)
    looking = rclpy.create_node("looking", context=context)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(looking)
    labels, events = [], []
    try:
        looking.create_subscription(PointCloud2, "/perception/segmentation", labels.append, 5)
        looking.create_subscription(String, "/perception/events", events.append, 5)

        def both():
            executor.spin_once(timeout_sec=0.1)
            return labels and any(read_event(event).state == "" for event in events)

        until(both, 240)
        found = subprocess.run(["pgrep", "-P", str(child.pid)], capture_output=True).stdout
        processes = [int(pid) for pid in found.split()]
        assert len(processes) == 3
    finally:
        looking.destroy_node()
        context.try_shutdown()
    child.send_signal(signal.SIGINT)
    assert child.wait(60) == 0
    until(lambda: not any(map(alive, processes)))
