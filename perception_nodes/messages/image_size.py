"""The headers of compressed pictures, checked before a decoder allocates: format, size, chunk lengths, end marker."""

from __future__ import annotations

from perception_nodes.messages.errors import MessageError

MAX_PIXELS = 64_000_000  # eight times a 4k picture; a forged header may claim 4 gigapixels
TAIL = 256  # some encoders pad the end with a few bytes
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
MAX_PNG_EXTRA = 1 << 20  # bytes of a chunk beside the pixels (colour profile, texts)
_PNG_NEEDED = {b"IHDR", b"PLTE", b"IDAT", b"IEND"}
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # start-of-frame markers (the other three are tables)
_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length


def picture_size(data: bytes) -> tuple[int, int]:
    """(width, height) of a complete JPEG or PNG; raises MessageError if it is neither, cut short or absurdly large."""
    if data[:2] == b"\xff\xd8":
        width, height = _jpeg_size(data)
        if b"\xff\xd9" not in data[-TAIL:]:
            raise MessageError(f"a JPEG of {len(data)} bytes is truncated: its end marker is missing")
    elif data[:8] == PNG_MAGIC:
        width, height = _png_size(data)
    else:
        raise MessageError(f"{len(data)} bytes starting with {data[:4].hex() or '(nothing)'} are neither JPEG nor PNG")
    if not 0 < width * height <= MAX_PIXELS:
        raise MessageError(f"a picture of {width} x {height} pixels; expected 1 to {MAX_PIXELS} pixels")
    return width, height


def has_exif(data: bytes) -> bool:
    """True for a JPEG whose first segments hold Exif data, which may say that the picture is to be turned."""
    return data[:2] == b"\xff\xd8" and b"Exif\x00\x00" in data[:64]


def _png_size(data: bytes) -> tuple[int, int]:
    """Walks all chunks: a decoder allocates what a chunk's length says (OpenCV 4 GB for 61 bytes)."""
    position, size = len(PNG_MAGIC), (0, 0)
    while position + 12 <= len(data):
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        end = position + 12 + length
        if end > len(data):
            break
        if position == len(PNG_MAGIC):
            if kind != b"IHDR" or length != 13:
                raise MessageError(f"a PNG of {len(data)} bytes begins with {kind!r} of {length} bytes, not with IHDR")
            size = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
        elif kind not in _PNG_NEEDED and length > MAX_PNG_EXTRA:
            raise MessageError(f"a PNG with a chunk {kind!r} of {length} bytes; at most {MAX_PNG_EXTRA} are accepted")
        if kind == b"IEND":
            return size
        position = end
    raise MessageError(f"a PNG of {len(data)} bytes is truncated: it breaks off before its end chunk")


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
