"""What a system adds to the viewer: which topics it shows, and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


class PanelLog(Protocol):
    """Logs messages of a panel's topics into a rerun stream, at the time that the stream stands at."""

    def message(self, topic: str, message: Any) -> None:
        """One decoded message (rclpy or rosbags)."""


@dataclass(frozen=True)
class Panel:
    """Part of the viewer.

    Attributes:
        topics: topics that it shows. open: (rerun module, rerun stream) -> its log.
        view: (rerun.blueprint module) -> the view; None: what it logs is shown in a view of another panel.
        large: True: among the large views at the top, False: in the row below.
    """

    topics: tuple[str, ...]
    open: Callable[[Any, Any], PanelLog]
    view: Callable[[Any], Any] | None = None
    large: bool = False
