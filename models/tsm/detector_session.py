"""A trained video detector as something to feed pictures to: `VideoDetector.step(frame)`.

    detector = VideoDetector.from_weights("tsm-detector-lite")
    found = detector.step(rgb, stamp_ns)                            # ImageBoxes
    found = detector.step({"front": rgb, "rear": rgb2}, stamp_ns)   # {"front": ImageBoxes, "rear": ImageBoxes}

Every camera has its own caches; see camera_session.py. The whole picture is stretched to the network's size, as the
training pictures were.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.facts import ModelError, ModelFacts, load_network
from models.runtime import Compiled, compile_network
from models.tsm.agreement import DETECTIONS
from models.tsm.camera_session import Array, Camera, CameraSession, check_counts
from models.tsm.detector import DetectorStep, TsmDetector
from models.tsm.detector_boxes import ImageBoxes, best_boxes
from models.tsm.policy import CachePolicy, Move


class VideoDetector(CameraSession[ImageBoxes]):
    """Road users in the pictures of one or several cameras.

    min_score: of a detection that is given out · max_overlap: IoU of two detections of a class above which the
    weaker one is dropped. The rest as in CameraSession.
    """

    def __init__(
        self,
        network: TsmDetector,
        facts: ModelFacts,
        runtime: str = "auto",
        threads: int = 2,
        cameras: int = 1,
        min_score: float = 0.05,
        max_overlap: float = 0.5,
        policy: CachePolicy | None = None,
    ):
        check_counts(threads=threads, cameras=cameras)
        super().__init__(facts, cameras, policy)
        self.min_score, self.max_overlap = min_score, max_overlap
        if self.image.fit != "stretch":
            raise ModelError(
                f"{facts.name}: image.fit is {self.image.fit!r}, a detector needs the whole picture: stretch"
            )
        self._run_on(compile_detector(network, self.image.size, runtime, threads, facts.name), network.depth)

    @classmethod
    def from_weights(
        cls,
        name_or_path: str | Path = "tsm-detector-lite",
        runtime: str = "auto",
        threads: int = 2,
        cameras: int = 1,
        **options: Any,
    ) -> VideoDetector:
        """Detector of a model by name, folder or `random:<preset>`. Raises ModelError (one sentence, what to do)."""
        network, facts = load_network(name_or_path)
        if not isinstance(network, TsmDetector):
            raise ModelError(f"{facts.name} is a {facts.architecture} network, no video detector (tsm-detector)")
        return cls(network, facts, runtime, threads, cameras, **options)

    def _answer(self, camera: Camera[ImageBoxes], results: tuple[Array, ...], move: Move) -> ImageBoxes:
        """The best boxes of a dense output, in pixels of the picture that was given."""
        scores, boxes = results
        box, label, score = best_boxes(boxes, scores, self.min_score, self.max_overlap)
        (height, width), (rows, columns) = camera.size, self.image.size
        box = box * np.array([width / columns, height / rows] * 2, np.float32)
        box = np.clip(box, 0, np.array([width, height] * 2, np.float32))
        category = tuple(self.facts.class_names[i] for i in label)
        return ImageBoxes(box, label, score, category, camera.frames >= self.warm_after)

    def _given(self, camera: Camera[ImageBoxes], move: Move) -> ImageBoxes:
        return replace(super()._given(camera, move), held=move.held)


def compile_detector(
    network: TsmDetector, size: tuple[int, int], runtime: str = "auto", threads: int = 2, name: str = ""
) -> Compiled:
    """compiled(frame float32 [N, 3, h, w], *caches) -> (scores [N, A, K], boxes [N, A, 4], *caches)."""
    step = DetectorStep(network, *size).eval()
    caches = network.zero_caches(*size)
    names = [f"cache{i}" for i in range(len(caches))]
    return compile_network(
        step,
        (torch.zeros(1, 3, *size), *caches),
        runtime=runtime,
        threads=threads,
        input_names=["frame", *names],
        output_names=["scores", "boxes", *(f"next_{n}" for n in names)],
        caches=len(caches),
        task=DETECTIONS,
        name=name,
    )
