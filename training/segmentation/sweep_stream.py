"""Endless labelled sweeps from generator processes: starts them, reads them, restarts one that died.

A generator is `python -m training.segmentation.world_sweeps`, a plain child process that writes sweeps (see
`sweep_wire`) to its standard output. Each has its own numba cache folder, so that none waits for or spoils another's.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from training.segmentation.sweep_wire import CompactSweep, read_sweep

ROOT = Path(__file__).resolve().parents[2]


class SweepStream:
    """Iterates over sweeps as they come. Use as a context manager: leaving it ends the processes it started.

    workers: number of processes · split: which seeds (common.seeds) · first: offset into the split (a resumed run
    goes on behind the worlds it has seen) · count: sweeps per worker, 0 for endless · ready: sweeps kept waiting.
    """

    def __init__(
        self,
        workers: int,
        split: str = "train",
        first: int = 0,
        count: int = 0,
        ready: int = 64,
        options: tuple[str, ...] = (),
    ):
        self._arguments = (split, first, count, options)
        self._total = workers
        self._queue: queue.Queue[CompactSweep | None] = queue.Queue(maxsize=ready)
        self._stop = threading.Event()
        self._cache = Path(os.environ.get("SWEEP_NUMBA_CACHE", tempfile.gettempdir())) / "sweep_numba_cache"
        self._children: list[subprocess.Popen[bytes] | None] = [None] * workers
        self.deaths: list[str] = []  # last words of generators that died
        self.received = 0
        self._threads = [threading.Thread(target=self._tend, args=(i,), daemon=True) for i in range(workers)]
        for thread in self._threads:
            thread.start()

    def _start(self, worker: int, attempt: int) -> tuple[subprocess.Popen[bytes], Path]:
        split, first, count, options = self._arguments
        log = Path(tempfile.mkstemp(prefix=f"sweeps_{worker}_", suffix=".log")[1])
        environment = dict(
            os.environ,
            OMP_NUM_THREADS="1",
            NUMBA_NUM_THREADS="1",
            MKL_NUM_THREADS="1",
            NUMBA_CACHE_DIR=str(self._cache / f"{split}_{worker}"),
            CUDA_VISIBLE_DEVICES="",
        )
        # a restarted worker leaps over the world that killed it
        command = [sys.executable, "-m", "training.segmentation.world_sweeps", "--split", split]
        command += ["--worker", str(worker), "--workers", str(self._total), "--count", str(count)]
        command += ["--first", str(first + attempt * 7919 * self._total), *options]
        with log.open("wb") as errors:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT, env=environment
            )
        return child, log

    def _tend(self, worker: int) -> None:
        """One thread per worker: read until it ends; start it again unless it ended cleanly or died too often."""
        for attempt in range(20):
            if self._stop.is_set():
                return
            child, log = self._start(worker, attempt)
            self._children[worker] = child
            clean = self._drain(child)
            code = child.wait()
            words = log.read_text(errors="replace")[-2000:]
            log.unlink(missing_ok=True)
            if self._stop.is_set() or (clean and code == 0):
                break
            self.deaths.append(f"generator {worker} ended with code {code}, starting another:\n{words}")
            print(self.deaths[-1], file=sys.stderr, flush=True)
            self._stop.wait(min(2.0**attempt, 20.0))
        self._put(None)

    def _drain(self, child: subprocess.Popen[bytes]) -> bool:
        """Reads sweeps to the end of the child's output; True where it ended between two sweeps."""
        if child.stdout is None:
            return False
        try:
            while not self._stop.is_set():
                sweep = read_sweep(child.stdout)
                if sweep is None:
                    return True
                self.received += 1
                self._put(sweep)
        except (ValueError, OSError):
            child.terminate()
        return False

    def _put(self, sweep: CompactSweep | None) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put(sweep, timeout=0.2)
                return
            except queue.Full:
                continue

    def take(self, timeout: float | None = None) -> CompactSweep | None:
        """The next sweep; None where none came within `timeout` seconds, or every generator has ended."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._total > 0:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                sweep = self._queue.get(timeout=left) if left != 0.0 else self._queue.get_nowait()
            except queue.Empty:
                return None
            if sweep is not None:
                return sweep
            self._total -= 1
        return None

    @property
    def finished(self) -> bool:
        """True once every generator has ended for good."""
        return self._total == 0

    def close(self) -> None:
        """Ends the generators and waits for them."""
        self._stop.set()
        for child in self._children:
            if child is not None and child.poll() is None:
                child.terminate()
        for thread in self._threads:
            thread.join(timeout=10)

    def __enter__(self) -> SweepStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
