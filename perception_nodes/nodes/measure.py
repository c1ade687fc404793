"""A node in a process of its own, a player and a listener in this one: latency, CPU and memory over DDS."""

import os
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from perception_nodes.children import start_child
from perception_nodes.graph import run_node
from perception_nodes.nodes.compose import process_command
from perception_nodes.nodes.domain import OwnDomain
from perception_nodes.nodes.environment import isolate_environment
from perception_nodes.nodes.errors import NodeError
from perception_nodes.nodes.lanes import FLOAT, answer_row, by_input
from perception_nodes.nodes.main import spin
from perception_nodes.nodes.player import PlayerNode
from perception_nodes.nodes.recorder import Recorded, RecorderNode
from perception_nodes.streaming.stopwatch import Percentiles
from perception_nodes.systems.run import SystemRun

START_S = 120.0  # loading, and compiling kernels on the first run of a machine


@dataclass(frozen=True)
class Measured:
    """Figures of one run; milliseconds, medians unless the name says otherwise. None: does not apply, or no data.

    points: of a cloud. cameras, picture: how many, and [width, height] px. rate_hz: of the stream; None: as fast as
    answers come. latency: from the sending of a message to the arrival of its answer. network_ms: the session's step.
    overhead_ms: what the node adds to it (decoding, encoding, publishing). cpu_ms_per_frame, peak_mb: of the node's
    process. frames_per_s: answers over wall time. dropped: messages without an answer. stolen_percent: of the
    processors' time meanwhile, what a virtual machine's host gave to others.
    """

    node: str
    frames: int
    rate_hz: float | None
    latency_ms_p50: float | None
    latency_ms_p99: float | None
    network_ms: float | None
    overhead_ms: float | None
    cpu_ms_per_frame: float | None
    frames_per_s: float | None
    dropped: int
    stolen_percent: float
    peak_mb: float
    points: int | None = None
    cameras: int | None = None
    picture: tuple[int, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without those that do not apply."""
        skip = ("points", "cameras", "picture", "rate_hz")
        return {k: v for k, v in asdict(self).items() if v is not None or k not in skip}


class _Figures(RecorderNode):
    """Keeps the values of Float64 topics, besides arrivals of the answers."""

    def __init__(self, answers: Recorded, floats: tuple[str, ...], **kwargs: Any) -> None:
        rows = [answers, *(Recorded(topic, FLOAT) for topic in floats)]
        self.values = {topic: Percentiles() for topic in floats}
        super().__init__(rows, None, name="listener", **kwargs)

    def _receiver(self, row: Recorded) -> Any:
        if row.key is not None:
            return super()._receiver(row)
        return lambda raw: self.values[row.topic].add(struct.unpack_from("<d", raw, 4)[0])


class _Spent(NamedTuple):
    """Seconds while messages were played: of the child's processor time, of the wall's, stolen from this machine."""

    cpu: float
    wall: float
    stolen: float
    began: float  # monotonic s


def measure(bag: Path, run: SystemRun, rate_hz: float | None, **what: Any) -> Measured:
    """Plays `bag` into the node of a system in real time or, with `rate_hz` None, as fast as answers come.

    Args:
        what: `points`, or `cameras` and `picture`, of `Measured`.

    Raises:
        NodeError: the node did not come up, or ended.
    """
    figures = _measure(bag, run, 0.0 if rate_hz is None else 1.0)
    return Measured(node=run.system.node_name, rate_hz=rate_hz, **what, **figures)


def _measure(bag: Path, run: SystemRun, rate: float) -> dict[str, Any]:
    """Runs the node in a process of its own."""
    node, answers = run_node(run), answer_row(run)
    inputs = {topic: stream for stream, topic in run.answered.items()}
    # The network is measured, not the luck of best-effort transport with clouds of megabytes between processes.
    node.parameters.update({"qos.input.reliability": "reliable", "qos.output.depth": 5})
    played = list(run.topics.values())
    plan = {
        "bag": str(bag),
        "playback.rate": rate,
        "playback.wait_for": played,
        "playback.wait_s": START_S,
        "playback.topics": played,
        "answer.inputs": list(inputs),
        "answer.topics": [answers.topic] * len(inputs),
    }
    # Nodes of somebody else on this machine would answer, too, or be taken for the node under test.
    domain = OwnDomain()
    environment = os.environ | isolate_environment() | {"ROS_DOMAIN_ID": str(domain.number)}
    child = start_child(process_command(node), start_new_session=True, env=environment)
    context = rclpy.Context()
    no_signals = SignalHandlerOptions.NO
    rclpy.init(args=[], context=context, domain_id=domain.number, signal_handler_options=no_signals)
    executor = SingleThreadedExecutor(context=context)
    done = threading.Event()
    stages = tuple(f"/{node.name}/debug/processing_time/{stage}_ms" for stage in ("inference", "total"))
    player = PlayerNode(overrides=plan, context=context, use_global_arguments=False)
    listener = _Figures(answers, stages, context=context, use_global_arguments=False)
    nodes: list[Any] = [listener, player]
    player.finish = lambda code: done.set()
    spinner = threading.Thread(target=spin, args=(executor, nodes, player.finish))
    try:
        for one in nodes:
            executor.add_node(one)
        spinner.start()
        for one in nodes:
            one.trigger_configure()
            one.trigger_activate()
        spent = _run(child, player, played, done)
        return _figures(player, listener, inputs, answers, spent, child)
    finally:
        _end(child, nodes, executor, spinner)
        context.try_shutdown()
        domain.close()


def _run(child: "subprocess.Popen[bytes]", player: PlayerNode, topics: list[str], done: threading.Event) -> _Spent:
    """Waits for the end; what was spent from the first message on."""
    before, began, stolen = None, time.monotonic(), stolen_seconds()
    while not done.wait(0.02):
        if child.poll() is not None:
            raise NodeError(f"the node under test ended with code {child.returncode}")
        if before is None and any(player.asked(topic) for topic in topics):
            before, began, stolen = cpu_seconds(child.pid), time.monotonic(), stolen_seconds()
    wall, stolen = time.monotonic() - began, stolen_seconds() - stolen
    time.sleep(0.5)  # the last answer
    return _Spent(cpu_seconds(child.pid) - (before or 0.0), wall, stolen, began)


def _figures(
    player: PlayerNode,
    listener: _Figures,
    inputs: dict[str, str],
    row: Recorded,
    spent: _Spent,
    child: "subprocess.Popen[bytes]",
) -> dict[str, Any]:
    answers, latency = by_input(listener.tally.arrivals.get(row.topic, {})), Percentiles()
    for topic, stream in inputs.items():
        for stamp, at in player.sent.get(topic, {}).items():
            if (stream, stamp) in answers:
                latency.add((answers[stream, stamp] - at) * 1e3)
    frames = sum(player.asked(topic) for topic in inputs)
    network, total = (values.at(50) for values in listener.values.values())
    return {
        "frames": frames,
        "latency_ms_p50": latency.at(50),
        "latency_ms_p99": latency.at(99),
        "network_ms": network,
        "overhead_ms": total - network if total is not None and network is not None else None,
        "cpu_ms_per_frame": spent.cpu * 1e3 / len(answers) if answers else None,
        "frames_per_s": _per_second(answers, spent.began),
        "dropped": frames - len(answers),
        "stolen_percent": 100.0 * spent.stolen / (spent.wall * (os.cpu_count() or 1)) if spent.wall > 0 else 0.0,
        "peak_mb": peak_mb(child.pid),
    }


def _per_second(answers: Mapping[Any, float], began: float) -> float | None:
    """Answers over the time from the first sending to the last answer: not to the end of the player, which waits for
    acknowledgements."""
    wall = max(answers.values(), default=began) - began
    return len(answers) / wall if wall > 0 else None


def _end(child: "subprocess.Popen[bytes]", nodes: list[Any], executor: Any, spinner: threading.Thread) -> None:
    child.send_signal(signal.SIGINT)
    for one in nodes:
        one.close()
    executor.shutdown(timeout_sec=2.0)
    if spinner.is_alive():
        spinner.join(5.0)
    for one in nodes:
        one.destroy_node()
    try:
        child.wait(10.0)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def cpu_seconds(pid: int) -> float:
    """User and system seconds of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stolen_seconds() -> float:
    """Seconds since boot that the host gave to others while this machine had work, all processors together (Linux)."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid: int) -> float:
    """Largest resident size of a process so far, MiB (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not tell a process's peak memory", sys.platform)
