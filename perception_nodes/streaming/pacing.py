"""When a stored message is due: bag time against the wall, at any rate, with pauses. No ROS."""

import threading
import time
from collections.abc import Callable


class Pacer:
    """Maps bag time (ns) to wall time.

    Args:
        rate: bag seconds per wall second; 0: everything is due at once.
        now: monotonic seconds.
    """

    def __init__(self, rate: float = 1.0, now: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._now = now
        self._origin_ns = 0
        self._origin = now()
        self._paused_at: float | None = None
        self._steps = 0
        self._lock = threading.Lock()

    def start(self, stamp_ns: int) -> None:
        """Sets the origin: `stamp_ns` is due now."""
        with self._lock:
            self._origin_ns, self._origin = stamp_ns, self._now()
            if self._paused_at is not None:
                self._paused_at = self._origin

    @property
    def paused(self) -> bool:
        return self._paused_at is not None

    def pause(self) -> None:
        """Stops bag time."""
        with self._lock:
            if self._paused_at is None:
                self._paused_at = self._now()

    def resume(self) -> None:
        """Lets bag time run on from where it stopped."""
        with self._lock:
            if self._paused_at is not None:
                self._origin += self._now() - self._paused_at
                self._paused_at = None
            self._steps = 0

    def step(self, messages: int = 1) -> None:
        """While paused: makes so many further messages due at once."""
        with self._lock:
            self._steps += messages

    def time_ns(self) -> int:
        """Bag time now."""
        with self._lock:
            now = self._paused_at if self._paused_at is not None else self._now()
            return self._origin_ns + round((now - self._origin) * self._rate * 1e9)

    def wait_s(self, stamp_ns: int) -> float:
        """Seconds until a message is due; 0 or less: now (negative: so late). While paused: infinite, or a step."""
        with self._lock:
            if self._paused_at is not None:
                if not self._steps:
                    return float("inf")
                self._steps -= 1
                self._origin = self._paused_at  # bag time stands at the message that was stepped to
                self._origin_ns = stamp_ns
                return 0.0
            if self._rate == 0:
                return 0.0
            return self._origin + (stamp_ns - self._origin_ns) * 1e-9 / self._rate - self._now()
