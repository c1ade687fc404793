"""How long the key stream has been silent, by the clock of the polls. It changes no sample."""

from __future__ import annotations

SILENT_S = 1.0


class Silence:
    """Seconds since the last message, counted from the first poll after it."""

    def __init__(self) -> None:
        self._since_ns: int | None = None
        self.seconds = 0.0

    def broken(self) -> None:
        """A message came."""
        self._since_ns, self.seconds = None, 0.0

    def poll(self, now_ns: int) -> None:
        """`now_ns`: any clock that only runs forward."""
        if self._since_ns is None:
            self._since_ns = now_ns
        self.seconds = (now_ns - self._since_ns) * 1e-9

    def reason(self, what: str, ever: bool) -> str:
        """Why the stream is not there, or "" while it is; `what`: the word for its messages ("cloud")."""
        if self.seconds < SILENT_S:
            return ""
        return f"no {what} for {self.seconds:.1f} s" if ever else f"no {what} yet"
