"""A frame for BEV benchmarks: cameras all around, ten sweeps of a 32-beam LiDAR; and the plot of what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import real_sweeps
from models.bevfusion.calibration import CameraCalibration

SWEEPS = 10
PERIOD = 0.05  # s between two sweeps
FOCAL = 0.79  # of nuScenes' cameras, in picture widths
OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # camera axes in a frame with x forward


@dataclass(frozen=True, eq=False)
class Frame:
    """images: camera -> uint8 [H, W, 3] · points float32 [N, 5] · calibration: camera -> CameraCalibration · source:
    where the points are from.
    """

    images: Mapping[str, NDArray[np.uint8]]
    points: NDArray[np.float32]
    calibration: Mapping[str, CameraCalibration]
    source: str


def frame_of(cameras: int, size: tuple[int, int], sweeps: Path, seed: int) -> Frame:
    """Noise pictures, and the first recorded nuScenes sweep (a synthetic one where none is at hand) ten times over with
    noise of 2 cm, as ten sweeps of a moving scene fill other voxels.
    """
    rng = np.random.default_rng(seed)
    sweep, source = real_sweeps(sweeps)["32beam"]
    parts = []
    for i in range(SWEEPS):
        xyz = sweep[:, :3] + rng.normal(0, 0.02 * (i > 0), (len(sweep), 3))
        parts.append(np.column_stack([xyz, sweep[:, 3] * 255, np.full(len(sweep), PERIOD * i)]))
    height, width = size
    intrinsics = [[FOCAL * width, 0, width / 2], [0, FOCAL * width, height / 2], [0, 0, 1]]
    images, calibration = {}, {}
    for i in range(cameras):
        angle = 2 * np.pi * i / cameras
        pose = np.eye(4)
        pose[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        pose[:3, :3] = pose[:3, :3] @ OPTICAL
        pose[2, 3] = -0.3
        images[f"camera{i}"] = rng.integers(0, 256, (height, width, 3), np.uint8)
        calibration[f"camera{i}"] = CameraCalibration.build(intrinsics, pose, size)
    return Frame(images, np.concatenate(parts).astype(np.float32), calibration, source)


def with_cameras(frame: Frame, count: int) -> Frame:
    """The frame with its first `count` cameras."""
    names = list(frame.images)[:count]
    return replace(
        frame,
        images={n: frame.images[n] for n in names},
        calibration={n: frame.calibration[n] for n in names},
    )


def newest_sweeps(frame: Frame, count: int) -> Frame:
    """The frame with the points of its newest `count` sweeps."""
    return replace(frame, points=frame.points[frame.points[:, 4] < (count - 0.5) * PERIOD])


def with_points(frame: Frame, share: float) -> Frame:
    """The frame with a random share of its points."""
    keep = np.random.default_rng(0).random(len(frame.points)) < share
    return replace(frame, points=frame.points[keep])


def draw_rows(scaling: Mapping[str, list[list[float]]]) -> NDArray[np.uint8]:
    """A picture of time (ms, from zero) against cameras, points and cells."""
    import cv2

    panels = []
    for name, rows in scaling.items():
        panel: Any = np.full((300, 400, 3), 255, np.uint8)
        most, top = max((r[0] for r in rows), default=1), max((r[1] for r in rows), default=1)
        places = [(int(50 + 320 * x / most), int(260 - 210 * y / top)) for x, y in rows]
        cv2.line(panel, (50, 260), (380, 260), (0, 0, 0), 1)
        cv2.line(panel, (50, 260), (50, 40), (0, 0, 0), 1)
        for a, b in zip(places[:-1], places[1:]):
            cv2.line(panel, a, b, (160, 90, 20), 2, cv2.LINE_AA)
        for (u, v), (x, y) in zip(places, rows):
            cv2.circle(panel, (u, v), 4, (160, 90, 20), -1, cv2.LINE_AA)
            cv2.putText(
                panel, f"{y:.0f} ms", (u - 25, v - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA
            )
            cv2.putText(panel, f"{x:g}", (u - 15, 278), cv2.FONT_HERSHEY_SIMPLEX, 0.35, (0, 0, 0), 1, cv2.LINE_AA)
        cv2.putText(panel, name, (50, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
        panels.append(panel)
    out: NDArray[np.uint8] = np.concatenate(panels, 1)
    return out
