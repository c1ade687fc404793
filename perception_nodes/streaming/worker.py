"""One thread that works on samples, the newest first: mailbox, resets, timing, and one place where exceptions end.

No ROS: the node gives what is to be called.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from perception_nodes.messages.errors import MessageError
from perception_nodes.streaming.health import Health, Level
from perception_nodes.streaming.inputs import Sample
from perception_nodes.streaming.mailbox import Mailbox
from perception_nodes.streaming.stopwatch import Percentiles, Stopwatch

FOREIGN_CLOCK_S = 3600.0
Report = Callable[[str, str, Level, BaseException, str], None]


class Arrival(NamedTuple):
    """A sample on its way: when it was complete (monotonic s), and its age by the node's clock then."""

    sample: Sample
    received: float
    age_s: float | None


class Worker:
    """Calls `process` for each sample; a slow one costs older samples that wait, never a growing queue.

    Args:
        process: decodes, steps, encodes and publishes one sample. False: the network was not run (the answer of the
            message before was repeated); the sample is counted as held, and its times are not counted.
        reset: forgets what is carried from sample to sample; called before a sample of another generation.
        health: gets the counters and values of "processing" and "clock".
        report: keeps an exception: (aspect, counter, level, error, sentence), as `PerceptionNode.report`.
        queue: samples that may wait; 1: the latest wins.
        name: of the thread.
        memory_advice: what to do where memory runs out.
        done: called after each sample with its stages' milliseconds, the milliseconds between its arrival and the one
            before (None for the first) and its latency in ms (None where the clock does not run, or is foreign).
        limits: gives the latencies (ms) above which there is a warning and an error; asked for each sample.
    """

    def __init__(
        self,
        process: Callable[[Sample, Stopwatch], bool | None],
        reset: Callable[[], None],
        health: Health,
        report: Report,
        queue: int = 1,
        name: str = "worker",
        memory_advice: str = "",
        done: Callable[[dict[str, float], float | None, float | None], None] | None = None,
        limits: Callable[[], tuple[float, float]] = lambda: (100.0, 500.0),
    ) -> None:
        self._process, self._reset, self._health, self._report = process, reset, health, report
        self._memory_advice, self._done, self._limits = memory_advice, done, limits
        self._mailbox: Mailbox[Arrival] = Mailbox(queue)
        self._thread = threading.Thread(target=self._work, name=name)
        self._previous: float | None = None
        self._left = 0  # samples that were left here; counted by whoever leaves them
        self._worked = 0  # samples that are done; counted by the thread
        self.inference_ms = Percentiles()

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def put(self, sample: Sample, received: float, age_s: float | None) -> None:
        """Leaves a sample; the oldest one that still waits may be given up for it. One thread calls this.

        Args:
            received: when the sample was complete, monotonic s. age_s: from its stamp to then, by the node's clock.
        """
        self._left += 1
        if self._mailbox.put(Arrival(sample, received, age_s)):
            text = "slower than the sensor: the latest message wins, older ones are dropped"
            self._health.event("processing", "dropped_overload", Level.WARN, text)

    @property
    def idle(self) -> bool:
        """True while nothing waits and nothing is worked on."""
        return self._mailbox.closed or self._worked + self._mailbox.replaced >= self._left

    def stop(self) -> None:
        """Ends the thread after the step that it is at; what still waits is dropped. Safe to call twice."""
        self._mailbox.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _work(self) -> None:
        generation: int | None = None
        while (arrival := self._mailbox.get()) is not None:
            try:
                if generation not in (None, arrival.sample.generation):
                    self._reset()
                generation = arrival.sample.generation
                self._one(arrival)
            except MessageError as error:
                self._report("input", "rejected", Level.ERROR, error, f"message rejected: {error}")
            except MemoryError as error:
                sentence = f"out of memory: frame skipped. {self._memory_advice}"
                self._report("processing", "out_of_memory", Level.ERROR, error, sentence)
            except Exception as error:
                self._report("processing", "exceptions", Level.ERROR, error, "")
            finally:
                self._worked += 1

    def _one(self, arrival: Arrival) -> None:
        watch = Stopwatch()
        if self._process(arrival.sample, watch) is False:
            self._health.count("processing", "held")
            return
        stages = watch.milliseconds()
        self._health.count("processing", "processed")
        self.inference_ms.add(stages["inference"])
        for stage, ms in stages.items():
            self._health.value("processing", f"{stage}_ms", ms)
        cyclic = None if self._previous is None else (arrival.received - self._previous) * 1e3
        self._previous = arrival.received
        latency = self._judge_latency(arrival)
        if self._done is not None:
            self._done(stages, cyclic, latency)

    def _judge_latency(self, arrival: Arrival) -> float | None:
        """Milliseconds from the sample's stamp to now by the node's clock; None if it does not run, or is foreign."""
        if arrival.age_s is None:
            return None
        if abs(arrival.age_s) > FOREIGN_CLOCK_S:
            text = (
                f"the input's stamps are {arrival.age_s:.0f} s away from this node's clock: "
                "for a replay or a simulation, start the node with -p use_sim_time:=true"
            )
            self._health.condition("clock", "foreign", Level.WARN, text)
            return None
        self._health.clear("clock", "foreign")
        latency = (arrival.age_s + time.monotonic() - arrival.received) * 1e3
        self._health.value("processing", "pipeline_latency_ms", latency)
        warn_ms, error_ms = self._limits()
        if latency > error_ms:
            text = f"pipeline latency is above {error_ms:g} ms"
            self._health.event("processing", "latency_errors", Level.ERROR, text)
        elif latency > warn_ms:
            text = f"pipeline latency is above {warn_ms:g} ms"
            self._health.event("processing", "latency_warnings", Level.WARN, text)
        return latency
