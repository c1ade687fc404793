"""Contestants of `benchmarks.tsm` and their timing: one frame through 2D, online, window and inflated 3D networks, each
as the stream that sessions hold, and one picture through the session itself."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.common import timed

SIZE = 224
CLASSES = 12
SEGMENTS = 8
BACKBONES = ("resnet50", "mobilenetv2", "efficientnet-lite0")
Work = Callable[[], Any]


@dataclass
class Times:
    """Seconds of every repeat: elapsed, and spent by all threads of the process."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def ms(self, clock: str, threads: int) -> float:
        """Median milliseconds: "wall" is the latency, "cpu" is CPU time over threads, which other programs on the
        machine do not lengthen."""
        middle = statistics.median(self.wall) if clock == "wall" else statistics.median(self.cpu) / threads
        return middle * 1e3

    def over(self, other: Times, clock: str) -> float:
        """Median over the rounds of this one's time by the other's in the same round: a host that changes its speed
        between rounds disturbs both alike, where two medians may fall on either side of the change."""
        pairs = zip(self.wall, other.wall) if clock == "wall" else zip(self.cpu, other.cpu)
        return statistics.median(mine / max(theirs, 1e-9) for mine, theirs in pairs)


def interleave(works: dict[str, Work], seconds: float, least: int = 5, most: int = 400) -> dict[str, Times]:
    """Repeats all works in turn (so that what else runs on the machine disturbs all alike) for about `seconds`. A call
    that is not timed goes before every timed one: a contestant then has its own weights in the cache, and the threads
    of the one before it have stopped waiting for work, as in use."""
    times = {name: Times() for name in works}
    for work in works.values():
        work()
    start, done = time.perf_counter(), 0
    while done < least or (done < most and time.perf_counter() - start < seconds):
        for name, work in works.items():
            work()
            taken, _ = timed(work)
            times[name].wall.append(taken.wall)
            times[name].cpu.append(taken.cpu)
        done += 1
    return times


def network_of(backbone: str, architecture: str, mode: str) -> Any:
    """A video network with random weights (latency does not depend on them)."""
    from models.tsm.builder import build_tsm
    from models.tsm.spec import TsmSpec

    return build_tsm(TsmSpec(backbone, mode, CLASSES, SEGMENTS, architecture=architecture), seed=0)


def step_work(backbone: str, architecture: str, mode: str, runtime: str, threads: int) -> tuple[Work, Any]:
    """(one frame through the step network, its compiled form)."""
    import numpy as np

    from models.tsm.engine import compile_step
    from models.tsm.steps import step_network

    compiled = compile_step(step_network(network_of(backbone, architecture, mode)), (SIZE, SIZE), runtime, threads)
    stream = compiled.stream()
    frame = np.random.default_rng(0).standard_normal((1, 3, SIZE, SIZE)).astype(np.float32)
    return lambda: stream.step(frame), compiled


def session_work(backbone: str, architecture: str, mode: str, runtime: str, threads: int) -> Work:
    """One picture uint8 RGB through the session that the node holds: preprocessing, network, answer."""
    import numpy as np

    from models.tsm.build import facts_of
    from models.tsm.session import TsmSession

    network = network_of(backbone, architecture, mode)
    image = {"size": [SIZE, SIZE], "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "period_s": 0.0}
    session = TsmSession(network, facts_of(network.spec, f"{architecture}-{backbone}", image=image), runtime, threads)
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    return lambda: session.step(picture)


def clip_work(backbone: str, architecture: str, mode: str, runtime: str, threads: int) -> Work:
    """One clip of SEGMENTS frames through the clip network: what a sliding window costs for every new frame."""
    import torch

    from models.runtime import compile_network

    clip = torch.randn(1, SEGMENTS, 3, SIZE, SIZE)
    network = network_of(backbone, architecture, mode)
    compiled = compile_network(network, (clip,), runtime, threads, input_names=["clip"], output_names=["logits"])
    frames = clip.numpy()
    return lambda: compiled(frames)


def compare(backbone: str, runtime: str, threads: int, clock: str, seconds: float, clips: bool) -> dict[str, Any]:
    """Figures of one backbone in one runtime; `clips`: against the window and the inflated 3D network too."""
    plain, _ = step_work(backbone, "tsn", "none", runtime, threads)
    online, compiled = step_work(backbone, "tsm", "online", runtime, threads)
    works = {"2d": plain, "online": online}
    works["session_2d"] = session_work(backbone, "tsn", "none", runtime, threads)
    works["session_online"] = session_work(backbone, "tsm", "online", runtime, threads)
    times = interleave(works, seconds, least=20)
    ms = {name: round(taken.ms(clock, threads), 2) for name, taken in times.items()}
    found: dict[str, Any] = {
        "name": compiled.runtime,
        "runtime": compiled.describe(),
        "frame_ms_2d": ms["2d"],
        "frame_ms_online": ms["online"],
        "online_over_2d_latency": round(times["online"].over(times["2d"], clock), 3),
        "session_ms_2d": ms["session_2d"],
        "session_ms_online": ms["session_online"],
        "session_online_over_2d_latency": round(times["session_online"].over(times["session_2d"], clock), 3),
        "repeats": len(times["online"].wall),
    }
    if not clips:
        return found
    for key, architecture, mode in (("window", "tsm", "offline"), ("i3d", "tsm-i3d", "none")):
        clip = clip_work(backbone, architecture, mode, runtime, threads)
        pair = interleave({"clip": clip, "online": online}, seconds, least=3)
        found[f"{key}_ms"] = round(pair["clip"].ms(clock, threads), 2)
        found[f"{key}_over_online_latency"] = round(pair["clip"].over(pair["online"], clock), 2)
    return found


def unchanging(backbone: str) -> dict[str, Any]:
    """What the shift adds and keeps: parameters and MACs (computed from the networks), bytes of one stream's caches."""
    from models.tsm.macs import added_by_shift, macs_per_frame, parameters
    from models.tsm.steps import step_network

    network = network_of(backbone, "tsm", "online")
    added, macs = added_by_shift(network.spec, SIZE, SIZE)
    caches = step_network(network).zero_caches(SIZE, SIZE)
    return {
        "added_params": added,
        "added_macs": int(macs),
        "cache_bytes": sum(c.numel() * c.element_size() for c in caches),
        "params": parameters(network),
        "gmacs_per_frame": round(macs_per_frame(network, SIZE, SIZE) / 1e9, 4),
    }
