"""A trained video detector as something to feed pictures to: `VideoDetector.step(frame)`.

    detector = VideoDetector.from_weights("tsm-detector-lite")
    found = detector.step(rgb, stamp_ns)                            # Detections2D
    found = detector.step({"front": rgb, "rear": rgb2}, stamp_ns)   # {"front": Detections2D, "rear": Detections2D}

Every camera has its own past; it starts again from zero caches on its first frame, after a gap, when its stamps jump
back and when its pictures change size. Frames that come faster than those of training repeat the last answer (both:
policy.py). The whole picture is stretched to the network's size, as the training pictures were.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray

from models.facts import ModelError, ModelFacts, load_network
from models.runtime import Compiled, compile_network
from models.tsm.detector import DetectorStep, TsmDetector
from models.tsm.detector_boxes import Detections2D, best_boxes
from models.tsm.policy import CachePolicy, next_move
from models.tsm.preprocess import ImageFacts, Preprocessor, check_rgb

Rgb = NDArray[np.uint8]
Array = NDArray[np.float32]
ONE = "camera"  # the name of the only camera where frames come without names


@dataclass(eq=False)
class _Camera:
    """One stream: its caches and what it saw."""

    caches: list[Array]
    stamp_ns: int | None = None
    size: tuple[int, ...] = ()
    frames: int = 0
    last: Detections2D | None = None
    late: list[int] = field(default_factory=list)  # stamps of the latecomers in a row, rising


class VideoDetector:
    """Road users in the pictures of one or several cameras. Not for several threads at once: give each its own.

    facts: the model's · cameras: how many streams it has room for · least_score: of a detection that is told ·
    most_overlap: IoU of two detections of a class above which the weaker one is dropped · policy: when caches start
    again · engine: what runs the network · seconds: wall time of the last step's stages (preprocess, network, boxes,
    total).
    """

    def __init__(
        self,
        network: TsmDetector,
        facts: ModelFacts,
        runtime: str = "auto",
        threads: int = 2,
        cameras: int = 1,
        least_score: float = 0.05,
        most_overlap: float = 0.5,
        policy: CachePolicy | None = None,
    ):
        for name, value in (("threads", threads), ("cameras", cameras)):
            if value < 1:
                raise ModelError(f"{name} is {value}: expected 1 or more")
        self.facts = facts
        self.cameras, self.least_score, self.most_overlap = cameras, least_score, most_overlap
        self.image = ImageFacts.of(facts.image, facts.name)
        if self.image.fit != "stretch":
            raise ModelError(
                f"{facts.name}: image.fit is {self.image.fit!r}, a detector needs the whole picture: stretch"
            )
        self.policy = CachePolicy(self.image.period_s) if policy is None else policy
        self.warm_after = network.depth + 1  # frames
        self._prepare = Preprocessor(self.image)
        self._zero = [c.numpy() for c in network.zero_caches(*self.image.size)]
        self._engine = _compiled(network, self.image.size, runtime, threads)
        self.engine = self._engine.describe()
        self._streams: dict[str, _Camera] = {}
        self.seconds: dict[str, float] = {}

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

    @property
    def cache_bytes(self) -> int:
        """Memory of the caches of one camera."""
        return sum(c.nbytes for c in self._zero)

    def reset(self, camera: str | None = None) -> None:
        """Forgets the past of one camera, or of all."""
        for name in list(self._streams) if camera is None else [camera]:
            if name in self._streams:
                self._streams[name] = _Camera(self._zero)

    @overload
    def step(self, frames: Rgb, stamps_ns: int | None = None) -> Detections2D: ...

    @overload
    def step(
        self, frames: Mapping[str, Rgb], stamps_ns: Mapping[str, int] | int | None = None
    ) -> dict[str, Detections2D]: ...

    def step(self, frames, stamps_ns=None):
        """frames: uint8 RGB [H, W, 3] of any size, or several by camera; stamps_ns: one for all, or by camera, or None
        (each frame follows the one before) -> Detections2D, or Detections2D by camera.

        Raises ValueError for other arrays, and for more cameras than there is room for; nothing changes then.
        """
        if isinstance(frames, Mapping):
            return self._step(frames, stamps_ns)
        return self._step({ONE: frames}, stamps_ns)[ONE]

    def _step(self, frames: Mapping[str, Rgb], stamps_ns: Mapping[str, int] | int | None) -> dict[str, Detections2D]:
        start = perf_counter()
        self._admit(frames)
        stepping = []
        for name, rgb in frames.items():
            stamp = stamps_ns.get(name) if isinstance(stamps_ns, Mapping) else stamps_ns
            if self._moves(self._streams[name], rgb, stamp):
                stepping.append(name)
        prepared = ran = start
        if stepping:
            streams = [self._streams[name] for name in stepping]
            try:
                images = np.stack([self._prepare(frames[name]) for name in stepping])
                prepared = perf_counter()
                scores, boxes, *kept = self._engine(images, *map(np.concatenate, zip(*(s.caches for s in streams))))
            except Exception:
                for name in stepping:  # one step of their past is missing
                    self.reset(name)
                raise
            ran = perf_counter()
            for i, stream in enumerate(streams):
                stream.caches = [c[i : i + 1] for c in kept]
                stream.last = self._found(scores[i], boxes[i], stream.size, stream.frames >= self.warm_after)
        done = perf_counter()
        stages = {"preprocess": prepared - start, "network": ran - prepared, "boxes": done - ran}
        self.seconds = {**stages, "total": done - start}
        return {name: _answer(self._streams[name]) for name in frames}

    def _admit(self, frames: Mapping[str, Rgb]) -> None:
        """Checks all frames, then makes room for new cameras."""
        for rgb in frames.values():
            check_rgb(rgb)
        new = [name for name in frames if name not in self._streams]
        if len(self._streams) + len(new) > self.cameras:
            known = ", ".join(self._streams) or "(none)"
            raise ValueError(
                f"camera {new[-1]!r} is one more than the detector has room for ({self.cameras}; known: {known}); open "
                f"it with cameras={len(self._streams) + len(new)}"
            )
        for name in new:
            self._streams[name] = _Camera(self._zero)

    def _moves(self, stream: _Camera, rgb: Rgb, stamp_ns: int | None) -> bool:
        """Judges a frame, restarts the caches where the verdict says so; False where the last answer is held."""
        move = next_move(self.policy, stream, rgb.shape[:2], stamp_ns)
        if move.held:
            return False
        if move.restarts:
            stream.caches, stream.frames = self._zero, 0
        stream.size, stream.stamp_ns, stream.late = rgb.shape[:2], stamp_ns, []
        stream.frames += 1
        return True

    def _found(self, scores: Array, boxes: Array, size: tuple[int, ...], warm: bool) -> Detections2D:
        """The best boxes of a dense output, in pixels of the picture that was given."""
        box, label, score = best_boxes(boxes, scores, self.least_score, self.most_overlap)
        (height, width), (rows, columns) = size, self.image.size
        box = box * np.array([width / columns, height / rows] * 2, np.float32)
        box = np.clip(box, 0, np.array([width, height] * 2, np.float32))
        return Detections2D(box, label, score, tuple(self.facts.class_names[i] for i in label), warm)


def _answer(stream: _Camera) -> Detections2D:
    assert stream.last is not None  # a held frame follows a step
    return stream.last


def _compiled(network: TsmDetector, size: tuple[int, int], runtime: str, threads: int) -> Compiled:
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
    )
