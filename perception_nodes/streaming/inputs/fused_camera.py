"""One camera of a `FusedInput`: the images that a sweep may still ask for, and when there is nothing to wait for.

An *epoch* is the time between two jumps back. A camera and the LiDAR may see the same jump one after the other, so an
image counts for the sweeps of its own epoch only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from perception_nodes.streaming.clock import StampKind, StampMonitor
from perception_nodes.streaming.inputs.notes import NEVER, distance, masked_note, verdict_notes
from perception_nodes.streaming.inputs.sample import Note

MAX_IMAGES = 64  # of one camera; a bound for absurd rates, since only images of the last moments are kept
NO_NEW = "no new image"
SILENT_SWEEPS = 3  # sweeps without an image after which the reason is silence, not age


@dataclass(frozen=True, eq=False)
class Image:
    """One image. `generation` grows at gaps and jumps of its camera's stamps; `epoch`: see the module."""

    stamp_ns: int
    raw: bytes
    generation: int
    epoch: int


@dataclass(frozen=True)
class Ask:
    """What a sweep asks of a camera: the image nearest to `target_ns`, of one epoch.

    `ahead_ns`: how far the camera's stamps were ahead of the target when the sweep came · `silent`: no image had come
    in `SILENT_SWEEPS` sweeps.
    """

    target_ns: int
    epoch: int
    ahead_ns: int
    silent: bool


class FusedCamera:
    """Images, stamps and absence of one camera.

    Args:
        offset_ns: the image wanted is the one nearest to the sweep's stamp plus this.
        max_age_ns: greatest distance of an image to that target, and of the camera's stamps to the LiDAR's.
        absent_sets: after so many waits without an image the camera is not waited for until its next image.
        monitor: makes a judge of the camera's stamps.
    """

    def __init__(
        self, name: str, offset_ns: int, max_age_ns: int, absent_sets: int, monitor: Callable[[], StampMonitor]
    ) -> None:
        self.name = name
        self._offset_ns, self._max_age_ns, self._absent_sets = offset_ns, max_age_ns, absent_sets
        self._make_monitor = monitor
        self._monitor = monitor()
        self._images: deque[Image] = deque(maxlen=MAX_IMAGES)
        self._epoch = 0
        self._generation = 0
        self._newest_ns: int | None = None  # newest accepted stamp of this epoch
        self._before_ns: int | None = None  # newest accepted stamp of the epoch before
        self._ahead = False  # it jumped back, the LiDAR has not yet
        self._awaited = False  # the LiDAR jumped back, this camera has not yet
        self._sweeps_since = 0  # sweeps since its last image
        self._in_vain = 0  # waits in a row that ended without its image
        self._cut: tuple[Ask, int] | None = None  # the last such wait, and the distance of the image used instead
        self._since_sweep_ns: tuple[int, int] | None = None  # its first and its last stamp after the last sweep
        self._missed = 0  # sets in a row without it
        self._lack = NEVER

    @property
    def span_ns(self) -> int:
        """Time that has passed since the last sweep, by this camera's stamps."""
        first, last = self._since_sweep_ns or (0, 0)
        return last - first

    @property
    def lack(self) -> str:
        """Why the camera has been in none of the last `absent_sets` sets; "" where it has."""
        return self._lack if self._missed >= self._absent_sets or self._lack == NEVER else ""

    def expect_jump(self) -> None:
        """See `StampMonitor.expect_jump`."""
        self._monitor.expect_jump()

    def push(self, stamp_ns: int, raw: bytes, sweep_ns: int | None) -> tuple[Note, ...]:
        """Keeps an image; `sweep_ns`: the newest sweep's stamp."""
        verdict = self._monitor.observe(stamp_ns)
        notes = verdict_notes(verdict, self.name, f"camera {self.name}: ")
        if not verdict.accepted:
            return notes
        self._generation += verdict.resets
        if verdict.kind is StampKind.JUMP_BACK:
            self._jump(stamp_ns)
        self._newest_ns = stamp_ns
        self._lack = NO_NEW if self._lack == NEVER else self._lack
        self._images.append(Image(stamp_ns, raw, self._generation, self._epoch))
        age = None if sweep_ns is None else sweep_ns + self._offset_ns - stamp_ns
        if age is None or age <= self._max_age_ns:
            self._in_vain = 0
            if age is None or -age <= self._max_age_ns:
                self._ahead = self._awaited = False  # it keeps the LiDAR's time
        self._sweeps_since = 0
        self._since_sweep_ns = (self._since_sweep_ns or (stamp_ns,))[0], stamp_ns
        return notes + self._late(stamp_ns)

    def ask(self, sweep_ns: int) -> Ask:
        """A new sweep's question."""
        target = sweep_ns + self._offset_ns
        self._sweeps_since += 1
        self._since_sweep_ns = None
        ahead = 0 if self._ahead or self._newest_ns is None else self._newest_ns - target
        return Ask(target, self._epoch - self._ahead, ahead, self._sweeps_since > SILENT_SWEEPS)

    def decided(self, ask: Ask) -> bool:
        """True where no image that could still come would be taken, or the camera is not waited for."""
        return self._in_vain >= self._absent_sets or self._answered(ask)

    def take(self, ask: Ask) -> tuple[Image | None, str, tuple[Note, ...]]:
        """Ends the wait for an answer: (image, "") or (None, reason), and what to report."""
        fitting = [image for image in self._images if image.epoch == ask.epoch]
        nearest = min(fitting, key=lambda image: (abs(image.stamp_ns - ask.target_ns), image.stamp_ns), default=None)
        apart = None if nearest is None else abs(nearest.stamp_ns - ask.target_ns)
        used = nearest if apart is not None and max(apart, ask.ahead_ns) <= self._max_age_ns else None
        if self._answered(ask):
            self._cut = None
        else:
            self._in_vain += 1
            self._cut = (ask, self._max_age_ns + 1 if used is None or apart is None else apart)
        if used is not None:
            self._missed, self._lack = 0, NO_NEW
            return used, "", ()
        self._missed += 1
        self._lack, came = self._reason(ask)
        return None, self._lack, (masked_note(self.name, self._lack),) if came else ()

    def follow_jump(self, sweep_ns: int) -> None:
        """The LiDAR's time jumped back to `sweep_ns`: forgets the time before."""
        self._missed = self._in_vain = self._sweeps_since = 0
        self._cut = self._since_sweep_ns = None
        if self._ahead:  # this camera jumped first: what came since is of the new time
            self._ahead = False
        else:
            self._awaited = self._newest_ns is not None and self._newest_ns - sweep_ns > self._max_age_ns
            self._epoch += 1
            self._generation += 1
            self._images.clear()
            self._newest_ns = None
            self._monitor = self._make_monitor()  # so that every loop of a bag is judged alike
            self._monitor.expect_jump()  # images of the time before may still come
        self._lack = NEVER if self._newest_ns is None else NO_NEW

    def prune(self, targets_ns: list[int], sweep_ns: int | None) -> None:
        """Forgets images that neither an open set (by its target) nor a coming sweep can take."""
        if self._newest_ns is not None:
            oldest = min([self._newest_ns, *targets_ns]) - self._max_age_ns
            self.forget(lambda image: image.epoch == self._epoch and image.stamp_ns < oldest)
        if sweep_ns is not None:
            past = min([sweep_ns, *targets_ns]) - self._max_age_ns
            self.forget(lambda image: image.epoch < self._epoch and (not self._ahead or image.stamp_ns < past))

    def forget(self, old: Callable[[Image], bool]) -> None:
        """Drops the images for which `old` is true."""
        if any(old(image) for image in self._images):
            self._images = deque((image for image in self._images if not old(image)), MAX_IMAGES)

    def _answered(self, ask: Ask) -> bool:
        """True where no image that could still come is nearer to the target than those that are here.

        A camera that is due after twice the time between its newest image and the target cannot come nearer: one that
        is slower than the LiDAR is not waited for at every second sweep.
        """
        if self._epoch > ask.epoch or ask.ahead_ns > self._max_age_ns:
            return True
        if self._newest_ns is None:
            return False
        period = self._monitor.period_s
        remaining = ask.target_ns - self._newest_ns
        return remaining <= (0 if period is None else round(0.5e9 * period))

    def _jump(self, stamp_ns: int) -> None:
        """Its own time went back."""
        self._monitor = self._make_monitor()  # so that every loop of a bag is judged alike
        self._monitor.observe(stamp_ns)
        self._cut = None
        if self._awaited:
            self._images.clear()  # of the time before
            self._awaited = False
        elif self._ahead:
            self.forget(lambda image: image.epoch == self._epoch)  # a second jump before the LiDAR's
        else:
            self._epoch += 1
            self._before_ns, self._ahead = self._newest_ns, True

    def _late(self, stamp_ns: int) -> tuple[Note, ...]:
        """Whether this is the image that the last wait was for."""
        if self._cut is None:
            return ()
        ask, apart = self._cut
        self._cut = None
        if abs(stamp_ns - ask.target_ns) >= apart:
            return ()
        return (masked_note(self.name, "late, its sweep was waited for long enough"),)

    def _reason(self, ask: Ask) -> tuple[str, bool]:
        """Why no image is used, and whether one came all the same."""
        newest = self._newest_ns if self._epoch == ask.epoch else self._before_ns
        if ask.silent or newest is None:
            return (NEVER if self._lack == NEVER else NO_NEW), False
        off = ask.ahead_ns if ask.ahead_ns > self._max_age_ns else newest - ask.target_ns
        if abs(off) <= self._max_age_ns:
            return "no image of this sweep's time", True
        return f"{distance(off)} by the LiDAR", True
