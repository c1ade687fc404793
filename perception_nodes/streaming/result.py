"""What a replay found: frames, latencies, where the record is."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ReplayResult:
    """Figures of one replay.

    Attributes:
        out: the recorded bag, or None.
        frames_in: clouds sent by the player. frames_out: clouds answered. dropped: the difference.
        latency_ms: `p50` and `p99` from the sending of a cloud to the arrival of its labels (over DDS), or empty.
        network_ms: `p50` and `p99` of the network alone, or empty.
        model, engine, trained: what ran. rate: times real time; 0: each cloud waited for the last one's answer; None:
            without ROS.
        wall_s: seconds from the first message to the last answer.
        warnings: what the health of the nodes said at the end, one sentence each.
    """

    out: Path | None
    frames_in: int
    frames_out: int
    latency_ms: dict[str, float] = field(default_factory=dict)
    network_ms: dict[str, float] = field(default_factory=dict)
    model: str = ""
    engine: str = ""
    trained: bool = True
    rate: float | None = 1.0
    wall_s: float = 0.0
    warnings: tuple[str, ...] = ()

    @property
    def dropped(self) -> int:
        return self.frames_in - self.frames_out

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"out": str(self.out) if self.out else None, "dropped": self.dropped}
