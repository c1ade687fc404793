"""Writing rosbag2: streamed, atomic. Nothing half-written is left in place."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sqlite3
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.qos import TopicQos, default_qos, to_rosbags
from perception_nodes.bags.typestore import to_bytes, typestore

STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
# Version 8 metadata is read by every distribution from Humble on; 9 writes QoS in a form that older ones refuse.
METADATA_VERSION: Literal[8, 9] = 8


class BagWriter:
    """Write messages into a new bag folder; use as a context manager.

        with BagWriter("drive", compression="zstd") as bag:
            bag.write("/lidar/points", message, stamp_ns)

    Messages go into a hidden folder beside the target, which takes its name only when the bag is complete; an
    exception (Ctrl-C included) removes it. Memory is bounded: MCAP chunks of 1 MB, an sqlite3 transaction on disk.
    """

    def __init__(
        self, path: str | Path, storage: str = "mcap", compression: str | None = None, overwrite: bool = False
    ) -> None:
        """`compression` "zstd": MCAP's chunks or, for sqlite3, each message. Raises BagError."""
        self.path = Path(path).absolute()
        if storage not in STORAGES:
            raise BagError(f"unknown bag storage {storage!r}; choose one of {', '.join(STORAGES)}")
        if storage == "sqlite3" and set("?#%") & set(str(self.path)):
            raise BagError(f"{self.path}: sqlite3 bags cannot have ?, # or % in their path; choose another or use mcap")
        if compression not in (None, "zstd"):
            raise BagError(f"unknown bag compression {compression!r}; choose 'zstd' or none")
        if self.path.exists() and not overwrite:
            raise BagError(f"{self.path} exists already; choose another name or remove it first")
        self.count = 0
        self._connections: dict[str, Any] = {}
        self._writer: Writer | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _sweep_leftovers(self.path)
            self._work = self.path.with_name(f".{self.path.name}.{os.getpid()}.{secrets.token_hex(4)}.partial")
            # Before the folder exists, and also at the interpreter's end: a signal may come before the `with` block.
            self._remove = weakref.finalize(self, shutil.rmtree, self._work, ignore_errors=True)
            self._work.mkdir(mode=0o700)
            writer = Writer(self._work / self.path.name, version=METADATA_VERSION, storage_plugin=STORAGES[storage])
            if compression:
                mode = CompressionMode.STORAGE if storage == "mcap" else CompressionMode.MESSAGE
                writer.set_compression(mode, CompressionFormat.ZSTD)
            writer.open()
        except OSError as err:
            self.discard()
            raise BagError(f"cannot write a bag at {self.path}: {err.strerror or err}") from err
        self._writer = writer

    def add_topic(self, topic: str, type_name: str, qos: TopicQos | None = None) -> None:
        """Announce a topic (`write` does so by itself). `qos` None: the default for its name and type."""
        writer = self._open_writer()
        if topic in self._connections:
            known = self._connections[topic].msgtype
            if known != type_name:
                raise BagError(f"topic {topic} holds {known}; a message of {type_name} cannot be written to it")
            return
        if type_name not in typestore().fielddefs:
            raise BagError(f"topic {topic}: the message type {type_name} is not known here, so it cannot be recorded")
        profile = to_rosbags(qos or default_qos(topic, type_name))
        self._connections[topic] = writer.add_connection(
            topic, type_name, typestore=typestore(), offered_qos_profiles=[profile]
        )

    def write(self, topic: str, message: Any, stamp_ns: int, type_name: str | None = None) -> None:
        """Append a rosbags message, or CDR bytes with their `type_name`, at `stamp_ns` (ns, the bag's time)."""
        writer = self._open_writer()
        if isinstance(message, (bytes, bytearray, memoryview)):
            raw = bytes(message)
            if topic not in self._connections and type_name is None:
                raise BagError(f"topic {topic}: bytes need the message type's name on their first write")
        else:
            type_name = getattr(message, "__msgtype__", None)
            if type_name is None:
                kind = type(message).__name__
                raise BagError(f"topic {topic}: a {kind} is not a rosbags message; give serialised bytes and a type")
            raw = to_bytes(message)
        if type_name is not None:
            self.add_topic(topic, type_name)
        try:
            writer.write(self._connections[topic], int(stamp_ns), raw)
        except (OSError, sqlite3.Error) as err:
            self.discard()
            raise BagError(f"cannot write to {self.path}: {_reason(err)}; nothing was left behind") from err
        self.count += 1

    def note(self, key: str, value: str) -> None:
        """A remark that travels in the bag's metadata (custom_data): the seed, the source, an assumption."""
        self._open_writer().set_custom_data(key, value)

    def close(self) -> None:
        """Complete the bag and give it its name. Does nothing if closed or discarded already."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        try:
            writer.close()
            if self.path.exists():
                shutil.rmtree(self.path) if self.path.is_dir() else self.path.unlink()
            (self._work / self.path.name).rename(self.path)
        except (OSError, sqlite3.Error) as err:
            with contextlib.suppress(OSError, sqlite3.Error):
                writer.abort()
            raise BagError(f"cannot complete {self.path}: {_reason(err)}; nothing was left behind") from err
        finally:
            self._remove()

    def discard(self) -> None:
        """Drop everything written so far."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(OSError, sqlite3.Error):  # on a full disk the file's buffer cannot be written
                writer.abort()
        if hasattr(self, "_remove"):
            self._remove()

    def _open_writer(self) -> Writer:
        if self._writer is None:
            raise BagError(f"the bag {self.path} is closed already")
        return self._writer

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def _reason(error: Exception) -> str:
    """The system's own sentence; sqlite3 has one of its own for a full disk."""
    return str(getattr(error, "strerror", None) or error)


def _sweep_leftovers(path: Path) -> None:
    """Remove the hidden folders of writers of this bag that were killed (their process is gone)."""
    for left in path.parent.glob(f".{path.name}.*.partial"):
        pid = left.name[len(path.name) + 2 :].split(".")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(left, ignore_errors=True)
