"""spvcnn_node in a process of its own, a player and a listener in this one: latency, CPU and memory over DDS."""

import os
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from perception_nodes.graph import PLANS, POINTS, SEGMENTATION, resolve
from perception_nodes.nodes.compose import process_command
from perception_nodes.nodes.errors import NodeError
from perception_nodes.nodes.main import spin
from perception_nodes.nodes.player import PlayerNode
from perception_nodes.nodes.recorder import Recorded, RecorderNode
from perception_nodes.nodes.serialized import header_stamp_ns
from perception_nodes.streaming.stopwatch import Percentiles

START_S = 120.0  # loading, and compiling kernels on the first run of a machine
INFERENCE = "/spvcnn_node/debug/processing_time/inference_ms"


@dataclass(frozen=True)
class Measured:
    """Figures of one run; milliseconds, medians unless the name says otherwise.

    latency: from the sending of a cloud to the arrival of its labels. network_ms: the session's step.
    cpu_ms_per_frame, peak_mb: of the node's process. dropped: clouds without an answer.
    """

    node: str
    points: int
    rate_hz: float
    frames: int
    latency_ms_p50: float | None
    latency_ms_p99: float | None
    network_ms: float | None
    cpu_ms_per_frame: float | None
    dropped: int
    peak_mb: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class _Floats(RecorderNode):
    """Keeps the values of one Float64 topic, besides arrivals."""

    def __init__(self, topic: str, **kwargs: Any) -> None:
        rows = [Recorded(SEGMENTATION, "sensor_msgs/msg/PointCloud2", key=header_stamp_ns, depth=20)]
        super().__init__([*rows, Recorded(topic, "std_msgs/msg/Float64")], None, name="listener", **kwargs)
        self.values = Percentiles()

    def _receiver(self, row: Recorded) -> Any:
        receive = super()._receiver(row)
        if row.key is not None:
            return receive
        return lambda raw: self.values.add(struct.unpack_from("<d", raw, 4)[0])


def measure(bag: Path, points: int, rate_hz: float, model: str, precision: str, threads: int) -> Measured:
    """Plays `bag` (clouds on /lidar/points at `rate_hz`) at real time and reports.

    Raises:
        NodeError: the node did not come up, or ended.
    """
    arguments = {"bag": str(bag), "model": model, "precision": precision, "threads": threads}
    node, player_plan = resolve(PLANS["replay"], arguments)
    # The network is measured, not the luck of best-effort transport with clouds of megabytes between processes.
    node.parameters.update({"qos.input.reliability": "reliable", "qos.output.depth": 5})
    player_plan.parameters.update(
        {"playback.wait_for": [POINTS], "playback.wait_s": START_S, "playback.topics": [POINTS]}
    )
    child = subprocess.Popen(process_command(node), start_new_session=True)
    context = rclpy.Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor(context=context)
    done = threading.Event()
    player = PlayerNode(overrides=player_plan.parameters, context=context, use_global_arguments=False)
    listener = _Floats(INFERENCE, context=context, use_global_arguments=False)
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
        cpu = _run(child, player, done)
        return _figures(points, rate_hz, player, listener, cpu, child)
    finally:
        _end(child, nodes, executor, spinner)
        context.try_shutdown()


def _run(child: "subprocess.Popen[bytes]", player: PlayerNode, done: threading.Event) -> float:
    """Waits for the end; returns the CPU seconds that the child used while clouds were played."""
    before = None
    while not done.wait(0.02):
        if child.poll() is not None:
            raise NodeError(f"spvcnn_node ended with code {child.returncode}")
        if before is None and player.asked(POINTS):
            before = cpu_seconds(child.pid)
    time.sleep(0.5)  # the last answer
    return cpu_seconds(child.pid) - (before or 0.0)


def _figures(
    points: int, rate_hz: float, player: PlayerNode, listener: _Floats, cpu: float, child: "subprocess.Popen[bytes]"
) -> Measured:
    sent, answers = player.sent[POINTS], listener.tally.arrivals[SEGMENTATION]
    latency = Percentiles()
    for stamp, at in sent.items():
        if stamp in answers:
            latency.add((answers[stamp] - at) * 1e3)
    frames = player.asked(POINTS)
    return Measured(
        node="spvcnn_node",
        points=points,
        rate_hz=rate_hz,
        frames=frames,
        latency_ms_p50=latency.at(50),
        latency_ms_p99=latency.at(99),
        network_ms=listener.values.at(50),
        cpu_ms_per_frame=cpu * 1e3 / len(answers) if answers else None,
        dropped=frames - len(answers),
        peak_mb=peak_mb(child.pid),
    )


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


def peak_mb(pid: int) -> float:
    """Largest resident size of a process so far, MiB (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not tell a process's peak memory", sys.platform)
