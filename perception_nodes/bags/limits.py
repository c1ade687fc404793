"""Limits for untrusted bags: decompressed sizes and the parsing of message definitions.

rosbags decompresses a chunk whatever its size (197 kB of zstd took 12 GB), and its parser of message definitions takes
exponential time for nested brackets. Both are limited here, before the library reads the bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO, Any, TypeVar

from lz4.frame import LZ4FrameDecompressor
from rosbags.rosbag2 import reader as rosbags_reader
from rosbags.rosbag2 import storage_mcap

from perception_nodes.bags.errors import BagError

zstd: Any = rosbags_reader.zstd  # type: ignore[attr-defined]  # the standard library's from Python 3.14 on, backports.zstd before

T = TypeVar("T")

MAX_CHUNK = 512 << 20  # bytes of one decompressed chunk or message; rosbag2 writes chunks of 0.8 MB
FREE_CHUNK = 16 << 20  # below it, any ratio is accepted: empty pictures and clouds compress very well
MAX_RATIO = 200  # above it: decompressed over compressed bytes
MAX_DEFINITION = 64 << 10  # characters of one message definition; sensor_msgs/Image has 2 kB
MAX_CALLS = 1_500_000  # function calls to parse a bag's definitions: seconds; a definition of 20 fields takes 100,000
BLOCK = 1 << 20


def allowed_size(compressed: int) -> int:
    """The largest decompressed size that is accepted of so many compressed bytes."""
    return min(MAX_CHUNK, max(FREE_CHUNK, MAX_RATIO * compressed))


def decompress_zstd(data: bytes, size: int | None = None) -> bytes:
    """The content of a zstd frame. size: what it should have, where that is known. Raises BagError."""
    limit = _limit(len(data), size)
    decompressor = zstd.ZstdDecompressor()
    raw: bytes = decompressor.decompress(data, max_length=limit + 1)
    if len(raw) > limit:
        raise BagError(_too_large(len(data), limit))
    if not decompressor.eof:
        raise BagError(f"a zstd frame of {len(data)} bytes breaks off")
    return raw


def decompress_lz4(data: bytes, size: int | None = None) -> bytes:
    """`decompress_zstd` of an lz4 frame."""
    limit = _limit(len(data), size)
    raw: bytes = LZ4FrameDecompressor().decompress(data, max_length=limit + 1)
    if len(raw) > limit:
        raise BagError(_too_large(len(data), limit))
    return raw


def unpack_file(source: Path, target: Path, limit: int) -> None:
    """Decompresses a .zstd file. limit: bytes that `target` may take. Raises BagError; `target` is then removed."""
    written = 0
    try:
        with source.open("rb") as packed, zstd.open(packed, "rb") as stream, target.open("wb") as out:
            while block := stream.read(BLOCK):
                written += len(block)
                if written > limit:
                    raise BagError(f"{source} holds more than {limit >> 20} MB; unpack it with: zstd -d {source}")
                out.write(block)
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, (OSError, EOFError, zstd.ZstdError)):
            raise BagError(f"{source} cannot be unpacked: {' '.join(str(error).split())}") from None
        raise


def within_calls(parse: Callable[[], T], calls: int = MAX_CALLS) -> T:
    """The result of `parse`; TimeoutError after so many function calls on this thread."""
    left = calls

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal left
        if event == "call":
            left -= 1
            if left < 0:
                raise TimeoutError(f"more than {calls} function calls")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        return parse()
    finally:
        sys.setprofile(before)


def _limit(compressed: int, size: int | None) -> int:
    allowed = allowed_size(compressed)
    if size is None:
        return allowed
    if size > allowed:
        raise BagError(_too_large(compressed, allowed))
    return size


def _too_large(compressed: int, limit: int) -> str:
    return f"{compressed} compressed bytes stand for more than {limit} bytes: refused as a decompression bomb"


class _BoundedZstd:
    """What rosbags uses of its zstd module, bounded."""

    decompress = staticmethod(decompress_zstd)
    open: Callable[..., IO[bytes]] = staticmethod(zstd.open)


storage_mcap.DECOMPRESSORS.update(zstd=decompress_zstd, lz4=decompress_lz4)
rosbags_reader.zstd = _BoundedZstd  # type: ignore[assignment]
