"""Sweeps of a LiDAR, each with the nearest image of every camera: one sample per sweep.

- Each accepted sweep opens a set. A camera gives the image nearest to the sweep's stamp plus the camera's offset.
- A set is closed when every camera has given it, or when a sweep `wait_s` newer has come (or `MAX_OPEN` sets wait), or
  at the end (`flush`), or when a `poll` finds that it has waited for `wait_s`.
- An image further than `max_age_s` from where it should be is not used: stale and future alike. Neither is any image of
  a camera whose stamps are ahead of the LiDAR's by more than that.
- After `absent_sets` waits in a row without an image a camera is not waited for until its next image comes.
- A set of fewer than `min_cameras` views is given up.

Everything but `poll` is decided from stamps and their order: the same bytes in the same order give the same samples.
A poll only ends a wait. Sweeps, their order and their stamps are the same with polls; the views differ only where a
camera's image came later than `wait_s` after its sweep: such a view is masked, or an older image stands in for it,
just as if the image came after the sweep that ends the wait. So a run with polls equals the offline run unless an image
was later than `wait_s`; and the same bytes with the same polls between them always give the same samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from perception_nodes.messages.header import header_stamp_ns
from perception_nodes.streaming.clock import StampKind, StampMonitor
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.inputs.fused_camera import Ask, FusedCamera
from perception_nodes.streaming.inputs.notes import given_up_note, verdict_notes
from perception_nodes.streaming.inputs.sample import IMAGE, POINT_CLOUD, Note, Pushed, Sample, Stream
from perception_nodes.streaming.inputs.silence import SILENT_S, Silence

MAX_OPEN = 8  # sweeps that may wait for images


@dataclass(eq=False)
class _Set:
    """A sweep that waits for images."""

    stamp_ns: int
    raw: bytes
    generation: int
    asks: dict[str, Ask]
    polled_ns: int | None = None  # the first poll that saw it


class FusedInput:
    """A LiDAR and its cameras, keyed by the LiDAR.

    Args:
        points: name of the LiDAR's stream. cameras: names of the cameras'.
        max_age_s: greatest distance of an image to where it should be, s.
        wait_s: how long a sweep waits for images, s; 0: not at all.
        min_cameras: views that a sweep needs; 0: the LiDAR alone will do.
        absent_sets: waits without an image after which a camera is not waited for.
        offsets_s: camera -> s from a sweep's stamp to the moment of the image wanted (half a turn of the LiDAR for
            sweeps stamped at their begin); 0 where not given.
        gap_periods, jump_back_s, jump_back_periods: see `StampMonitor`; one judges each stream.

    Raises:
        ValueError: a name twice, an offset for no camera, or a number that cannot be.
    """

    def __init__(
        self,
        points: str = "points",
        cameras: Sequence[str] = (),
        max_age_s: float = 0.25,
        wait_s: float = 0.08,
        min_cameras: int = 0,
        absent_sets: int = 3,
        offsets_s: Mapping[str, float] | None = None,
        gap_periods: float = 5.0,
        jump_back_s: float = 1.0,
        jump_back_periods: float = 3.5,
    ) -> None:
        offsets = dict(offsets_s or {})
        _check(points, cameras, max_age_s, wait_s, min_cameras, offsets)
        self._points, self._min_cameras = points, min_cameras
        self._wait_ns = round(wait_s * 1e9)
        self._make_monitor: Callable[[], StampMonitor] = lambda: StampMonitor(
            gap_periods, jump_back_s, jump_back_periods
        )
        self._monitor = self._make_monitor()
        ages = (round(max_age_s * 1e9), absent_sets, self._make_monitor)
        self._cameras = {name: FusedCamera(name, round(offsets.get(name, 0.0) * 1e9), *ages) for name in cameras}
        self._open: list[_Set] = []  # oldest first
        self._sweep_ns: int | None = None  # newest sweep's stamp
        self._generation = 0
        self._silence = Silence()

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The LiDAR's topic and one per camera."""
        return (Stream(self._points, POINT_CLOUD), *(Stream(name, IMAGE) for name in self._cameras))

    def push(self, stream: str, raw: bytes, now_ns: int | None = None) -> Pushed:
        """See `Input`. Images are judged by the LiDAR's stamps, so `now_ns` is not used."""
        stamp_ns = header_stamp_ns(raw)
        if stream == self._points:
            done = self._sweep(stamp_ns, raw)
        else:
            done = Pushed(notes=self._cameras[stream].push(stamp_ns, raw, self._sweep_ns))
        done = done.and_then(self._close_ready())
        self._prune()
        return done

    def poll(self, now_ns: int) -> Pushed:
        """Closes the sets that have waited for `wait_s` since the first poll after them (see the module)."""
        self._silence.poll(now_ns)
        over = 0
        for i, one in enumerate(self._open, 1):
            if one.polled_ns is None:
                one.polled_ns = now_ns
            if now_ns - one.polled_ns >= self._wait_ns:
                over = i
        done = self._close(over)
        self._prune()
        return done

    def flush(self) -> Pushed:
        """Closes every set, as it is."""
        return self._close(len(self._open))

    def expect_jump(self) -> None:
        """See `Input`."""
        self._monitor.expect_jump()
        for camera in self._cameras.values():
            camera.expect_jump()

    def lacking(self) -> dict[str, str]:
        """The LiDAR while it is silent, by the polls or by the cameras' stamps; cameras that are in no recent set."""
        ever = self._sweep_ns is not None
        reason = self._silence.reason("sweep", ever)
        span_s = max((camera.span_ns for camera in self._cameras.values()), default=0) * 1e-9
        if not reason and span_s >= SILENT_S:
            reason = f"no sweep for {span_s:.1f} s" if ever else "no sweep yet"
        lacks = {self._points: reason} if reason else {}
        return lacks | {name: camera.lack for name, camera in self._cameras.items() if camera.lack}

    # --- sets -----------------------------------------------------------------------------------------------------

    def _sweep(self, stamp_ns: int, raw: bytes) -> Pushed:
        """Opens a set."""
        self._silence.broken()
        verdict = self._monitor.observe(stamp_ns)
        done = Pushed(notes=verdict_notes(verdict, self._points))
        if not verdict.accepted:
            return done
        self._generation += verdict.resets
        if verdict.kind is StampKind.JUMP_BACK:
            done = done.and_then(self._close(len(self._open)))
            self._monitor = self._make_monitor()  # so that every loop of a bag is judged alike
            self._monitor.observe(stamp_ns)
            for camera in self._cameras.values():
                camera.follow_jump(stamp_ns)
        self._sweep_ns = stamp_ns
        asks = {name: camera.ask(stamp_ns) for name, camera in self._cameras.items()}
        self._open.append(_Set(stamp_ns, raw, self._generation, asks))
        return done

    def _close_ready(self) -> Pushed:
        """Closes the oldest sets, as long as they wait for nothing."""
        done = Pushed()
        while self._open and self._is_ready(self._open[0]):
            done = done.and_then(self._close(1))
        return done

    def _is_ready(self, one: _Set) -> bool:
        newer = self._open[-1]
        over = newer is not one and newer.stamp_ns - one.stamp_ns >= self._wait_ns
        if over or self._wait_ns == 0 or len(self._open) > MAX_OPEN:
            return True
        return all(camera.decided(one.asks[name]) for name, camera in self._cameras.items())

    def _close(self, count: int) -> Pushed:
        """Ends the wait of the oldest `count` sets."""
        done = Pushed()
        for one in self._open[:count]:
            done = done.and_then(self._closed(one))
        del self._open[:count]
        return done

    def _closed(self, one: _Set) -> Pushed:
        messages, stamps = {self._points: one.raw}, {self._points: one.stamp_ns}
        generations, masked = {self._points: one.generation}, {}
        notes: list[Note] = []
        for name, camera in self._cameras.items():
            image, reason, more = camera.take(one.asks[name])
            notes += more
            if image is None:
                masked[name] = reason
            else:
                messages[name], stamps[name], generations[name] = image.raw, image.stamp_ns, image.generation
        if masked:
            notes.append(Note("missing_views", Level.OK, "", self._points, len(masked)))
        if len(messages) - 1 < self._min_cameras:
            return Pushed(notes=(*notes, given_up_note(self._points, self._min_cameras)))
        sample = Sample(one.stamp_ns, one.generation, messages, stamps, generations, masked)
        return Pushed((sample,), tuple(notes))

    def _prune(self) -> None:
        for name, camera in self._cameras.items():
            camera.prune([one.asks[name].target_ns for one in self._open], self._sweep_ns)


def _check(
    points: str,
    cameras: Sequence[str],
    max_age_s: float,
    wait_s: float,
    min_cameras: int,
    offsets: Mapping[str, float],
) -> None:
    names = [points, *cameras]
    if len(set(names)) != len(names) or not all(names):
        raise ValueError(f"the streams are {', '.join(names)}; expected names, each once")
    if not 0 <= min_cameras <= len(cameras):
        raise ValueError(f"min_cameras is {min_cameras}; expected 0 to {len(cameras)}, the number of cameras")
    if max_age_s <= 0 or wait_s < 0:
        raise ValueError(f"max_age_s is {max_age_s:g} and wait_s {wait_s:g}; expected above 0, and 0 or more")
    for name in offsets:
        if name not in cameras:
            raise ValueError(f"an offset for the camera {name!r}; the cameras are {', '.join(cameras) or '(none)'}")
