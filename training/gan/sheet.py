"""Sample sheets: rows of pictures in one JPEG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training.gan.scores import normalised

GAP, QUALITY = 4, 88


def sheet(columns: Sequence[Tensor]) -> np.ndarray:
    """Pictures [N, 3, H, W] of equal sizes, uint8 or float in -1..1 -> one picture: a row for each of the N, a column
    for each entry of `columns`; uint8 [H', W', 3]."""
    rows = []
    for entries in zip(*columns):
        shown = [((normalised(e) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy() for e in entries]
        rows.append(np.concatenate([np.pad(s, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for s in shown], 1))
    return np.concatenate(rows, 0)[:-GAP, :-GAP]


def save_sheet(path: Path, columns: Sequence[Tensor]) -> None:
    """Writes the sheet as JPEG."""
    import cv2

    cv2.imwrite(str(path), np.ascontiguousarray(sheet(columns)[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
