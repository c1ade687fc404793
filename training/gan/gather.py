"""Makes packs (training/gan/packs.py) of pictures: from folders, videos, or the driving world's rendered pictures.

    python -m training.gan.gather runs/real.npz --folder PICTURES --video DRIVE.mp4 --size 64 64
    python -m training.gan.gather runs/pairs.npz --pairs DAY NIGHT --size 96 256        (equal file names are pairs)
    python -m training.gan.gather runs/sides.npz --unpaired DAY NIGHT --size 96 256
    python -m training.gan.gather runs/world.npz --worlds runs/camera --split train --size 64 64
    python -m training.gan.gather runs/night.npz --styles runs/style day night --split train --size 72 128

Pictures are cut to the size's shape around their middle, then scaled down by areas. `--worlds` also stores the
semantic maps, and night, dusk or day as the class. `--styles` takes the exact pairs of training.gan.pairs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.facts import ModelError
from training.common.progress import Progress
from training.gan.packs import write_pack
from training.gan.picture_files import fitted, picture_files, read_picture

DAYTIMES = ("day", "dusk", "night")
Picture = NDArray[np.uint8]


def video_frames(path: Path, every: int) -> Iterator[Picture]:
    """Every so manieth frame of a video. ModelError where it cannot be opened."""
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise ModelError(f"{path} is not a readable video; give an .mp4 or .avi file")
    number = 0
    while True:
        good, frame = video.read()
        if not good:
            break
        if number % every == 0:
            yield np.asarray(frame[:, :, ::-1], np.uint8)
        number += 1


def from_files(folders: list[Path], videos: list[Path], size: tuple[int, int], every: int) -> NDArray[np.uint8]:
    """Pictures [N, *size, 3] of folders, then of videos."""
    files = [file for folder in folders for file in picture_files(folder)]
    found = [fitted(read_picture(file), *size) for file in files]
    found += [fitted(frame, *size) for video in videos for frame in video_frames(video, every)]
    return np.stack(found)


def pairs_of(a: Path, b: Path, size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pictures of equal names in two folders. ModelError names a file without a partner."""
    left, right = ({p.stem: p for p in picture_files(folder)} for folder in (a, b))
    alone = sorted(set(left) ^ set(right))
    if alone:
        raise ModelError(f"{alone[0]} is in one of {a} and {b} only: expected equal names on both sides")
    one, other = (np.stack([fitted(read_picture(side[n]), *size) for n in sorted(left)]) for side in (left, right))
    return one, other


def from_worlds(folder: Path, split: str, size: tuple[int, int], limit: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """(arrays, facts) of the world's rendered pictures (training/bevfusion/camera/generate.py); limit 0: all."""
    from models.bevfusion.lite.build import PIXELS
    from training.bevfusion.camera.pictures import worlds_in

    worlds = worlds_in(folder, split)
    each = [(world, i) for world in worlds for i in range(len(world))]
    if limit:
        each = [each[i] for i in np.linspace(0, len(each) - 1, min(limit, len(each))).astype(int)]
    bar = Progress(f"pictures of {len(worlds)} worlds", len(each))
    pictures, labels, classes = [], [], []
    for world, i in each:
        found = world.picture(i)
        pictures.append(fitted(found.rgb, *size))
        labels.append(fitted(found.pixels, *size, nearest=True))
        classes.append(DAYTIMES.index(world.facts["daytime"]) if world.facts.get("daytime") in DAYTIMES else 0)
        bar.step()
    arrays = {"pictures": np.stack(pictures), "labels": np.stack(labels), "classes": np.array(classes, np.uint8)}
    facts = {"source": f"driving world, split {split}, {len(worlds)} worlds", "label_names": list(PIXELS)}
    return arrays, facts | {"class_names": list(DAYTIMES), "paired": True}


def from_styles(folder: Path, a: str, b: str, split: str, size: tuple[int, int]) -> tuple[Any, Any, int]:
    """(pictures of condition a, the same scenes in condition b, number of worlds); files NAME_CONDITION.jpg, world by
    world. ModelError where there are none or one lacks its partner."""
    left = sorted((folder / split).glob(f"*/*_{a}.jpg"))
    if not left:
        raise ModelError(f"no *_{a}.jpg in {folder / split}: make pairs with python -m training.gan.pairs")
    right = [file.with_name(file.name.removesuffix(f"_{a}.jpg") + f"_{b}.jpg") for file in left]
    absent = [file for file in right if not file.is_file()]
    if absent:
        raise ModelError(f"{absent[0]} is missing: expected a picture of {b} beside each of {a}")
    one, other = (np.stack([fitted(read_picture(file), *size) for file in side]) for side in (left, right))
    return one, other, len({file.parent for file in left})


def main(arguments: list[str] | None = None) -> int:
    """Command line; 2 where something is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m training.gan.gather", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("out", type=Path, help="the .npz file to write")
    add("--size", type=int, nargs=2, default=(64, 64), metavar=("HEIGHT", "WIDTH"), help="px")
    add("--folder", type=Path, action="append", default=[], help="pictures")
    add("--video", type=Path, action="append", default=[], help="a video")
    add("--every", type=int, default=1, help="take every so manieth frame of videos")
    add("--pairs", type=Path, nargs=2, metavar=("A", "B"), help="two folders with equal file names")
    add("--unpaired", type=Path, nargs=2, metavar=("A", "B"), help="two folders")
    add("--worlds", type=Path, help="pictures made by training.bevfusion.camera.generate")
    add("--styles", nargs=3, metavar=("FOLDER", "A", "B"), help="pairs made by training.gan.pairs, two conditions")
    add("--split", default="train", choices=("train", "val", "test"))
    add("--limit", type=int, default=0, help="largest number of pictures (0: all)")
    options = parser.parse_args(arguments)
    size, limit = tuple(options.size), options.limit or None
    try:
        if options.worlds:
            arrays, facts = from_worlds(options.worlds, options.split, size, options.limit)
        elif options.pairs:
            a, b = pairs_of(*options.pairs, size)
            arrays, facts = {"a": a[:limit], "b": b[:limit]}, {"source": "pairs", "paired": True}
        elif options.unpaired:
            a, b = (from_files([folder], [], size, 1) for folder in options.unpaired)
            arrays, facts = {"a": a[:limit], "b": b[:limit]}, {"source": "two folders", "paired": False}
        elif options.styles:
            folder, *sides = options.styles
            a, b, worlds = from_styles(Path(folder), *sides, options.split, size)
            source = f"driving world, {worlds} worlds of split {options.split}, {sides[0]} to {sides[1]}"
            arrays, facts = {"a": a[:limit], "b": b[:limit]}, {"source": source, "paired": True}
        elif options.folder or options.video:
            found = from_files(options.folder, options.video, size, max(options.every, 1))
            arrays, facts = {"pictures": found[:limit]}, {"source": "pictures and videos"}
        else:
            parser.error("give --folder, --video, --pairs, --unpaired, --styles or --worlds")
        facts["from"] = [str(p) for p in (*options.folder, *options.video, *(options.pairs or options.unpaired or ()))]
        write_pack(options.out, facts, **arrays)
    except (ModelError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    told = ", ".join(f"{name} {'x'.join(map(str, array.shape))}" for name, array in arrays.items())
    print(f"{options.out}: {told}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
