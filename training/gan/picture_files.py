"""Picture files: found in folders, read as RGB, cut and scaled to a size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError

ENDINGS = (".jpg", ".jpeg", ".png")


def fitted(picture: NDArray[np.uint8], height: int, width: int, nearest: bool = False) -> NDArray[np.uint8]:
    """The middle of a picture [H, W, …] in the shape of height x width px, scaled to it.

    nearest: for semantic maps, whose values cannot be averaged.
    """
    rows, columns = picture.shape[:2]
    scale = min(rows / height, columns / width)
    high, wide = round(height * scale), round(width * scale)
    top, left = (rows - high) // 2, (columns - wide) // 2
    cut = np.ascontiguousarray(picture[top : top + high, left : left + wide])
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(cut, (width, height), interpolation=how), np.uint8)


def picture_files(folder: Path) -> list[Path]:
    """Picture files of a folder by name. ModelError where there are none."""
    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in ENDINGS) if folder.is_dir() else []
    if not found:
        raise ModelError(f"no pictures ({', '.join(ENDINGS)}) in {folder}; give a folder that holds some")
    return found


def read_picture(path: Path) -> NDArray[np.uint8]:
    """RGB uint8 [H, W, 3] of a file. ModelError where it cannot be decoded."""
    found = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if found is None:
        raise ModelError(f"{path} is not a readable picture; remove it or copy it again")
    return np.asarray(found[:, :, ::-1], np.uint8)
