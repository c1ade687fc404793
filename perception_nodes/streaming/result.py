"""What a replay found: frames, latencies, where the record is."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class NodeResult:
    """Figures of one node.

    Attributes:
        frames_in: clouds or pictures sent to it. frames_out: those answered.
        apart: state -> messages that came back without an answer of their own ("held", "warming_up").
        dropped: those for which nothing came back.
        latency_ms: `p50` and `p99` from the sending of a message to the arrival of its answer (over DDS), or empty.
        network_ms: `p50` and `p99` of the network alone, or empty.
        model, engine, trained: what ran.
    """

    frames_in: int
    frames_out: int
    latency_ms: dict[str, float] = field(default_factory=dict)
    network_ms: dict[str, float] = field(default_factory=dict)
    model: str = ""
    engine: str = ""
    trained: bool = True
    apart: dict[str, int] = field(default_factory=dict)

    @property
    def replies(self) -> int:
        """Messages for which something came back."""
        return self.frames_out + sum(self.apart.values())

    @property
    def dropped(self) -> int:
        return self.frames_in - self.replies

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"dropped": self.dropped}


@dataclass(frozen=True)
class ReplayResult:
    """Figures of one replay; those at the top are of the first node (of the LiDAR's, where there is one).

    Attributes:
        out: the recorded bag, or None.
        frames_in … trained: see `NodeResult`.
        rate: times real time; 0: each message waited for the last one's answer; None: without ROS.
        wall_s: seconds from the first message to the last answer.
        warnings: what the health of the nodes said at the end, one sentence each.
        unanswered: at rate 0, messages whose answer did not arrive in time.
        nodes: the same figures of every node by its name.
    """

    out: Path | None
    frames_in: int
    frames_out: int
    latency_ms: dict[str, float] = field(default_factory=dict)
    network_ms: dict[str, float] = field(default_factory=dict)
    model: str = ""
    engine: str = ""
    trained: bool = True
    apart: dict[str, int] = field(default_factory=dict)
    rate: float | None = 1.0
    wall_s: float = 0.0
    warnings: tuple[str, ...] = ()
    nodes: dict[str, NodeResult] = field(default_factory=dict)
    unanswered: int = 0

    @staticmethod
    def of(
        nodes: dict[str, NodeResult],
        out: Path | None,
        rate: float | None,
        wall_s: float,
        warnings: tuple[str, ...],
        unanswered: int = 0,
    ) -> "ReplayResult":
        """From the figures of the nodes, the first of which also stand at the top."""
        first = next(iter(nodes.values()))
        figures = asdict(first) | {"nodes": nodes, "unanswered": unanswered}
        return ReplayResult(out=out, rate=rate, wall_s=wall_s, warnings=warnings, **figures)

    @property
    def dropped(self) -> int:
        return self.frames_in - self.frames_out - sum(self.apart.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        nodes = {name: node.as_dict() for name, node in self.nodes.items()}
        return asdict(self) | {"out": str(self.out) if self.out else None, "dropped": self.dropped, "nodes": nodes}
