"""A one-place mailbox between a callback and a worker: the newest item wins, nothing queues.

An overloaded node keeps the newest message: a full mailbox drops its oldest item, counts it, and takes the new one.
"""

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Bounded hand-over from one thread to another.

    Args:
        capacity: items kept at most; 1 is "latest wins". More smooths bursts at the cost of latency.
    """

    def __init__(self, capacity: int = 1) -> None:
        if capacity < 1:
            raise ValueError(f"a mailbox holds at least one item, not {capacity}")
        self._items: deque[T] = deque()
        self._capacity = capacity
        self._changed = threading.Condition()
        self._closed = False
        self._replaced = 0

    @property
    def replaced(self) -> int:
        """Items given up because newer ones came first, since the start."""
        return self._replaced

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T) -> int:
        """Leaves an item; returns how many older ones were given up for it (0 or 1). After `close` it is dropped."""
        with self._changed:
            if self._closed:
                return 0
            lost = 0
            while len(self._items) >= self._capacity:
                self._items.popleft()
                lost += 1
            self._items.append(item)
            self._replaced += lost
            self._changed.notify()
            return lost

    def get(self, timeout: float | None = None) -> T | None:
        """Takes the oldest kept item; None after `timeout` seconds or once closed (what is left is dropped)."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout)
            if self._closed or not self._items:
                return None
            return self._items.popleft()

    def clear(self) -> int:
        """Forgets what waits; returns how many items that were."""
        with self._changed:
            count = len(self._items)
            self._items.clear()
            return count

    def close(self) -> None:
        """Wakes every waiting `get` with None; further items are dropped."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        return self._closed
