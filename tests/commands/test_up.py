"""`perception up --view`: the viewer of a running stack."""

import os
import signal
import subprocess
import sys

import pytest

from tests.commands.test_signals import alive, start, until  # noqa: F401
from tests.nodes.bags import write_bag
from tests.nodes.conftest import DOMAIN

pytestmark = pytest.mark.ros

SHOWN = ("/car/perception/segmentation", "/car/lidar/points")
STACK = "plan: replay\narguments: {{bag: {bag}, model: 'random:spvcnn-lite', loop: true, namespace: car}}\n"


@pytest.mark.parametrize("how", ["--composed", "--no-composed"])
def test_the_viewer_shows_the_stack_and_ends_with_it(start, tmp_path, monkeypatch, how):  # noqa: F811
    rclpy = pytest.importorskip("rclpy")
    pytest.importorskip("rerun")
    domain = 101 + (DOMAIN + 57 + (how == "--composed")) % 100
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    bag = write_bag(tmp_path / "bag", frames=5)
    (tmp_path / "stack.yaml").write_text(STACK.format(bag=bag))
    child = start("-m", "perception_nodes.cli", "up", "--view", how, "--config", tmp_path / "stack.yaml",
                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    context = rclpy.Context()
    rclpy.init(args=[], context=context, domain_id=domain)
    looking = rclpy.create_node("looking", context=context)

    def readers(topic):
        return {info.node_name for info in looking.get_subscriptions_info_by_topic(topic)}

    try:
        until(lambda: all("viewer" in readers(topic) for topic in SHOWN), 90)
        assert not readers("/car/perception/visualization")
        found = subprocess.run(["pgrep", "-P", str(child.pid)], capture_output=True).stdout
        group = [int(pid) for pid in found.split()]
        assert len(group) == (1 if how == "--composed" else 3)
    finally:
        looking.destroy_node()
        context.try_shutdown()
    os.killpg(child.pid, signal.SIGINT)
    said, _ = child.communicate(timeout=60)
    assert child.returncode == 0 and "viewer: http://127.0.0.1:" in said and "Traceback" not in said, said
    until(lambda: not any(map(alive, group)))


def test_without_rerun_it_says_what_to_install(monkeypatch, capsys):
    from perception_nodes.commands.up import run
    from perception_nodes.viewer.log import ViewerError

    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(ViewerError, match=r"pip install 'perception_nodes\[viz\]'"):
        run(None, composed=True, network=False, view=True)
