"""Pictures of many cameras -> one set per moment, judged by their stamps. No ROS, no threads.

A set is closed when every camera that is there has given its view, or as it is when the second set after it begins:
topics are read one by one, and one camera may be a message ahead of another. Everything is decided from stamps and
their order (and, where one runs, the node's clock), so that sets are alike live and offline:

- a view whose absolute distance to the clock, or to the other cameras' common time, is above `max_age_s` is masked:
  stale and future alike (a stamp in the future is not "fresh");
- a view older than a set that is closed already is late, and masked;
- a camera missing in `absent_sets` sets in a row is not waited for until it comes back;
- a set of fewer than `min_cameras` views is given up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from perception_nodes.streaming.clock import StampKind, StampMonitor, StampVerdict

T = TypeVar("T")

NO_VIEW = "no image yet"
OPEN = 2  # sets that may be under way: one camera may be a message ahead
BEHIND = 10  # views for which a camera may lag behind the jump of another


@dataclass(frozen=True)
class View(Generic[T]):
    """One camera's part of a set. `generation` grows with every gap and jump in the camera's stamps: what was kept of
    an older generation is no longer about the present."""

    stamp_ns: int
    item: T
    generation: int = 0


@dataclass(frozen=True)
class ViewSet(Generic[T]):
    """Views of one moment by camera, in the cameras' order. `lacks`: camera -> why it has none."""

    views: dict[str, View[T]]
    lacks: dict[str, str] = field(default_factory=dict)

    @property
    def stamp_ns(self) -> int:
        """The newest view's."""
        return max(view.stamp_ns for view in self.views.values())


@dataclass(frozen=True)
class Admission(Generic[T]):
    """What became of one view.

    verdict: the stamp among the camera's own stamps · masked: why the view is not used, "" where it is · sets: those
    that are now closed, oldest first · given_up: sets closed with fewer than `min_cameras` views.
    """

    verdict: StampVerdict
    masked: str = ""
    sets: tuple[ViewSet[T], ...] = ()
    given_up: int = 0


class _Camera:
    def __init__(self, index: int, monitor: StampMonitor) -> None:
        self.index = index
        self.monitor = monitor
        self.newest: int | None = None  # stamp of its last view that was used
        self.used = -1  # number of that view among all
        self.seen = self.seen_before = -1  # numbers of its last view, used or not, and of the one before
        self.missed = 0  # sets in a row without it
        self.behind = 0  # views that may still be of the time before another camera's jump
        self.generation = 0
        self.lack = NO_VIEW


class ViewCollector(Generic[T]):
    """Collects views; one `put` per message.

    Args:
        cameras: names; the first is believed where two disagree about the time.
        max_age_s: greatest absolute distance of a stamp to the clock and to the other cameras, s.
        min_cameras: views that a set needs. absent_sets: see the module.
        gap_periods, jump_back_s, jump_back_periods: see `StampMonitor`; one judges each camera.

    Raises:
        ValueError: no camera, a name twice, or `min_cameras` that cannot be had.
    """

    def __init__(
        self,
        cameras: Sequence[str],
        max_age_s: float = 0.25,
        min_cameras: int = 1,
        absent_sets: int = 3,
        gap_periods: float = 5.0,
        jump_back_s: float = 1.0,
        jump_back_periods: float = 3.5,
    ) -> None:
        if not cameras or len(set(cameras)) != len(cameras):
            raise ValueError(f"the cameras are {', '.join(cameras) or '(none)'}; expected names, each once")
        if not 1 <= min_cameras <= len(cameras):
            raise ValueError(f"min_cameras is {min_cameras}; expected 1 to {len(cameras)}, the number of cameras")
        self._max_age_ns = round(max_age_s * 1e9)
        self._min_cameras = min_cameras
        self._absent_sets = absent_sets
        self._cameras = {
            name: _Camera(i, StampMonitor(gap_periods, jump_back_s, jump_back_periods))
            for i, name in enumerate(cameras)
        }
        self._open: list[dict[str, View[T]]] = []  # sets under way by stamp, at most OPEN
        self._closed_ns: int | None = None  # first stamp of the newest closed set
        self._count = 0

    @property
    def cameras(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._cameras)

    def expect_jump(self) -> None:
        """Says that /clock jumped back (see `StampMonitor.expect_jump`)."""
        for camera in self._cameras.values():
            camera.monitor.expect_jump()

    def lacking(self) -> dict[str, str]:
        """Camera -> why it has not been in the last `absent_sets` sets; nothing of those that were."""
        return {n: c.lack for n, c in self._cameras.items() if c.missed >= self._absent_sets or c.newest is None}

    def put(self, camera: str, stamp_ns: int, item: T, now_ns: int | None = None) -> Admission[T]:
        """Takes one view in. `now_ns`: the clock, where one runs that the cameras' stamps should keep to."""
        state = self._cameras[camera]
        if now_ns is not None and abs(stamp_ns - now_ns) > self._max_age_ns:
            # Not shown to the monitor: after one stamp in the future all good ones would look late.
            state.lack = f"{_distance(stamp_ns - now_ns)} by this node's clock"
            return Admission(StampVerdict(StampKind.NEXT), state.lack)
        verdict = state.monitor.observe(stamp_ns)
        if not verdict.accepted:
            state.lack = "its stamps repeat" if verdict.kind is StampKind.DUPLICATE else "its stamps are out of order"
            return Admission(verdict)
        if verdict.resets:
            state.generation += 1
        view = View(stamp_ns, item, state.generation)
        sets: list[ViewSet[T]] = []
        given_up = self._follow_jump(state, stamp_ns, sets) if verdict.kind is StampKind.JUMP_BACK else 0
        state.seen_before, state.seen = state.seen, self._count + 1
        self._count += 1
        if self._is_behind(state, stamp_ns):
            sets += [ViewSet({camera: view})] if self._min_cameras == 1 else []
            return Admission(verdict, "", tuple(sets), given_up + (self._min_cameras > 1))
        masked = self._masked(state, stamp_ns)
        if masked:
            state.lack = masked
            return Admission(verdict, masked, tuple(sets), given_up)
        state.newest, state.used = stamp_ns, self._count
        given_up += self._add(camera, view, sets)
        return Admission(verdict, "", tuple(sets), given_up)

    def flush(self) -> tuple[tuple[ViewSet[T], ...], int]:
        """Closes the sets under way, as at the end of a bag: (sets, how many were given up)."""
        sets: list[ViewSet[T]] = []
        given_up = sum(self._close(s, sets) for s in self._open)
        self._open = []
        return tuple(sets), given_up

    # --- sets -----------------------------------------------------------------------------------------------------

    def _add(self, camera: str, view: View[T], sets: list[ViewSet[T]]) -> int:
        """Puts a view into its set and closes what is done into `sets`; returns how many sets were given up."""
        window = self._window_ns()
        # Not before the set that holds the camera's last view, and no set may overtake another: so each camera's views
        # stay in their order.
        behind = 1 + max((i for i, s in enumerate(self._open) if camera in s), default=-1)
        fitting = [
            s
            for i, s in enumerate(self._open)
            if i >= behind
            and abs(view.stamp_ns - _first_ns(s)) <= window
            and (i == 0 or view.stamp_ns >= _first_ns(self._open[i - 1]))
        ]
        mine = min(fitting, key=lambda s: abs(view.stamp_ns - _first_ns(s)), default=None)
        if mine is None:
            mine = {}
            self._open.append(mine)
        mine[camera] = view
        self._open.sort(key=_first_ns)
        self._cameras[camera].missed = 0
        complete = all(name in mine for name, c in self._cameras.items() if c.missed < self._absent_sets)
        closing = self._open.index(mine) + 1 if complete else max(0, len(self._open) - OPEN)
        given_up = sum(self._close(s, sets) for s in self._open[:closing])
        self._open = self._open[closing:]
        return given_up

    def _close(self, done: dict[str, View[T]], sets: list[ViewSet[T]]) -> int:
        """Ends a set; returns 1 where it has too few views and is given up."""
        self._closed_ns = _first_ns(done)
        views = {name: done[name] for name in self._cameras if name in done}
        lacks = {}
        for name, camera in self._cameras.items():
            if name in views:
                camera.lack = "no new image"
            else:
                camera.missed += 1
                lacks[name] = camera.lack
        if len(views) < self._min_cameras:
            return 1
        sets.append(ViewSet(views, lacks))
        return 0

    def _window_ns(self) -> int:
        """Views of one set lie closer together than a camera's own period, however their triggers are shifted."""
        periods = [c.monitor.period_s for c in self._cameras.values() if c.monitor.period_s is not None]
        return min([self._max_age_ns, *(round(0.9e9 * p) for p in periods)])

    # --- time -----------------------------------------------------------------------------------------------------

    def _masked(self, state: _Camera, stamp_ns: int) -> str:
        """Why a view is not used, or ""."""
        common = self._common_time(state, stamp_ns)
        if abs(stamp_ns - common) > self._max_age_ns:
            return f"{_distance(stamp_ns - common)} by the other cameras"
        if self._closed_ns is not None and stamp_ns < self._closed_ns - self._window_ns():
            return f"late, {(self._closed_ns - stamp_ns) * 1e-9:.2f} s behind the other cameras"
        return ""

    def _common_time(self, state: _Camera, stamp_ns: int) -> int:
        """Median stamp of this view and of the cameras that gave one since this camera's last; of two middle ones the
        one of the camera named first."""
        rows = [(stamp_ns, state.index)]
        before = state.seen_before
        for other in self._cameras.values():
            if other is not state and other.newest is not None and other.used > before:
                rows.append((other.newest, other.index))
        rows.sort()
        middle = rows[(len(rows) - 1) // 2 : len(rows) // 2 + 1]
        return min(middle, key=lambda row: row[1])[0]

    def _follow_jump(self, jumped: _Camera, stamp_ns: int, sets: list[ViewSet[T]]) -> int:
        """One camera's time went back: closes what is held of the old time, and looks out for the other cameras' jumps.
        Returns how many sets were given up."""
        jumped.behind = 0
        newest = [c.newest for c in self._cameras.values() if c.newest is not None and c is not jumped]
        if newest and max(newest) - stamp_ns <= self._max_age_ns:
            return 0  # the others are in the new time already
        given_up = sum(self._close(s, sets) for s in self._open)
        self._open, self._closed_ns = [], None
        for camera in self._cameras.values():
            if camera is not jumped and camera.newest is not None and camera.newest > stamp_ns:
                camera.behind = BEHIND
            camera.newest, camera.missed = None, 0
            camera.monitor.expect_jump()
        return given_up

    def _is_behind(self, state: _Camera, stamp_ns: int) -> bool:
        """True for a view of the time before another camera's jump: topics are read one by one. It goes out alone, so
        that every loop of a bag gives the same pictures."""
        if not state.behind:
            return False
        new = [c.newest for c in self._cameras.values() if c.newest is not None]
        if any(abs(stamp_ns - n) <= self._max_age_ns for n in new):
            state.behind = 0
            return False
        state.behind -= 1
        return True


def _first_ns(views: dict[str, View[T]]) -> int:
    return next(iter(views.values())).stamp_ns


def _distance(delta_ns: int) -> str:
    seconds = abs(delta_ns) * 1e-9
    return f"stamped {seconds:.2f} s in the future" if delta_ns > 0 else f"stale, {seconds:.2f} s old"
