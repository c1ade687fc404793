"""What lies at a bag's path, said clearly before any parser sees it; truncated MCAP files are recognised here."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from perception_nodes.bags.errors import BagError

MCAP_MAGIC = b"\x89MCAP0\r\n"
SQLITE_MAGIC = b"SQLite format 3\x00"
HOW_TO_CONVERT = "ROS 1 bags are converted by `rosbags-convert --src IN.bag --dst OUT`"
OP_MESSAGE, OP_CHUNK, OP_MESSAGE_INDEX = 0x05, 0x06, 0x07


def storage_path(path: Path) -> Path:
    """What to hand to the reader: the bag folder, or the one storage file in a folder without metadata.yaml.

    Raises BagError where there is no bag, or a file is cut short.
    """
    if not path.exists():
        raise BagError(f"there is no bag at {path}; give a rosbag2 folder, a .mcap or a .db3 file")
    if not path.is_dir():
        _check_file(path)
        return path
    files = sorted(f for f in path.iterdir() if f.suffix in (".mcap", ".db3"))
    has_metadata = (path / "metadata.yaml").is_file()
    packed = any(f.suffix == ".zstd" for f in path.iterdir())
    if not files and not (has_metadata and packed):
        found = ", ".join(sorted(f.name for f in path.iterdir())[:5]) or "nothing"
        raise BagError(f"{path} is no rosbag2 folder: it should hold a .mcap or .db3 file, but holds {found}")
    for file in files:
        _check_file(file)
    if has_metadata:
        return path
    if len(files) > 1:
        raise BagError(f"{path} has {len(files)} storage files and no metadata.yaml; run `ros2 bag reindex {path}`")
    return files[0]


def _check_file(path: Path) -> None:
    """Raises BagError unless the file looks like a complete MCAP or an sqlite3 bag."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
            if path.suffix == ".mcap" and head[:8] == MCAP_MAGIC:
                _check_mcap_end(path, file)
                return
    except OSError as err:
        raise BagError(f"cannot read {path}: {err.strerror or err}") from err
    if not head:
        raise BagError(f"{path} is empty; the recording was cut off before its first message")
    if path.suffix == ".db3" and head == SQLITE_MAGIC:
        return
    if path.suffix == ".bag" or head.startswith(b"#ROSBAG"):
        raise BagError(f"{path} is a ROS 1 bag; {HOW_TO_CONVERT}")
    raise BagError(f"{path} is neither an MCAP file nor an sqlite3 bag")


def _check_mcap_end(path: Path, file: BinaryIO) -> None:
    size = file.seek(0, 2)
    file.seek(max(size - 8, 8))
    if file.read() != MCAP_MAGIC:
        raise BagError(
            f"{path} is truncated: it breaks off after {count_whole_messages(file)} whole messages, without an index;"
            f" repair it with `mcap recover {path.name} -o repaired.mcap` or record it again"
        )


def count_whole_messages(file: BinaryIO) -> int:
    """Messages in the complete records of a cut-off MCAP file, read off its record headers and chunk indexes."""
    size = file.seek(0, 2)
    position, count = 8, 0
    while position + 9 <= size:
        file.seek(position)
        op, length = struct.unpack("<BQ", file.read(9))
        end = position + 9 + length
        if end > size:
            break
        if op == OP_MESSAGE:
            count += 1
        elif op == OP_MESSAGE_INDEX and length >= 6:
            count += struct.unpack("<HI", file.read(6))[1] // 16
        position = end
    return count
