"""Optical flow as a network's input: the last five steps of motion, x and y, as ten channels.

Dense inverse search (Kroeger et al., ECCV 2016) on the grey pictures that the network sees. Values are pixels between
two frames, cut at ±BOUND and scaled as the field's flow pictures are: (v / (2 BOUND)) / 0.226.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

STEPS = 5
BOUND = 20.0  # px
STD = 0.226


class FlowStack:
    """Flow of one stream of pictures; not for several threads at once."""

    def __init__(self) -> None:
        self._dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._last: NDArray[np.uint8] | None = None
        self._flows: deque[NDArray[np.float32]] = deque(maxlen=STEPS)

    def reset(self) -> None:
        """Forgets the pictures so far."""
        self._last = None
        self._flows.clear()

    def push(self, rgb: NDArray[np.uint8], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """uint8 RGB [h, w, 3] -> float32 [10, h, w]: x and y of the steps that lead to this picture, oldest first;
        zeros where there was no picture yet. Pictures of one stream have one size."""
        grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY), np.uint8)
        if out is None:
            out = np.empty((2 * STEPS, *grey.shape), np.float32)
        if self._last is not None:
            flow = np.asarray(self._dis.calc(self._last, grey, None), np.float32)  # [h, w, 2]
            self._flows.append(np.clip(flow, -BOUND, BOUND).transpose(2, 0, 1) * np.float32(0.5 / BOUND / STD))
        self._last = grey
        missing = STEPS - len(self._flows)
        out[: 2 * missing] = 0.0
        for i, pair in enumerate(self._flows, missing):
            out[2 * i : 2 * i + 2] = pair
        return out


def flow_of_clip(clip: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 RGB [T, h, w, 3] -> float32 [T, 10, h, w], the clip's own frames only."""
    stack = FlowStack()
    out = np.empty((len(clip), 2 * STEPS, *clip.shape[1:3]), np.float32)
    for rgb, row in zip(clip, out):
        stack.push(rgb, row)
    return out
