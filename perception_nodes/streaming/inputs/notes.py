"""The words for what an input has to report about stamps; the counters are keys of /diagnostics."""

from __future__ import annotations

from perception_nodes.streaming.clock import StampKind, StampVerdict
from perception_nodes.streaming.health import Level
from perception_nodes.streaming.inputs.sample import Note

NEVER = "no image yet"


def verdict_notes(verdict: StampVerdict, stream: str, of: str = "") -> tuple[Note, ...]:
    """What one judged stamp gives to count and to report; `of` begins the sentence ("camera left: ")."""
    kind, step = verdict.kind, f"{verdict.delta_s:+.3f} s"
    notes = []
    if verdict.missed:
        notes.append(Note("missed_frames", Level.OK, "", stream, verdict.missed))
    if kind is StampKind.GAP:
        notes.append(Note("gaps", Level.WARN, f"{of}gap of {step} in the stamps: state reset", stream))
    elif kind is StampKind.JUMP_BACK:
        sentence = f"{of}stamps jumped back ({step}): state reset"
        notes.append(Note("time_jumps", Level.WARN, sentence, stream, log=True))
    elif kind is StampKind.DUPLICATE:
        notes.append(Note("duplicates", Level.WARN, f"{of}duplicate stamps are dropped", stream))
    elif kind is StampKind.LATE:
        notes.append(Note("out_of_order", Level.WARN, f"{of}messages out of order are dropped", stream))
    return tuple(notes)


def masked_note(camera: str, reason: str) -> Note:
    """A view that came and is not used."""
    return Note("masked_views", Level.WARN, f"camera {camera}: {reason}: its view is not used", camera)


def given_up_note(stream: str, min_cameras: int) -> Note:
    """A set with too few views."""
    sentence = f"fewer than collect.min_cameras={min_cameras} cameras: set given up"
    return Note("sets_given_up", Level.WARN, sentence, stream)


def distance(delta_ns: int) -> str:
    """How far a stamp is from where it should be: behind (negative) or ahead."""
    seconds = abs(delta_ns) * 1e-9
    return f"stamped {seconds:.2f} s in the future" if delta_ns > 0 else f"stale, {seconds:.2f} s old"
