"""Checks what is at a bag's path before a parser reads it, with clear errors; recognises truncated MCAP files."""

from __future__ import annotations

import shutil
import struct
import tempfile
from pathlib import Path
from typing import BinaryIO

import yaml

from models.yaml_file import YamlError, check_yaml
from perception_nodes.bags.errors import BagError
from perception_nodes.bags.limits import MAX_RATIO, unpack_file

MCAP_MAGIC = b"\x89MCAP0\r\n"
SQLITE_MAGIC = b"SQLite format 3\x00"
HOW_TO_CONVERT = "ROS 1 bags are converted by `rosbags-convert --src IN.bag --dst OUT`"
MAX_METADATA, MAX_METADATA_NODES = 8 << 20, 200_000  # bytes and values of metadata.yaml
SPARE_DISK = 1 << 30  # bytes that stay free when a packed bag is unpacked
OP_MESSAGE, OP_CHUNK, OP_MESSAGE_INDEX = 0x05, 0x06, 0x07


def storage_path(path: Path) -> Path:
    """The path for the reader: the bag folder, or the one storage file in a folder without metadata.yaml.

    Raises BagError where there is no bag, or a file is cut short.
    """
    if not path.exists():
        raise BagError(f"there is no bag at {path}; give a rosbag2 folder, a .mcap or a .db3 file")
    if not path.is_dir():
        if path.suffix != ".zstd":
            _check_file(path)
        return path
    files = sorted(f for f in path.iterdir() if f.suffix in (".mcap", ".db3"))
    has_metadata = (path / "metadata.yaml").is_file()
    packed = sorted(f for f in path.iterdir() if f.suffix == ".zstd")
    if not files and not has_metadata and len(packed) == 1:
        return packed[0]
    if not files and not (has_metadata and packed):
        found = ", ".join(sorted(f.name for f in path.iterdir())[:5]) or "nothing"
        raise BagError(f"{path} is not a rosbag2 folder: it should hold a .mcap or .db3 file, but holds {found}")
    for file in files:
        _check_file(file)
    if has_metadata:
        _check_metadata(path / "metadata.yaml")
        return path
    if len(files) > 1:
        raise BagError(f"{path} has {len(files)} storage files and no metadata.yaml; run `ros2 bag reindex {path}`")
    return files[0]


class Unpacked:
    """The storage at `path`, with .zstd files unpacked into a temporary folder that `close` removes.

    path: what the reader opens. Raises BagError where a file cannot be unpacked or would fill the disk.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        files = [path] if path.is_file() else sorted(path.iterdir())
        packed = [f for f in files if f.suffix == ".zstd"]
        if not packed:
            return
        self._folder = tempfile.TemporaryDirectory(prefix="perception_bag_")
        try:
            self.path = self._unpack(path, packed, Path(self._folder.name))
        except BaseException:
            self.close()
            raise

    def _unpack(self, path: Path, packed: list[Path], folder: Path) -> Path:
        for file in packed:
            free = shutil.disk_usage(folder).free - SPARE_DISK
            target = folder / file.stem
            unpack_file(file, target, max(0, min(free, (1 << 30) + MAX_RATIO * file.stat().st_size)))
            if target.suffix not in (".mcap", ".db3"):
                raise BagError(f"{file} is not a packed bag: its name should end with .mcap.zstd or .db3.zstd")
            _check_file(target)
        if path.is_file():
            return folder / packed[0].stem
        content = yaml.safe_load((path / "metadata.yaml").read_text())
        information = content.get("rosbag2_bagfile_information") if isinstance(content, dict) else None
        information = information if isinstance(information, dict) else {}
        names = information.get("relative_file_paths")
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise BagError(f"{path}/metadata.yaml names no files; run `ros2 bag reindex {path}`")
        for file in path.iterdir():  # files that are not packed
            if file.suffix in (".mcap", ".db3"):
                (folder / file.name).symlink_to(file.resolve())
        information.update(
            relative_file_paths=[Path(n).stem if n.endswith(".zstd") else n for n in names],
            compression_mode="",
            compression_format="",
        )
        (folder / "metadata.yaml").write_text(yaml.safe_dump(content))
        return folder

    def close(self) -> None:
        """Removes what was unpacked."""
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _check_metadata(path: Path) -> None:
    """Raises BagError for a metadata.yaml that is too large to be read."""
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_METADATA else None
        if data is None:
            raise BagError(f"{path} is larger than {MAX_METADATA >> 20} MB; run `ros2 bag reindex {path.parent}`")
        check_yaml(data.decode("utf-8"), MAX_METADATA_NODES)
    except (YamlError, UnicodeDecodeError) as err:
        raise BagError(f"{path}: {err}; run `ros2 bag reindex {path.parent}`") from None
    except yaml.YAMLError:
        return  # the reader says what is wrong with it
    except OSError as err:
        raise BagError(f"cannot read {path}: {err.strerror or err}") from None


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
