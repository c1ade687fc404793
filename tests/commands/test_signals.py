"""How commands end when they are told to: no child is left, nothing half-written, and a sentence says so."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.nodes.bags import write_bag

CHILD = """
import time
from perception_nodes.children import start_child
print(start_child(["sleep", "100"]).pid, flush=True)
time.sleep(100)
"""
VIEWER = """
import time
from perception_nodes.viewer.live import LiveViewer
viewer = LiveViewer("test", window=False)
print("port", viewer.port, viewer._process.pid, flush=True)
time.sleep(100)
"""
STACK = (
    "plan: simulator\narguments: {scenario: suburb_day, rig: vlp16}\nparameters: {simulator_node: {autostart: false}}\n"
)


@pytest.fixture
def start():
    running = []

    def begin(*command, **options):
        # Under nohup SIGHUP is ignored in this process, in a shell's background SIGINT; a child would ignore them too.
        def heard() -> None:
            for number in (signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)

        default = {"preexec_fn": heard}
        command = [sys.executable, *map(str, command)]
        child = subprocess.Popen(command, text=True, start_new_session=True, **default, **options)
        running.append(child)
        return child

    yield begin
    for child in running:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(condition, seconds=90.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


def test_a_child_ends_with_its_parent_however_that_ends(start):
    parent = start("-c", CHILD, stdout=subprocess.PIPE)
    pid = int(parent.stdout.readline())
    assert alive(pid)
    parent.kill()
    until(lambda: not alive(pid))


@pytest.mark.ros
def test_the_processes_of_up_end_with_it_however_that_ends(start, tmp_path):
    pytest.importorskip("rclpy")
    (tmp_path / "stack.yaml").write_text(STACK)
    parent = start("-m", "perception_nodes.cli", "up", "--no-composed", "--config", tmp_path / "stack.yaml")
    (pid,) = until(lambda: subprocess.run(["pgrep", "-P", str(parent.pid)], capture_output=True).stdout.split())
    parent.kill()
    until(lambda: not alive(int(pid)))


IMPORTS = """
import sys, time
sys.path.insert(0, sys.argv[1])
from perception_nodes.children import end_cleanly_on_signals
end_cleanly_on_signals()
try:
    import slow_module
    time.sleep(60)
except (SystemExit, KeyboardInterrupt) as error:
    print(type(error).__name__, slow_module.whole)
"""
CALLBACK = """
import ctypes, time
from perception_nodes.children import end_cleanly_on_signals
end_cleanly_on_signals()
code = "def called():\\n    print('in', flush=True)\\n    time.sleep(1.0)\\n    whole.append(True)"
space = {"time": time, "whole": []}
exec(compile(code, "/x/llvmlite/binding.py", "exec"), space)
try:
    ctypes.CFUNCTYPE(None)(space["called"])()
    time.sleep(60)
except (SystemExit, KeyboardInterrupt) as error:
    print(type(error).__name__, bool(space["whole"]))
"""


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, "Ended"), (signal.SIGINT, "KeyboardInterrupt")])
@pytest.mark.parametrize("program", [IMPORTS, CALLBACK], ids=["import", "callback"])
def test_a_signal_waits_for_the_end_of_an_import_and_of_a_compilers_callback(start, tmp_path, program, number, error):
    (tmp_path / "slow_module.py").write_text("import time\nprint('in', flush=True)\ntime.sleep(1.0)\nwhole = True\n")
    child = start("-c", program, tmp_path, stdout=subprocess.PIPE)
    assert child.stdout.readline() == "in\n"
    child.send_signal(number)
    assert child.communicate(timeout=60)[0] == f"{error} True\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_simulation_that_is_ended_says_so_and_leaves_nothing(start, tmp_path, number):
    child = start("-m", "perception_nodes.cli", "simulate", "--seconds", 600, "--no-cameras", "--rig", "vlp16", "--out",
                  tmp_path / "drive", stderr=subprocess.PIPE)  # fmt: skip
    until(lambda: list(tmp_path.glob(".drive.*.partial")))
    child.send_signal(number)
    said = child.communicate(timeout=120)[1]
    assert child.returncode == 128 + number
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    assert f"perception: ended by {name}; what was half-written is removed" in said
    assert "Traceback" not in said and "Aborted" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.ros
def test_a_replay_that_is_ended_says_so_and_leaves_nothing(start, tmp_path):
    pytest.importorskip("rclpy")
    bag = write_bag(tmp_path / "drive", frames=600)
    child = start("-m", "perception_nodes.cli", "replay", bag, "--record", tmp_path / "out", "--rate", 1,
                  stderr=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    until(lambda: list(tmp_path.glob(".out.*.partial")))
    time.sleep(0.5)
    child.send_signal(signal.SIGTERM)
    out, said = child.communicate(timeout=120)
    assert child.returncode == 143 and "ended by SIGTERM" in said and "Traceback" not in said, said
    assert [p.name for p in tmp_path.iterdir()] == ["drive"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_viewer_ends_with_its_command_however_that_ends(start, number):
    pytest.importorskip("rerun")
    from perception_nodes.viewer.live import answers

    parent = start("-c", VIEWER, stdout=subprocess.PIPE)
    port, pid = map(int, until(lambda: next((li for li in parent.stdout if li.startswith("port")), None)).split()[1:])
    assert answers(port) and alive(pid)
    parent.send_signal(number)
    until(lambda: not alive(pid) and not answers(port))


def test_ctrl_c_at_the_viewers_prompt_closes_it_and_the_report_follows(monkeypatch):
    from perception_nodes.commands.replay import Watch

    class Viewer:
        closed = False

        def close(self):
            self.closed = True

    def interrupted(prompt):
        raise KeyboardInterrupt

    watch = Watch.__new__(Watch)
    watch._viewer = Viewer()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", interrupted)
    watch.close()
    assert watch._viewer.closed
