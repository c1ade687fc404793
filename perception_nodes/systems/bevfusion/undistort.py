"""Pictures without distortion; the tables of a camera are computed once and kept while its calibration stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.messages.camera_info import CameraModel


class Undistorter:
    """Undoes the distortion of several cameras."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[bytes, tuple[NDArray, NDArray]]] = {}

    def picture(self, camera: str, model: CameraModel, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """rgb uint8 [H, W, 3] as a camera of the same K without distortion would see it."""
        if not model.distorted:
            return rgb
        import cv2

        key = model.k.tobytes() + model.d.tobytes() + repr((model.model, model.width, model.height)).encode()
        kept = self._kept.get(camera)
        if kept is None or kept[0] != key:
            kept = self._kept[camera] = (key, model.undistortion_maps())
        return cv2.remap(rgb, kept[1][0], kept[1][1], cv2.INTER_LINEAR)  # type: ignore[return-value]
