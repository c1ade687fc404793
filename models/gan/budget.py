"""Which setting of a style keeps a time budget, decided by measured step times.

    chooser = BudgetChooser(options_of(session, (256, 704)), budget_ms=20)
    session.set(channel_ratio=chooser.option.channel_ratio, resolution=chooser.option.resolution)
    session.step(rgb)
    wanted = chooser.observe(1e3 * session.seconds)      # another option, or None: stay
    if wanted is not None:                               # compile it first, elsewhere; then
        chooser.switch(wanted)

Options are ordered from the best to the cheapest. A step that is late once is not enough: the median of the last steps
counts, so other load on the machine for one picture changes nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from models.gan.session import LEAST_SIDE, StyleSession

WINDOW = 7  # steps whose median counts
FORGET = 120  # steps after which what was measured of other options no longer counts: the load may have changed
SHARES = (1.0, 0.75, 0.5, 0.375, 0.25)  # of the picture's height
RATIOS = (1.0, 0.75, 0.5)  # of a super network's width
MARGIN = 0.85  # of the budget that a better option may be expected to take


class Option(NamedTuple):
    """A setting of a style session. resolution None: the picture's; 0: the tone step alone · cost: expected time,
    relative to the best option."""

    channel_ratio: float
    resolution: int | None
    cost: float


def options_of(session: StyleSession, size: tuple[int, int]) -> tuple[Option, ...]:
    """Every option for pictures of a size (height, width) px, best first."""
    found = [Option(1.0, None, 1.0)]
    if session.has_convolutions:
        ratios = RATIOS if session.elastic else (1.0,)
        sizes = [(share, round(size[0] * share / 4) * 4) for share in SHARES]
        found += [
            Option(ratio, None if share == 1.0 else height, ratio**2 * share**2)
            for ratio in ratios
            for share, height in sizes
            if (ratio, share) != (1.0, 1.0) and height >= LEAST_SIDE
        ]
    if session.tone_alone:
        found.append(Option(1.0, 0, 0.02))
    return tuple(sorted(found, key=lambda option: -option.cost))


class BudgetChooser:
    """options: best first · budget_ms: of a step."""

    def __init__(self, options: Sequence[Option], budget_ms: float) -> None:
        if not options or budget_ms <= 0:
            raise ValueError(f"{len(options)} options and a budget of {budget_ms} ms: expected 1 or more, and above 0")
        self.options, self.budget_ms = tuple(options), budget_ms
        self.known: dict[Option, float] = {}  # option -> median ms when it was last left
        self._at = self._steps = 0
        self._times: deque[float] = deque(maxlen=WINDOW)

    @property
    def option(self) -> Option:
        """The one in use."""
        return self.options[self._at]

    @property
    def milliseconds(self) -> float | None:
        """Median of the last steps; None before the window is full."""
        return median(self._times) if len(self._times) == WINDOW else None

    @property
    def impossible(self) -> bool:
        """Whether even the cheapest option is slower than the budget."""
        taken = self.milliseconds
        return taken is not None and taken > self.budget_ms and self._at == len(self.options) - 1

    def observe(self, taken_ms: float) -> Option | None:
        """One step of the option in use; the option to change to, or None."""
        self._times.append(taken_ms)
        self._steps += 1
        if self._steps % FORGET == 0:
            self.known.clear()
        taken = self.milliseconds
        if taken is None:
            return None
        if taken > self.budget_ms:
            cheaper = self.options[self._at + 1 :]
            fitting = [o for o in cheaper if self._expected(o, taken) <= self.budget_ms]
            return fitting[0] if fitting else cheaper[-1] if cheaper else None
        better = [o for o in self.options[: self._at] if self._expected(o, taken) <= MARGIN * self.budget_ms]
        return better[0] if better else None

    def switch(self, option: Option) -> None:
        """Uses an option from now on."""
        taken = self.milliseconds
        if taken is not None:
            self.known[self.option] = taken
        self._at, self._steps = self.options.index(option), 0
        self._times.clear()

    def _expected(self, option: Option, taken: float) -> float:
        """ms that an option will take: what it was measured at; else by its cost relative to the one in use."""
        return self.known.get(option, taken * option.cost / self.option.cost)
