"""A bar for long evaluations."""

from __future__ import annotations

import sys


class Progress:
    """A bar on standard error, redrawn at every `step`; a line at every tenth of the way where it is not a terminal."""

    def __init__(self, what: str, total: int):
        self.what, self.total, self.done = what, max(total, 1), 0
        self._redrawn = sys.stderr.isatty()

    def step(self, count: int = 1) -> None:
        """So many more are done."""
        before, self.done = self.done, self.done + count
        ended = self.done >= self.total
        if not (self._redrawn or ended or 10 * self.done // self.total > 10 * before // self.total):
            return
        bar = "#" * (24 * self.done // self.total)
        end = "\r" if self._redrawn and not ended else "\n"
        print(f"{self.what:34} [{bar:24}] {self.done}/{self.total}", end=end, file=sys.stderr, flush=True)
