"""A node in a process of its own, a player and a listener in this one: latency, CPU and memory over DDS."""

import os
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from perception_nodes.graph import PLANS, POINTS, ResolvedNode, resolve
from perception_nodes.nodes.compose import process_command
from perception_nodes.nodes.errors import NodeError
from perception_nodes.nodes.main import spin
from perception_nodes.nodes.player import PlayerNode
from perception_nodes.nodes.recorder import Recorded, RecorderNode
from perception_nodes.nodes.replay_lanes import FLOAT, cloud_rows, event_rows
from perception_nodes.streaming.stopwatch import Percentiles
from perception_nodes.streaming.video_plan import VideoPlan

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


def measure(bag: Path, points: int, rate_hz: float, model: str, precision: str, threads: int) -> Measured:
    """Plays `bag` (clouds on /lidar/points at `rate_hz`) at real time and reports.

    Raises:
        NodeError: the node did not come up, or ended.
    """
    arguments = {"bag": str(bag), "model": model, "precision": precision, "threads": threads}
    node, player = resolve(PLANS["replay"], arguments)
    figures = _measure(node, player, {POINTS: ""}, cloud_rows()[0])
    return Measured(node="spvcnn_node", rate_hz=rate_hz, points=points, **figures)


def measure_video(bag: Path, plan: VideoPlan, rate_hz: float | None, picture: tuple[int, int]) -> Measured:
    """Plays `bag` (pictures of `plan.cameras`) in real time or, with `rate_hz` None, as fast as answers come.

    Raises:
        NodeError: the node did not come up, or ended.
    """
    arguments = {"bag": str(bag), "rate": 0.0 if rate_hz is None else 1.0, "segmentation": False, "events": True}
    node, player = resolve(PLANS["replay"], arguments | plan.arguments())
    node.parameters.update({"cameras": list(plan.cameras), "stream.queue": 3})
    if len(plan.cameras) > 1:
        node.remaps.update({f"~/input/{name}/image": topic for name, topic in plan.cameras.items()})
    inputs = {topic: name for name, topic in plan.cameras.items()}
    figures = _measure(node, player, inputs, event_rows()[0])
    return Measured(node="tsm_node", rate_hz=rate_hz, cameras=len(inputs), picture=picture, **figures)


def _measure(node: ResolvedNode, plan: ResolvedNode, inputs: dict[str, str], answers: Recorded) -> dict[str, Any]:
    """Runs `node` in a process of its own; inputs: topic -> first part of its answers' key (a camera), or ""."""
    # The network is measured, not the luck of best-effort transport with clouds of megabytes between processes.
    node.parameters.update({"qos.input.reliability": "reliable", "qos.output.depth": 5})
    topics = list(inputs)
    plan.parameters.update({"playback.wait_for": topics, "playback.wait_s": START_S, "playback.topics": topics})
    plan.parameters.update({"answer.inputs": topics, "answer.topics": [answers.topic] * len(topics)})
    # Nodes of somebody else on this machine would answer, too, or be taken for the node under test.
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    child = subprocess.Popen(process_command(node), start_new_session=True)
    context = rclpy.Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor(context=context)
    done = threading.Event()
    stages = tuple(f"/{node.name}/debug/processing_time/{stage}_ms" for stage in ("inference", "total"))
    player = PlayerNode(overrides=plan.parameters, context=context, use_global_arguments=False)
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
        spent = _run(child, player, topics, done)
        return _figures(player, listener, inputs, answers, spent, child)
    finally:
        _end(child, nodes, executor, spinner)
        context.try_shutdown()


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
    return _Spent(cpu_seconds(child.pid) - (before or 0.0), wall, stolen)


def _figures(
    player: PlayerNode,
    listener: _Figures,
    inputs: dict[str, str],
    row: Recorded,
    spent: _Spent,
    child: "subprocess.Popen[bytes]",
) -> dict[str, Any]:
    answers, latency = listener.tally.arrivals.get(row.topic, {}), Percentiles()
    for topic, camera in inputs.items():
        for stamp, at in player.sent.get(topic, {}).items():
            key = (camera, stamp) if camera else stamp
            if key in answers:
                latency.add((answers[key] - at) * 1e3)
    frames = sum(player.asked(topic) for topic in inputs)
    network, total = (values.at(50) for values in listener.values.values())
    return {
        "frames": frames,
        "latency_ms_p50": latency.at(50),
        "latency_ms_p99": latency.at(99),
        "network_ms": network,
        "overhead_ms": total - network if total is not None and network is not None else None,
        "cpu_ms_per_frame": spent.cpu * 1e3 / len(answers) if answers else None,
        "frames_per_s": len(answers) / spent.wall if answers and spent.wall > 0 else None,
        "dropped": frames - len(answers),
        "stolen_percent": 100.0 * spent.stolen / (spent.wall * (os.cpu_count() or 1)) if spent.wall > 0 else 0.0,
        "peak_mb": peak_mb(child.pid),
    }


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
