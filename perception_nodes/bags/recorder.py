"""Recording beside a node: messages are queued in a bounded buffer and written by one thread.

A callback must never wait for a disk: where the disk is slower than the sensors, messages are dropped and counted.
"""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from types import TracebackType

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.qos import TopicQos
from perception_nodes.bags.writer import BagWriter

_STOP = None


class Recorder:
    """Writes CDR bytes into a new bag from any thread; use as a context manager or call `close`.

        with Recorder("out") as recorder:
            recorder.put("/perception/segmentation", "sensor_msgs/msg/PointCloud2", stamp_ns, raw)

    `close` completes the bag; leaving the context by an exception discards it. What went wrong while writing is raised
    by `close` as BagError and can be read from `failure` before.
    """

    def __init__(
        self,
        path: str | Path,
        storage: str = "mcap",
        compression: str | None = None,
        max_bytes: int = 256 << 20,
        overwrite: bool = False,
    ) -> None:
        """`max_bytes`: what may wait to be written. Raises BagError where the bag cannot be begun."""
        self._writer = BagWriter(path, storage, compression, overwrite)
        self._queue: queue.SimpleQueue = queue.SimpleQueue()
        self._max_bytes = max_bytes
        self._waiting = 0
        self._lock = threading.Lock()
        self._closed = False
        self.written = 0
        self.dropped = 0
        self.failure: BagError | None = None
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        return self._writer.path

    def put(self, topic: str, type_name: str, stamp_ns: int, raw: bytes, qos: TopicQos | None = None) -> bool:
        """Queue one message; False if it was dropped (buffer full, closed or failed). Never waits."""
        with self._lock:
            if self._closed or self.failure is not None or self._waiting + len(raw) > self._max_bytes:
                self.dropped += 1
                return False
            self._waiting += len(raw)
            self._queue.put((topic, type_name, stamp_ns, raw, qos))
        return True

    def note(self, key: str, value: str) -> None:
        """A remark for the bag's metadata."""
        self._writer.note(key, value)

    def close(self) -> None:
        """Write what is queued and complete the bag; raises BagError if writing failed (nothing is left then)."""
        if self._end():
            if self.failure is not None:
                self._writer.discard()
                raise self.failure
            self._writer.close()

    def discard(self) -> None:
        """Stop and drop the bag."""
        if self._end(drop=True):
            self._writer.discard()

    def _end(self, drop: bool = False) -> bool:
        """True for the first caller: the thread has ended then."""
        with self._lock:
            if self._closed:
                return False
            self._closed = True
            if drop and self.failure is None:
                self.failure = BagError(f"the recording {self.path} was given up")
        self._queue.put(_STOP)
        self._thread.join()
        return True

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            if item is _STOP:
                return
            topic, type_name, stamp_ns, raw, qos = item
            if self.failure is None:
                try:
                    self._writer.add_topic(topic, type_name, qos)
                    self._writer.write(topic, raw, stamp_ns)
                    self.written += 1
                except BagError as err:
                    self.failure = err
                except Exception as err:  # whatever a writer may raise must reach close(), not end in a thread
                    self.failure = BagError(f"recording {self.path} failed: {err}")
            with self._lock:
                self._waiting -= len(raw)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()
