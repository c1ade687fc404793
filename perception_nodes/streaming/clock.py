"""What a stream's stamps say: progress, a gap, a duplicate, a latecomer, or a jump back (a bag looped).

One monitor per input topic. It decides from header stamps alone, so that it judges alike live and offline.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from statistics import median


class StampKind(Enum):
    """How a stamp relates to those before it."""

    FIRST = "first"
    NEXT = "next"
    GAP = "gap"  # forward by more than `gap_periods` periods: frames were lost
    DUPLICATE = "duplicate"  # the same stamp again: dropped
    LATE = "out_of_order"  # a little older than the newest: dropped
    JUMP_BACK = "jump_back"  # far older: time restarted, all state must be reset


@dataclass(frozen=True)
class StampVerdict:
    """One judged stamp.

    Attributes:
        kind: the relation to the newest stamp so far.
        delta_s: seconds since the newest accepted stamp (negative when older; 0 for the first).
        missed: frames lost since the newest stamp, by the stream's own period (a step of two periods misses one).
    """

    kind: StampKind
    delta_s: float = 0.0
    missed: int = 0

    @property
    def accepted(self) -> bool:
        """False for duplicates and latecomers: they are counted and dropped."""
        return self.kind not in (StampKind.DUPLICATE, StampKind.LATE)

    @property
    def resets(self) -> bool:
        """True where state carried from frame to frame is no longer about the present."""
        return self.kind in (StampKind.GAP, StampKind.JUMP_BACK)


class StampMonitor:
    """Judges the stamps of one stream.

    Args:
        gap_periods: a forward step longer than this many periods is a gap. The period is the median of recent steps.
        jump_back_s, jump_back_periods: a backward step longer than either is a jump; a shorter one is a latecomer.
        late_in_a_row: so many latecomers whose own stamps rise are a jump after all (a bag of two or three frames,
            looped).
    """

    def __init__(
        self,
        gap_periods: float = 5.0,
        jump_back_s: float = 1.0,
        jump_back_periods: float = 3.5,
        late_in_a_row: int = 3,
    ) -> None:
        self.gap_periods = gap_periods
        self.jump_back_s = jump_back_s
        self.jump_back_periods = jump_back_periods
        self.late_in_a_row = late_in_a_row
        self._steps: deque[int] = deque(maxlen=15)
        self._newest: int | None = None
        self._late: list[int] = []
        self._expected_jump = 0

    @property
    def period_s(self) -> float | None:
        """The stream's period in seconds, or None before three stamps."""
        return median(self._steps) * 1e-9 if len(self._steps) >= 2 else None

    def expect_jump(self) -> None:
        """Says that /clock jumped back: an older stamp among the next few is a jump, however short the bag.

        It is a hint and no reset: /clock and the stream are two topics, and either may be seen first.
        """
        self._expected_jump = 5

    def observe(self, stamp_ns: int) -> StampVerdict:
        """Judges one stamp (nanoseconds) and, if it is accepted, makes it the newest."""
        if self._newest is None:
            self._newest = stamp_ns
            return StampVerdict(StampKind.FIRST)
        step = stamp_ns - self._newest
        delta = step * 1e-9
        if step == 0:
            return StampVerdict(StampKind.DUPLICATE)
        if step < 0:
            return self._older(stamp_ns, delta)
        self._newest = stamp_ns
        self._late.clear()
        period = self.period_s
        self._steps.append(step)  # a gap too: eight in a row are the stream's new period
        self._expected_jump = max(0, self._expected_jump - 1)
        missed = max(0, round(delta / period) - 1) if period else 0
        if period and delta > self.gap_periods * period:
            return StampVerdict(StampKind.GAP, delta, missed)
        return StampVerdict(StampKind.NEXT, delta, missed)

    def _older(self, stamp_ns: int, delta: float) -> StampVerdict:
        rising = not self._late or stamp_ns > self._late[-1]
        self._late = [*self._late, stamp_ns] if rising else [stamp_ns]
        far = self.jump_back_s
        if self.period_s:
            far = min(far, self.jump_back_periods * self.period_s)
        if -delta > far or len(self._late) >= self.late_in_a_row or self._expected_jump:
            self._newest = stamp_ns
            self._expected_jump = 0
            self._late.clear()
            return StampVerdict(StampKind.JUMP_BACK, delta)
        return StampVerdict(StampKind.LATE, delta)


class StartWatch:
    """Notices once that a clock which should run has not started.

    Args:
        patience_s: seconds of wall time to wait before speaking.
    """

    def __init__(self, started_at: float, patience_s: float = 5.0) -> None:
        self._deadline = started_at + patience_s
        self.warned = False

    def overdue(self, now: float, clock_runs: bool) -> bool:
        """True exactly once: when `now` (monotonic seconds) is past the deadline and the clock stands at zero."""
        if clock_runs or self.warned or now < self._deadline:
            return False
        self.warned = True
        return True
