"""Node processes from start to end, as a user or launch starts them."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.nodes.bags import write_bag
from tests.nodes.conftest import DOMAIN

pytestmark = pytest.mark.ros

NODE = """
import sys
from tests.nodes.conftest import HeightSession, spvcnn_node
from perception_nodes.nodes.main import run
def make(**kwargs):
    return spvcnn_node(lambda config: HeightSession(), **kwargs)
raise SystemExit(run([make], sys.argv))
"""


@pytest.fixture
def start(monkeypatch):
    pytest.importorskip("rclpy")
    monkeypatch.setenv("ROS_DOMAIN_ID", str(101 + (DOMAIN + 31) % 100))
    children = []

    def begin(*command):
        child = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        children.append(child)
        return child

    yield begin
    for child in children:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)


def children_of(pid):
    return subprocess.run(["pgrep", "-g", str(pid)], capture_output=True, text=True).stdout.split()


def segments_of(pid):
    """DDS segments in shared memory that a process has; of the other processes they are gone by now."""
    lines = [line for line in open(f"/proc/{pid}/maps") if "/dev/shm/fastdds_" in line and "deleted" not in line]
    return [name for name in {line.split()[-1] for line in lines} if "port" not in name]


def active(child, topic="/spvcnn_node/input/points", timeout=120.0):
    """Waits until the node subscribes."""
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    watcher = rclpy.create_node("watcher", context=context)
    try:
        end = time.monotonic() + timeout
        while time.monotonic() < end and not watcher.count_subscribers(topic):
            assert child.poll() is None, child.communicate()[0]
            time.sleep(0.05)
        assert watcher.count_subscribers(topic)
    finally:
        watcher.destroy_node()
        context.try_shutdown()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_no_traceback_and_no_child(start, number):
    child = start("-c", NODE)
    active(child)
    time.sleep(0.5)  # through with its start
    own = [name for name in segments_of(child.pid) if os.path.getsize(name) > 10_000_000]
    os.killpg(child.pid, number)
    time.sleep(0.05)
    if child.poll() is None:
        os.killpg(child.pid, number)  # under launch a second one comes
    said, _ = child.communicate(timeout=120)
    assert child.returncode == 0, said
    assert "Traceback" not in said and not children_of(child.pid)
    assert own and not any(os.path.exists(name) for name in own)


STUBBORN = """
import time
def build(config):
    print('up', flush=True)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            time.sleep(1)
        except BaseException:
            pass
def make(**kwargs):
    return spvcnn_node(build, **kwargs)
import sys
from tests.nodes.conftest import spvcnn_node
from perception_nodes.nodes.main import run
raise SystemExit(run([make], sys.argv))
"""


@pytest.mark.parametrize("stubborn", [False, True], ids=["load", "load that swallows interrupts"])
def test_a_signal_while_the_weights_load_ends_soon(start, stubborn):
    slow = STUBBORN if stubborn else STUBBORN.replace("except BaseException", "except OSError")
    child = start("-c", slow)
    assert child.stdout.readline() == "up\n"
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    said, _ = child.communicate(timeout=120)
    assert child.returncode == 0 and "Traceback" not in said, said
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-p", "modle.name:=x"], "no parameter 'modle.name' of spvcnn_node: did you mean 'model.name'"),
        (["-p", "model.name:=absent"], "absent"),
        (["--params-file", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_bad_parameters_end_with_one_sentence_and_code_1(start, arguments, sentence):
    child = start("-m", "perception_nodes.nodes.spvcnn_node", "--ros-args", *arguments)
    said, _ = child.communicate(timeout=120)
    assert child.returncode == 1 and sentence in said and "Traceback" not in said, said


def test_a_node_starts_without_words_of_the_middleware(start):
    """tf2_msgs is not on PyPI: with the class of nodes/tf_type.py ROS must have no error to print."""
    child = start("-c", NODE)
    active(child)
    child.send_signal(signal.SIGINT)
    said, _ = child.communicate(timeout=120)
    assert child.returncode == 0 and "error state" not in said and "implementation" not in said, said


def test_the_player_ends_with_code_0_at_the_end_of_the_bag(start, tmp_path):
    bag = write_bag(tmp_path / "bag", frames=3)
    child = start("-m", "perception_nodes.nodes.player_node", "--ros-args", "-p", f"bag:={bag}")
    said, _ = child.communicate(timeout=120)
    assert child.returncode == 0 and "Traceback" not in said, said


def test_up_starts_and_ends_the_stack_in_processes(start, tmp_path):
    bag = write_bag(tmp_path / "bag", frames=3)
    stack = tmp_path / "stack.yaml"
    stack.write_text(f"plan: replay\narguments: {{bag: {bag}, model: 'random:spvcnn-lite'}}\n")
    child = start("-m", "perception_nodes.cli", "up", "--no-composed", "--config", stack)
    said, _ = child.communicate(timeout=120)
    assert child.returncode == 0 and "Traceback" not in said and not children_of(child.pid), said
