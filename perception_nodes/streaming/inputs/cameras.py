"""Images of several cameras -> one sample per moment (`streaming/collector.py` says how)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from perception_nodes.messages.header import header_stamp_ns
from perception_nodes.streaming.collector import ViewCollector, ViewSet
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.inputs.notes import given_up_note, masked_note, verdict_notes
from perception_nodes.streaming.inputs.sample import IMAGE, Note, Pushed, Sample, Stream


class CameraInputs:
    """Sets of images of one moment; each camera has a generation of its own, the sample's stays 0.

    Args: see `ViewCollector`.

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
        times = (gap_periods, jump_back_s, jump_back_periods)
        self._collector: ViewCollector[bytes] = ViewCollector(cameras, max_age_s, min_cameras, absent_sets, *times)
        self._min_cameras = min_cameras

    @property
    def streams(self) -> tuple[Stream, ...]:
        """One topic a camera."""
        return tuple(Stream(name, IMAGE) for name in self._collector.cameras)

    def push(self, stream: str, raw: bytes, now_ns: int | None = None) -> Pushed:
        """See `Input`; an image further from `now_ns` than `max_age_s`, past or future, is masked."""
        admission = self._collector.put(stream, header_stamp_ns(raw), raw, now_ns)
        of = f"camera {stream}: " if len(self._collector.cameras) > 1 else ""
        notes = [*verdict_notes(admission.verdict, stream, of)]
        if admission.masked:
            notes.append(masked_note(stream, admission.masked))
        return self._pushed(stream, admission.sets, admission.given_up, notes)

    def poll(self, now_ns: int) -> Pushed:
        """Never gives a sample: sets are closed by the images that come, live and offline alike."""
        return Pushed()

    def flush(self) -> Pushed:
        """The sets under way, as they are."""
        sets, given_up = self._collector.flush()
        return self._pushed(self._collector.cameras[0], sets, given_up, [])

    def expect_jump(self) -> None:
        """See `Input`."""
        self._collector.expect_jump()

    def lacking(self) -> dict[str, str]:
        """Camera -> why it has not been in the last `absent_sets` sets."""
        return self._collector.lacking()

    def _pushed(self, stream: str, sets: Iterable[ViewSet[bytes]], given_up: int, notes: list[Note]) -> Pushed:
        notes += [given_up_note(stream, self._min_cameras)] * given_up
        samples = [_sample(views) for views in sets]
        missing = sum(len(sample.masked) for sample in samples)
        if missing:
            notes.append(Note("missing_views", Level.OK, "", stream, missing))
        return Pushed(tuple(samples), tuple(notes))


def _sample(views: ViewSet[bytes]) -> Sample:
    each = views.views
    return Sample(
        stamp_ns=views.stamp_ns,
        generation=0,
        messages={name: view.item for name, view in each.items()},
        stamps={name: view.stamp_ns for name, view in each.items()},
        generations={name: view.generation for name, view in each.items()},
        masked=dict(views.lacks),
    )
