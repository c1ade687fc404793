"""One stream of point clouds: each accepted message is a sample at once."""

from __future__ import annotations

from perception_nodes.messages.header import header_stamp_ns
from perception_nodes.streaming.clock import StampMonitor
from perception_nodes.streaming.inputs.notes import verdict_notes
from perception_nodes.streaming.inputs.sample import POINT_CLOUD, Pushed, Sample, Stream
from perception_nodes.streaming.inputs.silence import Silence


class CloudInput:
    """Clouds of one LiDAR; duplicates and latecomers are dropped, a gap or a jump back starts a new generation.

    Args:
        points: name of the stream.
        gap_periods, jump_back_s, jump_back_periods: see `StampMonitor`.
    """

    def __init__(
        self,
        points: str = "points",
        gap_periods: float = 5.0,
        jump_back_s: float = 1.0,
        jump_back_periods: float = 3.5,
    ) -> None:
        self._points = points
        self._monitor = StampMonitor(gap_periods, jump_back_s, jump_back_periods)
        self._generation = 0
        self._ever = False
        self._silence = Silence()

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The clouds' topic."""
        return (Stream(self._points, POINT_CLOUD),)

    def push(self, stream: str, raw: bytes, now_ns: int | None = None) -> Pushed:
        """See `Input`; a cloud's age is not judged here, so `now_ns` is not used."""
        stamp_ns = header_stamp_ns(raw)
        self._ever = True
        self._silence.broken()
        verdict = self._monitor.observe(stamp_ns)
        notes = verdict_notes(verdict, stream)
        if not verdict.accepted:
            return Pushed(notes=notes)
        self._generation += verdict.resets
        generation = self._generation
        sample = Sample(stamp_ns, generation, {stream: raw}, {stream: stamp_ns}, {stream: generation})
        return Pushed((sample,), notes)

    def poll(self, now_ns: int) -> Pushed:
        """Never gives a sample: a cloud waits for nothing."""
        self._silence.poll(now_ns)
        return Pushed()

    def flush(self) -> Pushed:
        """Nothing waits."""
        return Pushed()

    def expect_jump(self) -> None:
        """See `Input`."""
        self._monitor.expect_jump()

    def lacking(self) -> dict[str, str]:
        """The stream while it is silent; judged by the polls."""
        reason = self._silence.reason("cloud", self._ever)
        return {self._points: reason} if reason else {}
