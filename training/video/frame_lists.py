"""Videos as folders of frames, and lists of them, as Kinetics, Something-Something and Jester are commonly prepared.

A list has one video a line: `path num_frames label`; frames are numbered from 1 and named by a template
(`img_{:05d}.jpg`). `python -m training.video.frame_lists runs/video/train OUT.txt` writes the list of a rendered video
cache (the label is the event under way in the middle of each clip).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.facts import ModelError

TEMPLATES = {"kinetics": "img_{:05d}.jpg", "something": "{:06d}.jpg", "jester": "{:05d}.jpg"}
LEAST = 3  # frames; shorter videos are not trained on


@dataclass(frozen=True)
class Video:
    """One line of a list: folder of frames, how many there are, class id."""

    folder: Path
    frames: int
    label: int

    def image(self, index: int, template: str = TEMPLATES["kinetics"]) -> NDArray[np.uint8]:
        """Frame `index` (0-based) as uint8 [H, W, 3] RGB. Raises ModelError where it is missing or damaged."""
        import cv2

        path = self.folder / template.format(index + 1)
        found = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if found is None:
            there = sum(1 for _ in self.folder.glob("*")) if self.folder.is_dir() else 0
            raise ModelError(
                f"{path} is missing or no picture; the list says {self.frames} frames, the folder holds {there} files: "
                "extract the video again or correct the list and the template"
            )
        return np.ascontiguousarray(found[..., ::-1])


def read_list(
    path: str | Path, root: str | Path | None = None, classes: int | None = None, least: int = 1
) -> list[Video]:
    """Videos of a list file; folders are relative to `root` (default: the list's own folder).

    classes: labels must be below it · least: shorter videos are dropped (training: LEAST). Raises ModelError naming the
    line for what is not a `path num_frames label`, and where nothing is left.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"no list {path}; expected a text file with lines `path num_frames label`")
    base = Path(root) if root is not None else path.parent
    videos = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip():
            continue
        parts = line.rsplit(maxsplit=2)
        if len(parts) != 3 or not parts[1].isdigit() or not parts[2].isdigit():
            raise ModelError(f"{path}, line {number}: {line[:80]!r} is not a `path num_frames label`")
        video = Video(base / parts[0], int(parts[1]), int(parts[2]))
        if classes is not None and video.label >= classes:
            raise ModelError(f"{path}, line {number}: label {video.label}, the network has {classes} classes (from 0)")
        if video.frames >= least:
            videos.append(video)
    if not videos:
        raise ModelError(f"{path} lists no video of at least {least} frames; expected lines `path num_frames label`")
    return videos


def write_list(path: str | Path, videos: Iterable[Video], root: str | Path) -> int:
    """Writes a list with folders relative to `root`; how many lines."""
    lines = [f"{v.folder.relative_to(root)} {v.frames} {v.label}" for v in videos]
    Path(path).write_text("\n".join(lines) + "\n")
    return len(lines)


def cache_videos(root: str | Path, split: str) -> list[Video]:
    """The clips of a rendered video cache as labelled videos (label: of the middle frame)."""
    from training.video.cache import VideoCache

    return [Video(c.folder, len(c), c.label(len(c) // 2)) for c in VideoCache(root, split)]


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.video.frame_lists", description=__doc__)
    parser.add_argument("cache", type=Path, help="folder of a split, runs/video/train")
    parser.add_argument("list", type=Path, help="list file to write")
    options = parser.parse_args(arguments)
    try:
        videos = cache_videos(options.cache.parent, options.cache.name)
        count = write_list(options.list, videos, options.cache)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{count} videos in {options.list}; train with --list {options.list} --root {options.cache}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
