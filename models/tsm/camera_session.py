"""Shared by the sessions of several cameras: the cache of each camera, resets, and which cameras step together.

Every camera has its own caches: a row of the compiled network's stream. Cameras whose frames arrive together run in
one step of the stream; if only some frames arrive, only their rows step. A camera starts again from zero caches on its
first frame, after a gap, when its stamps jump back and when its pictures change size; frames that come faster than
those of training repeat the last answer (policy.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from models.facts import ModelError, ModelFacts
from models.runtime import Compiled, Stream
from models.tsm.policy import CachePolicy, Move, next_move
from models.tsm.preprocess import ImageFacts, Preprocessor, check_rgb, fitted

Rgb = NDArray[np.uint8]
Array = NDArray[np.float32]
Answer = TypeVar("Answer")
ONE = "camera"  # the name of the only camera where frames come without names


@dataclass(eq=False)
class Camera(Generic[Answer]):
    """One camera: its row of the stream and what it showed last.

    frames: since the caches started from zero · late: stamps (ns) of the latecomers in a row, rising.
    """

    row: int
    stamp_ns: int | None = None
    size: tuple[int, ...] = ()
    frames: int = 0
    late: list[int] = field(default_factory=list)
    last: Answer | None = None


class CameraSession(Generic[Answer]):
    """Base of the sessions; not for several threads at once: give each its own.

    facts: the model's · image: what it is fed · cameras: how many there is room for · policy: when caches start again ·
    warm_after: frames after which the zeros of the start have no influence · engine: what runs the network, in a few
    words · seconds: wall time of the last step's stages (preprocess, network, postprocess, total).
    """

    def __init__(self, facts: ModelFacts, cameras: int, policy: CachePolicy | None):
        self.facts, self.cameras = facts, cameras
        self.image = ImageFacts.of(facts.image, facts.name)
        self.policy = CachePolicy(self.image.period_s) if policy is None else policy
        self.warm_after = 1
        self.engine = ""
        self.seconds: dict[str, float] = {}
        self._prepare = Preprocessor(self.image)
        self._cameras: dict[str, Camera[Answer]] = {}

    def _run_on(self, compiled: Compiled, depth: int) -> None:
        """Opens the stream of a compiled step network and runs it once, so that no frame waits for what a runtime does
        in its first step. depth: frames that a result looks back."""
        self.warm_after = depth + 1
        self.engine = compiled.describe()
        self._network = compiled
        self._stream: Stream = compiled.stream(self.cameras)
        self._frames = np.zeros((self.cameras, *compiled.signature.shapes[0][1:]), np.float32)
        for rows in (None, [0]):
            self._stream.step(self._frames, rows=rows)
        self._stream.reset()

    @property
    def cache_bytes(self) -> int:
        """Memory of the caches of all cameras, in float32."""
        return self._stream.cache_bytes

    def reset(self, camera: str | None = None) -> None:
        """Forgets the past of one camera, or of all."""
        for name in list(self._cameras) if camera is None else [camera]:
            if name in self._cameras:
                self._restart(self._cameras[name])

    @overload
    def step(self, frames: Rgb, stamps_ns: int | None = None) -> Answer: ...

    @overload
    def step(
        self, frames: Mapping[str, Rgb], stamps_ns: Mapping[str, int] | int | None = None
    ) -> dict[str, Answer]: ...

    def step(self, frames, stamps_ns=None):
        """frames: uint8 RGB [H, W, 3] of any size, or several by camera; stamps_ns: one for all, or by camera, or None
        (each frame follows the one before) -> the answer, or the answers by camera.

        Raises ValueError for other arrays, and for more cameras than the session has room for; nothing changes then.
        """
        if isinstance(frames, Mapping):
            return self._step(frames, stamps_ns)
        return self._step({ONE: frames}, stamps_ns)[ONE]

    def _step(self, frames: Mapping[str, Rgb], stamps_ns: Mapping[str, int] | int | None) -> dict[str, Answer]:
        start = perf_counter()
        self._admit(frames)
        moves: dict[str, Move] = {}
        for name, rgb in frames.items():
            stamp = stamps_ns.get(name) if isinstance(stamps_ns, Mapping) else stamps_ns
            moves[name] = self._move(self._cameras[name], rgb, stamp)
        stepping = [name for name in frames if not moves[name].held]
        prepared = ran = start
        if stepping:
            try:
                for name in stepping:
                    self._fill(self._cameras[name], fitted(frames[name], self.image))
                prepared = perf_counter()
                rows = [self._cameras[name].row for name in stepping]
                results = self._stream.step(self._frames, rows=rows)
                ran = perf_counter()
                for name in stepping:
                    camera = self._cameras[name]
                    camera.last = self._answer(camera, tuple(r[camera.row] for r in results), moves[name])
            except Exception:
                for name in stepping:  # their caches may hold half a frame
                    self._restart(self._cameras[name])
                raise
        done = perf_counter()
        self.seconds = {
            "preprocess": prepared - start, "network": ran - prepared, "postprocess": done - ran, "total": done - start,
        }  # fmt: skip
        return {name: self._given(self._cameras[name], moves[name]) for name in frames}

    def _admit(self, frames: Mapping[str, Rgb]) -> None:
        """Checks all frames, then gives new cameras their rows."""
        for rgb in frames.values():
            check_rgb(rgb)
        new = [name for name in frames if name not in self._cameras]
        if len(self._cameras) + len(new) > self.cameras:
            known = ", ".join(self._cameras) or "(none)"
            raise ValueError(
                f"camera {new[-1]!r} is one more than the session has room for ({self.cameras}; known: {known}); open "
                f"it with cameras={len(self._cameras) + len(new)}"
            )
        for name in new:
            self._cameras[name] = self._new_camera(len(self._cameras))

    def _move(self, camera: Camera[Answer], rgb: Rgb, stamp_ns: int | None) -> Move:
        """How a frame follows the one before; restarts the caches where that says so."""
        move = next_move(self.policy, camera, rgb.shape[:2], stamp_ns)
        if move.held:
            return move
        if move.restarts:
            self._restart(camera)
        camera.size, camera.stamp_ns, camera.late = rgb.shape[:2], stamp_ns, []
        camera.frames += 1
        return move

    def _restart(self, camera: Camera[Answer]) -> None:
        """Zero caches and no past for one camera."""
        self._stream.reset(camera.row)
        camera.stamp_ns, camera.size, camera.frames, camera.late, camera.last = None, (), 0, [], None

    def _new_camera(self, row: int) -> Camera[Answer]:
        """What is kept of a camera."""
        return Camera(row)

    def _fill(self, camera: Camera[Answer], rgb: Rgb) -> None:
        """Writes a picture uint8 RGB [*image.size, 3] to the camera's row of the network's input."""
        self._prepare.normalise(rgb, self._frames[camera.row])

    def _answer(self, camera: Camera[Answer], results: tuple[Array, ...], move: Move) -> Answer:
        """The answer from the network's results for this camera, which change with the next step."""
        raise NotImplementedError

    def _given(self, camera: Camera[Answer], move: Move) -> Answer:
        """What `step` returns: the last answer, also for a frame that was not a step."""
        if camera.last is None:
            raise RuntimeError("a frame that is held follows one that was a step")
        return camera.last


def check_counts(**counts: int) -> None:
    """ModelError where a count is below 1; the keyword is its name."""
    for name, value in counts.items():
        if value < 1:
            raise ModelError(f"{name} is {value}: expected 1 or more")
