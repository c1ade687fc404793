"""What a camera's stamps mean for its caches: go on, start again, or hold the last answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Move(Enum):
    """What to do with a frame."""

    FIRST = "first"  # no frame before: the caches are zero
    NEXT = "next"
    GAP = "gap"  # too late after the one before: the caches start again
    JUMP_BACK = "jump_back"  # time restarted (a bag looped): the caches start again
    RESIZED = "resized"  # the camera's pictures have another size now: the caches start again
    EARLY = "early"  # the camera is faster than the network's training: the last answer is held
    LATE = "late"  # a duplicate, or a little older than the newest frame: the last answer is held

    @property
    def held(self) -> bool:
        """True where the frame is not a step of the network."""
        return self in (Move.EARLY, Move.LATE)

    @property
    def restarts(self) -> bool:
        """True where the caches start from zero."""
        return self in (Move.FIRST, Move.GAP, Move.JUMP_BACK, Move.RESIZED)


@dataclass(frozen=True)
class CachePolicy:
    """Judges stamps against the period of training.

    period_s: s between frames in training; 0 judges neither gaps nor early frames.
    gap_periods: a step longer than this starts the caches again.
    early: a frame sooner than this share of a period after the last step is held; 0 steps on every frame.
    jump_back_s, jump_back_periods: going back by more than either is a jump, by less a latecomer.
    late_in_a_row: so many latecomers whose own stamps rise are a jump after all (a recording of a few frames, looped).
    """

    period_s: float = 0.0
    gap_periods: float = 5.0
    early: float = 0.75
    jump_back_s: float = 1.0
    jump_back_periods: float = 3.5
    late_in_a_row: int = 3

    def judge(self, last_ns: int | None, stamp_ns: int) -> Move:
        """last_ns: stamp of the last step, None where there was none."""
        if last_ns is None:
            return Move.FIRST
        step = (stamp_ns - last_ns) * 1e-9
        if step <= 0.0:
            far = self.jump_back_s
            if self.period_s > 0.0:
                far = min(far, self.jump_back_periods * self.period_s)
            return Move.JUMP_BACK if -step > far else Move.LATE
        if self.period_s > 0.0:
            if step > self.gap_periods * self.period_s:
                return Move.GAP
            if step < self.early * self.period_s:
                return Move.EARLY
        return Move.NEXT


class Stream(Protocol):
    """What a camera's state tells about its last frame: how many since the restart, size, stamp (ns), latecomers."""

    frames: int
    size: tuple[int, ...]
    stamp_ns: int | None
    late: list[int]


def next_move(policy: CachePolicy, stream: Stream, size: tuple[int, ...], stamp_ns: int | None) -> Move:
    """How a stream takes a frame of `size` (rows, columns) with that stamp; notes latecomers in the stream."""
    if stream.frames == 0:
        return Move.FIRST
    if stream.size != size:
        return Move.RESIZED
    if stamp_ns is None or stream.stamp_ns is None:
        return Move.NEXT
    move = policy.judge(stream.stamp_ns, stamp_ns)
    if move is Move.LATE and stamp_ns < stream.stamp_ns:
        rising = not stream.late or stamp_ns > stream.late[-1]
        stream.late = [*stream.late, stamp_ns] if rising else [stamp_ns]
        move = Move.JUMP_BACK if len(stream.late) >= policy.late_in_a_row else Move.LATE
    return move
