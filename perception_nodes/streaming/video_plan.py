"""How a video network takes part in a replay, live or offline."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class VideoPlan:
    """cameras: name -> topic, in order. model, runtime, threads, detector: as tsm_node's parameters of these names.
    parameters: further dotted names for tsm_node (live only). session_factory, detector_factory: build the networks
    from the node's config (None offline); None: by `model` and `detector`.
    """

    cameras: dict[str, str]
    model: str = "tsm-events-online"
    runtime: str = "auto"
    threads: int = 1
    detector: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    session_factory: Callable[[Any], Any] | None = None
    detector_factory: Callable[[Any], Any] | None = None

    def arguments(self) -> dict[str, Any]:
        """Arguments of the graph's plans."""
        camera, topic = next(iter(self.cameras.items()))
        return {
            "camera": camera,
            "image": topic,
            "video_model": self.model,
            "runtime": self.runtime,
            "video_threads": self.threads,
            "detector": self.detector,
        }
