"""Pictures with truth on disk: one file a world, written whole or not at all.

runs/camera/<split>/<seed>.pictures     a zip file (stored, not compressed again):
    facts.json                          seed, scenario, conditions, number of pictures
    NNN.jpg                             RGB, HEIGHT x WIDTH px
    NNN.depth.png                       uint16, depth in cm along the optical axis at every second pixel, 0: the sky
    NNN.pixels.png                      uint8, class of the same pixels: SemanticKITTI's 19, SKY, IGNORE
    boxes.npz                           rows of all pictures, see `BoxRows`

world = open_world(Path("runs/camera/train/000012.pictures"))
picture = world.picture(3)
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bevfusion.lite.build import BOXES, PIXELS
from models.facts import ModelError

WIDTH, HEIGHT = 768, 304  # px
SUFFIX = ".pictures"
IGNORE = 255
SKY = PIXELS.index("sky")
BOX_NAMES = tuple(name for name, _ in BOXES)
BOX_CLASS = {name: i for i, name in enumerate(BOX_NAMES)}
FARTHEST = 650.0  # m that fit into the file
QUALITY = 92  # of the JPEG pictures


@dataclass(frozen=True, eq=False)
class BoxRows:
    """2-D boxes: box float32 [M, 4] x1, y1, x2, y2 px, the whole object cut at the picture's edges · label int64 [M] of
    BOX_NAMES · distance float32 [M] m from the camera · visible float32 [M] share of the object, 0..1."""

    box: NDArray[np.float32]
    label: NDArray[np.int64]
    distance: NDArray[np.float32]
    visible: NDArray[np.float32]

    @staticmethod
    def build(box: Any, label: Any, distance: Any, visible: Any) -> BoxRows:
        """From sequences, with the types of the class. Raises ValueError on lengths that differ."""
        rows = BoxRows(
            np.asarray(box, np.float32).reshape(-1, 4), np.asarray(label, np.int64).reshape(-1),
            np.asarray(distance, np.float32).reshape(-1), np.asarray(visible, np.float32).reshape(-1),
        )  # fmt: skip
        lengths = {len(rows.box), len(rows.label), len(rows.distance), len(rows.visible)}
        if len(lengths) > 1:
            raise ValueError(f"boxes, labels, distances and visible shares of different lengths: {sorted(lengths)}")
        return rows

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, kept: NDArray) -> BoxRows:
        return BoxRows(self.box[kept], self.label[kept], self.distance[kept], self.visible[kept])


@dataclass(frozen=True, eq=False)
class Picture:
    """rgb uint8 [H, W, 3] · depth float32 [H/2, W/2] m along the optical axis, infinite for the sky · pixels uint8
    [H/2, W/2] · rows: its boxes · focal px: mean of fx and fy at this size · name: for messages and groups."""

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    pixels: NDArray[np.uint8]
    rows: BoxRows
    focal: float
    name: str


def write_world(path: Path, pictures: Sequence[Picture], facts: dict[str, Any]) -> None:
    """Writes a world's file in one move."""
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as file:
        for i, picture in enumerate(pictures):
            metres = np.minimum(np.nan_to_num(picture.depth, posinf=0.0), FARTHEST)
            images = {
                ".jpg": (picture.rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY]),
                ".depth.png": (np.round(metres * 100.0).astype(np.uint16), [cv2.IMWRITE_PNG_COMPRESSION, 3]),
                ".pixels.png": (picture.pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3]),
            }
            for ending, (image, options) in images.items():
                done, data = cv2.imencode(ending[ending.rindex(".") :], np.ascontiguousarray(image), options)
                if not done:
                    raise ValueError(f"{picture.name} could not be encoded as {ending}")
                file.writestr(f"{i:03d}{ending}", data.tobytes())
        counts = [len(p.rows) for p in pictures]
        arrays = {
            "picture": np.repeat(np.arange(len(pictures), dtype=np.int32), counts),
            "focal": np.array([p.focal for p in pictures], np.float32),
            **{
                name: np.concatenate([getattr(p.rows, name) for p in pictures]) for name in BoxRows.__dataclass_fields__
            },
        }
        table = io.BytesIO()
        np.savez_compressed(table, **arrays)  # type: ignore[arg-type]
        file.writestr("boxes.npz", table.getvalue())
        names = [p.name for p in pictures]
        file.writestr("facts.json", json.dumps({**facts, "pictures": len(pictures), "names": names}))
    part.replace(path)


class World:
    """One world's pictures, read from its file when they are asked for. Raises ModelError for a damaged file."""

    def __init__(self, path: Path):
        self.path = path
        try:
            with zipfile.ZipFile(path) as file:
                self.facts: dict[str, Any] = json.loads(file.read("facts.json"))
                with np.load(io.BytesIO(file.read("boxes.npz")), allow_pickle=False) as table:
                    self._table = {name: table[name] for name in table.files}
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise ModelError(f"{path} holds no pictures ({error}); delete it, and it will be made again") from None

    def __len__(self) -> int:
        return int(self.facts["pictures"])

    def rows(self, i: int) -> BoxRows:
        """Boxes of picture i."""
        own = self._table["picture"] == i
        return BoxRows.build(*(self._table[name][own] for name in BoxRows.__dataclass_fields__))

    def picture(self, i: int) -> Picture:
        """Picture i with its truth."""
        import cv2

        with zipfile.ZipFile(self.path) as file:
            data = {e: np.frombuffer(file.read(f"{i:03d}{e}"), np.uint8) for e in (".jpg", ".depth.png", ".pixels.png")}
        rgb = cv2.imdecode(data[".jpg"], cv2.IMREAD_COLOR)
        depth = cv2.imdecode(data[".depth.png"], cv2.IMREAD_UNCHANGED)
        pixels = cv2.imdecode(data[".pixels.png"], cv2.IMREAD_UNCHANGED)
        if rgb is None or depth is None or pixels is None:
            raise ModelError(f"picture {i} of {self.path} is damaged; delete the file, and it will be made again")
        metres = depth.astype(np.float32) / 100.0
        metres[depth == 0] = np.inf
        focal, name = float(self._table["focal"][i]), str(self.facts["names"][i])
        return Picture(np.ascontiguousarray(rgb[..., ::-1]), metres, pixels, self.rows(i), focal, name)


def world_path(folder: Path, split: str, seed: int) -> Path:
    """Where a world's pictures are."""
    return folder / split / f"{seed:06d}{SUFFIX}"


def worlds_in(folder: Path, split: str, known: dict[Path, World] | None = None) -> list[World]:
    """All worlds of a split, by seed; those in `known` are not opened again. Raises ModelError where there are none."""
    known = {} if known is None else known
    paths = sorted((folder / split).glob(f"*{SUFFIX}"))
    if not paths:
        make = f"python -m training.bevfusion.camera.generate --split {split} --out {folder}"
        raise ModelError(f"no pictures in {folder / split}; make some: {make}")
    for path in paths:
        if path not in known:
            known[path] = World(path)
    return [known[path] for path in paths]
