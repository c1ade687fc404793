"""A system at work: sample in, messages out. The node and the offline run both hold a `Runner`. No ROS, no threads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from perception_nodes.bags.typestore import make, to_bytes
from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.messages.errors import MessageError
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.inputs import Note, Sample
from perception_nodes.streaming.stopwatch import Stopwatch
from perception_nodes.systems.placing import PlacedCamera, open_calibration, place_cameras
from perception_nodes.systems.system import Answer, Moment, Network, Output, System

Wanted = Collection[tuple[str, str]]  # (name of an output, stream or "")


class Made(NamedTuple):
    """One message to send. stream: the camera, for an output with one topic each, else ""."""

    output: Output
    stream: str
    raw: bytes


class Heard(NamedTuple):
    """Who is told what happened to a sample: notes, streams that could not be decoded, numbers for /diagnostics."""

    note: Callable[[Note], None]
    reject: Callable[[str, MessageError], None]
    figure: Callable[[str, int | float | str], None]

    def tell(self, notes: Iterable[Note], figures: Mapping[str, int | float | str]) -> None:
        """Passes on notes and numbers."""
        for note in notes:
            self.note(note)
        for key, value in figures.items():
            self.figure(key, value)


def encoded(output: Output, values: Mapping[str, Any] | bytes) -> bytes:
    """A message of an output as CDR bytes: the same live and offline, with or without ROS."""
    return values if isinstance(values, bytes) else to_bytes(make(output.type, **values))


class Runner:
    """A session and what turns samples into messages.

    Args:
        system: the declaration. config: its parameters; replace `config` when a live one changes.
        open_session: used instead of `system.open`.

    Raises whatever opening the session raises.
    """

    def __init__(self, system: System, config: Any, open_session: Callable[[Any], Any] | None = None) -> None:
        self.system, self.config = system, config
        self.session = (open_session or system.open)(config)
        self.calibration = open_calibration(config) if system.inputs.calibrated else None  # fed by who reads messages
        self._prepare = system.prepare(config) if system.prepare is not None else None
        self.kinds: dict[str, str] = {}  # stream -> ROS type of its messages, set by who reads them
        self.outputs = tuple(o for o in system.outputs if o.offered is None or o.offered(self.session))
        self._answered = system.inputs.answered(config)
        self._cameras = tuple(config.cameras) if system.inputs.cameras else ()
        self._generation: int | None = None
        self._generations: dict[str, int] = {}

    @property
    def networks(self) -> tuple[Network, ...]:
        """The session's networks, the main one first."""
        return tuple(self.system.networks(self.session, self.config))

    def wanted(self, names: Collection[str]) -> Wanted:
        """(output, stream) of all messages of the outputs with these names."""
        return {(o.name, stream) for o in self.outputs if o.name in names for stream in self.streams_of(o)}

    def streams_of(self, output: Output) -> tuple[str, ...]:
        """The streams that have a topic of their own for this output; ("",) where all share one."""
        return self._cameras if "{stream}" in output.own_name else ("",)

    def name_of(self, output: Output, stream: str) -> str:
        """Name of a topic in the node; of the only camera without the camera's name."""
        return output.own_name.replace("{stream}/", f"{stream}/" if len(self._cameras) > 1 else "")

    def topic_of(self, output: Output, stream: str) -> str:
        """Name of a topic in the stack; of one that has none there, in the node of the system's name."""
        return output.topic or self.name_of(output, stream).replace("~", f"/{self.system.node_name}", 1)

    def warm_up(self) -> None:
        """Runs the networks once on made-up data and forgets it."""
        self.system.warm_up(self.session, self.config)
        self.reset()

    def reset(self, stream: str | None = None) -> None:
        """Forgets the past of one stream, or of all."""
        self.system.reset(self.session, stream)
        if stream is None and self._prepare is not None:
            self._prepare.reset()

    def tables(self) -> Iterator[tuple[Output, bytes]]:
        """The class tables that travel with the outputs, as serialised std_msgs/String."""
        for output in self.outputs:
            if output.classes is not None:
                yield output, to_bytes(make("std_msgs/msg/String", data=output.classes(self.session)))

    def process(self, sample: Sample, wanted: Wanted, watch: Stopwatch, heard: Heard) -> Iterator[Made]:
        """Decodes a sample, steps the network, encodes what is wanted; messages come as they are made.

        A stream that cannot be decoded is masked. Without any of the streams that are answered there is no step.
        After a step that failed everything is forgotten, since the past has a hole; the error goes on.
        """
        self._follow(sample)
        if not wanted:
            self.reset()  # nothing is computed, so the past has a hole
            return
        with watch.stage("preprocess"):
            moment = self._decode(sample, heard)
        if moment is None:
            return
        with watch.stage("inference"):
            try:
                result = self.system.step(self.session, moment)
            except CalibrationError as error:
                heard.note(Note("uncalibrated", Level.ERROR, f"not answered: {error}", self._answered[0]))
                return
            except BaseException:
                self.reset()
                raise
        for note in self.system.notes(result):
            heard.note(note)
        yield from self._encode(result, moment, wanted, watch)

    def _follow(self, sample: Sample) -> None:
        """Resets what a gap or a jump in the stamps made worthless."""
        if self._generation not in (None, sample.generation):
            self.reset()
            self._generations.update(sample.generations)
        self._generation = sample.generation
        for stream, generation in sample.generations.items():
            if self._generations.setdefault(stream, generation) != generation:
                self._generations[stream] = generation
                self.reset(stream)

    def _decode(self, sample: Sample, heard: Heard) -> Moment | None:
        values: dict[str, Any] = {}
        for stream, raw in sample.messages.items():
            try:
                decoded = self.system.decode(stream, self.kinds[stream], raw, self.config)
            except MessageError as error:
                at = sample.stamps[stream]
                named = MessageError(f"{error} (stamp {at // 10**9}.{at % 10**9 // 10**6:03d})")
                heard.reject(stream, named.with_traceback(error.__traceback__))
                sample = sample.without({stream: str(error)})
                continue
            values[stream] = decoded.value
            heard.tell(decoded.notes, decoded.figures)
        if not any(stream in values for stream in self._answered):
            return None
        placed: dict[str, PlacedCamera] = {}
        if self.calibration is not None:
            placed, lacks = place_cameras(self.calibration, values, sample.stamps, self._cameras)
            for camera, reason in lacks.items():
                text = f"camera {camera}: {reason}: its view is not used"
                heard.note(Note("uncalibrated_views", Level.WARN, text, camera))
                del values[camera]
            sample = sample.without(lacks)
        moment = Moment(sample.stamp_ns, values, sample.stamps, sample.masked, placed, self.calibration)
        if self._prepare is None:
            return moment
        prepared = self._prepare(moment)
        heard.tell(prepared.notes, prepared.figures)
        return replace(moment, values=prepared.values)

    def _encode(self, result: Any, moment: Moment, wanted: Wanted, watch: Stopwatch) -> Iterator[Made]:
        for stream in ("", *(name for name in moment.values if name in self._cameras)):
            for output in self.outputs:
                own_topic = stream if "{stream}" in output.own_name else ""
                if output.each != bool(stream) or (output.name, own_topic) not in wanted:
                    continue
                with watch.stage("postprocess"):
                    values = output.encode(Answer(result, moment, stream, self.session, self.config))
                    raw = None if values is None else encoded(output, values)
                if raw is not None:
                    yield Made(output, own_topic, raw)
