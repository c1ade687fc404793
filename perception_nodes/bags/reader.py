"""Reading rosbag2: streamed, never whole in memory; a damaged bag raises one clear `BagError`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from rosbags.interfaces import Connection, MessageDefinitionFormat
from rosbags.rosbag2 import Reader
from rosbags.typesys import get_types_from_idl, get_types_from_msg

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.files import Unpacked, storage_path
from perception_nodes.bags.limits import MAX_DEFINITION, within_calls
from perception_nodes.bags.qos import TopicQos, qos_of
from perception_nodes.bags.typestore import new_typestore, typestore
from perception_nodes.messages.clock import parse_json

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # CDR begins with 00 00 to 00 0b


class BagMessage(NamedTuple):
    """One stored message: CDR bytes and the time (ns) at which it was recorded."""

    topic: str
    type: str
    stamp_ns: int
    raw: bytes


@dataclass(frozen=True)
class Topic:
    """A topic of a bag. `known`: its messages can be decoded here; `qos`: what a player should offer."""

    name: str
    type: str
    count: int
    qos: TopicQos
    known: bool


class BagReader:
    """An open bag: a folder, or a single .mcap or .db3 file. Use as a context manager; raises BagError."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._unpacked = Unpacked(storage_path(self.path))
        with self._clear_errors("cannot be opened"):
            self._reader = Reader(self._unpacked.path)
            self._reader.open()
            counts = [self._reader.message_count, *(c.msgcount for c in self._reader.connections)]
            if not all(isinstance(n, int) and 0 <= n < 1 << 63 for n in counts):
                raise BagError(f"the bag {self.path} has a message count that is not a whole number")
        self._store = typestore()
        self._topics = self._read_topics()

    @property
    def start_ns(self) -> int:
        """Time of the first message (0 for an empty bag)."""
        return int(self._reader.start_time) if self.count else 0

    @property
    def end_ns(self) -> int:
        """Time of the last message (0 for an empty bag)."""
        return int(self._reader.end_time) - 1 if self.count else 0

    @property
    def duration_s(self) -> float:
        return (self.end_ns - self.start_ns) * 1e-9

    @property
    def count(self) -> int:
        return int(self._reader.message_count)

    @property
    def notes(self) -> dict[str, str]:
        """The remarks that the writer left (custom_data)."""
        custom = getattr(self._reader.storage.metadata, "custom", None)
        return dict(custom) if isinstance(custom, dict) else {}

    def note_table(self, key: str) -> dict[str, Any]:
        """A remark that holds a JSON object; empty where there is none. Raises BagError for anything else."""
        text = self.notes.get(key)
        if text is None:
            return {}
        try:
            content = parse_json(text)
        except (ValueError, TypeError) as err:
            raise BagError(f"the bag {self.path}: its remark {key!r} is not JSON: {_one_line(err)}") from None
        if not isinstance(content, dict):
            raise BagError(f"the bag {self.path}: its remark {key!r} is not a JSON object")
        return content

    def topics(self) -> dict[str, Topic]:
        """Every topic of the bag by name."""
        return dict(self._topics)

    def topics_of(self, type_name: str) -> list[str]:
        """Names of the topics of a type, sorted."""
        return sorted(t.name for t in self._topics.values() if t.type == type_name)

    def require(self, type_name: str) -> list[str]:
        """`topics_of`, or BagError naming what the bag holds instead."""
        names = self.topics_of(type_name)
        if names:
            return names
        held = ", ".join(f"{t.name} ({t.type})" for t in self._topics.values()) or "no topic at all"
        raise BagError(f"the bag {self.path} has no topic of type {type_name}; it holds {held}")

    def unknown(self) -> list[str]:
        """One sentence for each topic that cannot be decoded here, naming topic and type."""
        return [
            f"skipping topic {t.name}: its message type {t.type} is not known here"
            for t in self._topics.values()
            if not t.known
        ]

    def messages(
        self, topics: Collection[str] | None = None, start: float = 0.0, duration: float | None = None
    ) -> Iterator[BagMessage]:
        """Messages in order of time, read as they are asked for.

        `topics` None: all. `start` s after the bag's first message; `duration` s from there on (None: to the end).
        """
        wanted = set(self._topics) if topics is None else set(topics)
        missing = wanted - set(self._topics)
        if missing:
            have = ", ".join(sorted(self._topics)) or "(none)"
            raise BagError(f"the bag {self.path} has no topic {sorted(missing)[0]}; its topics are {have}")
        connections = [c for c in self._reader.connections if c.topic in wanted]
        if not connections or not self.count:
            return
        first = self.start_ns + round(start * 1e9)
        last = None if duration is None else first + round(duration * 1e9)
        with self._clear_errors("breaks off while being read"):
            for connection, stamp, raw in self._reader.messages(connections, start=first, stop=last):
                if raw[:4] == ZSTD_MAGIC:
                    raise BagError(
                        f"the bag {self.path} holds messages that were compressed one by one, and no metadata.yaml "
                        "says so; give the bag's folder, or convert it: ros2 bag convert with compression_mode: file"
                    )
                yield BagMessage(connection.topic, connection.msgtype, int(stamp), raw)

    def decode(self, raw: bytes, type_name: str) -> Any:
        """A rosbags message of stored bytes; raises BagError for unknown types and bytes that do not fit."""
        if type_name not in self._store.fielddefs:
            raise BagError(f"the message type {type_name} is not known here")
        try:
            return self._store.deserialize_cdr(raw, type_name)
        except Exception as err:  # rosbags lets struct, numpy and index errors out on foreign bytes
            raise BagError(f"{len(raw)} bytes are no {type_name}: {_one_line(err)}") from err

    def close(self) -> None:
        if self._reader.is_open:
            self._reader.close()
        self._unpacked.close()

    def _read_topics(self) -> dict[str, Topic]:
        try:
            within_calls(self._learn_types)
        except TimeoutError:  # the types that are not learnt by then stay unknown, and their topics are named
            pass
        topics: dict[str, Topic] = {}
        for c in self._reader.connections:
            known = c.msgtype in self._store.fielddefs
            offered = list(getattr(c.ext, "offered_qos_profiles", []))
            count = c.msgcount + (topics[c.topic].count if c.topic in topics else 0)
            topics[c.topic] = Topic(c.topic, c.msgtype, count, qos_of(c.topic, c.msgtype, offered), known)
        return topics

    def _learn_types(self) -> None:
        for connection in self._reader.connections:
            self._learn(connection)

    def _learn(self, connection: Connection) -> None:
        """Add an unknown type from the definition that newer bags carry; a bad definition leaves it unknown."""
        if connection.msgtype in self._store.fielddefs or not 0 < len(connection.msgdef.data) <= MAX_DEFINITION:
            return
        try:
            if connection.msgdef.format == MessageDefinitionFormat.IDL:
                types = get_types_from_idl(connection.msgdef.data)
            else:
                types = get_types_from_msg(connection.msgdef.data, connection.msgtype)
            if self._store is typestore():
                self._store = new_typestore()
            self._store.register({k: v for k, v in types.items() if k not in self._store.fielddefs})
        except Exception:  # a foreign definition: the topic is reported as unknown
            return

    @contextmanager
    def _clear_errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except BagError:
            raise
        except Exception as err:  # rosbags lets struct, yaml, sqlite, zstd and unicode errors out on foreign bytes
            raise BagError(f"the bag {self.path} {what}: {_one_line(err)}") from err

    def __enter__(self) -> BagReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _one_line(err: BaseException) -> str:
    return " ".join(str(err).split())[:300] or type(err).__name__
