"""Before and after of the restyled cameras in rerun."""

from __future__ import annotations

from typing import Any

ENTITY = "restyled"


class ComparisonLog:
    """Takes the comparison pictures at the time that the stream stands at. `rr`: the rerun module."""

    def __init__(self, rr: Any, stream: Any) -> None:
        self._rr, self._stream = rr, stream

    def message(self, topic: str, message: Any) -> None:
        """A CompressedImage of before beside after; its frame is the camera's."""
        image = self._rr.EncodedImage(contents=bytes(message.data), media_type="image/jpeg")
        self._stream.log(f"{ENTITY}/{message.header.frame_id or 'camera'}", image)


def view(rrb: Any) -> Any:
    """All cameras' comparisons in one view."""
    return rrb.Spatial2DView(origin=ENTITY, name="before and after")
