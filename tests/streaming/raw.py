"""Serialised messages whose stamp and number are known by hand, for the tests of inputs."""

import struct

MS = 1_000_000


def raw(stamp_ns: int, tag: str = "", little: bool = True) -> bytes:
    """CDR of a message that begins with a header; the tag follows."""
    order = "<" if little else ">"
    return b"\0" + bytes([little]) + b"\0\0" + struct.pack(order + "iI", *divmod(stamp_ns, 10**9)) + tag.encode()


def feed(source, rows, polls=()):
    """Pushes (stream, ms) one by one, tagged by their place; returns (samples, notes).

    polls: place -> ms of a poll after the row at that place.
    """
    polls = dict(polls)
    samples, notes = [], []
    for i, (stream, ms) in enumerate(rows):
        done = [source.push(stream, raw(round(ms * MS), f"{stream} {i}"))]
        if i in polls:
            done.append(source.poll(round(polls[i] * MS)))
        for one in done:
            samples += one.samples
            notes += one.notes
    return samples, notes


def views(sample):
    """{stream: ms} of a sample."""
    return {name: stamp / MS for name, stamp in sample.stamps.items()}


def counts(notes):
    """{counter: times} of the notes."""
    found: dict[str, int] = {}
    for note in notes:
        found[note.counter] = found.get(note.counter, 0) + note.by
    return found
