"""What a compressed picture's own header says, read before any decoder allocates: format, size, whether it ends."""

from __future__ import annotations

from perception_nodes.messages.errors import MessageError

MAX_PIXELS = 64_000_000  # eight times a 4k picture; a forged header may claim 4 gigapixels
TAIL = 256  # some encoders pad the end with a few bytes
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # start-of-frame markers (the other three are tables)
_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length


def picture_size(data: bytes) -> tuple[int, int]:
    """(width, height) of a complete JPEG or PNG; raises MessageError if it is neither, cut short or absurdly large."""
    if data[:2] == b"\xff\xd8":
        width, height = _jpeg_size(data)
        if b"\xff\xd9" not in data[-TAIL:]:
            raise MessageError(f"a JPEG of {len(data)} bytes is truncated: its end marker is missing")
    elif data[:8] == PNG_MAGIC:
        if len(data) < 33:
            raise MessageError(f"a PNG of {len(data)} bytes is truncated")
        width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
        if b"IEND" not in data[-TAIL:]:
            raise MessageError(f"a PNG of {len(data)} bytes is truncated: its end chunk is missing")
    else:
        raise MessageError(f"{len(data)} bytes starting with {data[:4].hex() or '(nothing)'} are neither JPEG nor PNG")
    if not 0 < width * height <= MAX_PIXELS:
        raise MessageError(f"a picture of {width} x {height} pixels; expected 1 to {MAX_PIXELS} pixels")
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xFF:
            raise MessageError(f"a JPEG with a broken marker at byte {position}")
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _SOF:
            return int.from_bytes(data[position + 7 : position + 9], "big"), int.from_bytes(
                data[position + 5 : position + 7], "big"
            )
        position += 2 if marker in _STANDALONE else 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise MessageError(f"a JPEG of {len(data)} bytes is truncated: it breaks off before its size")
