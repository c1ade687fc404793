"""A trained video network as something to feed pictures to: `TsmSession.step(frame)`.

    session = TsmSession.from_weights("tsm-events-online")
    found = session.step(rgb, stamp_ns)                    # VideoEvents
    found = session.step({"front": rgb, "rear": rgb2}, stamp_ns)   # {"front": VideoEvents, "rear": VideoEvents}

Every camera has its own past. Cameras that come together run as one batch. A camera starts again from zero caches on
its first frame, after a gap, when its stamps jump back and when its pictures change size; see policy.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import overload

import numpy as np
from numpy.typing import NDArray

from models.facts import ModelError, ModelFacts, load_network
from models.tsm.engine import compile_step
from models.tsm.flow import FlowStack
from models.tsm.network import VideoNetwork
from models.tsm.policy import CachePolicy, Move, next_move
from models.tsm.preprocess import ImageFacts, Preprocessor, check_rgb, fitted
from models.tsm.spec import FLOW_CHANNELS
from models.tsm.steps import step_network

Rgb = NDArray[np.uint8]
Array = NDArray[np.float32]
ONE = "camera"  # the name of the only camera where frames come without names


@dataclass(frozen=True, eq=False)
class VideoEvents:
    """What a camera's newest frames show.

    scores float32 [K] 0..1, softmax over the classes · label: id of the best · logits float32 [K] of this frame (or
    their mean over `history` frames) · warm: False while the zeros that the caches started from still have influence ·
    move: how the frame followed the one before; where `move.held` the frame was no step and the rest is repeated.
    """

    scores: Array
    label: int
    logits: Array
    warm: bool
    move: Move = Move.NEXT


@dataclass(eq=False)
class _Camera:
    """One stream: its rows in the caches and what it saw."""

    row: int
    stamp_ns: int | None = None
    size: tuple[int, ...] = ()
    frames: int = 0
    history: deque[Array] = field(default_factory=deque)
    flow: FlowStack | None = None
    late: list[int] = field(default_factory=list)  # stamps of the latecomers in a row, rising
    last: VideoEvents | None = None


class TsmSession:
    """Events of one or several cameras. Not for several threads at once: give each its own.

    facts: the model's · cameras: how many streams it has room for · history: logits are averaged over so many frames
    (1: none) · policy: when caches start again · seconds: wall time of the last step's stages (preprocess, network,
    total).
    """

    def __init__(
        self,
        network: VideoNetwork,
        facts: ModelFacts,
        runtime: str = "auto",
        threads: int = 2,
        cameras: int = 1,
        history: int = 1,
        policy: CachePolicy | None = None,
    ):
        for name, value in (("threads", threads), ("cameras", cameras), ("history", history)):
            if value < 1:
                raise ModelError(f"{name} is {value}: expected 1 or more")
        self.facts = facts
        self.cameras = cameras
        self.history = history
        self.image = ImageFacts.of(facts.image, facts.name)
        self.policy = CachePolicy(self.image.period_s) if policy is None else policy
        self._prepare = Preprocessor(self.image)
        step = step_network(network)
        self.warm_after = step.depth + 1  # frames
        self._network = compile_step(step, self.image.size, runtime, threads, tuple({1, cameras}))
        self._shapes = step.cache_shapes(*self.image.size)
        self._caches: list[Array] = [np.zeros((cameras, *s), np.float32) for s in self._shapes]
        self._frames = np.zeros((cameras, step.spec.in_channels, *self.image.size), np.float32)
        self._channels = step.spec.in_channels
        if self._channels not in (3, FLOW_CHANNELS, 3 + FLOW_CHANNELS):
            raise ModelError(
                f"{facts.name} takes frames of {self._channels} channels: expected 3 (RGB), {FLOW_CHANNELS} (flow) or "
                f"{3 + FLOW_CHANNELS} (both)"
            )
        self._sees_flow = self._channels > 3
        self._streams: dict[str, _Camera] = {}
        self.seconds: dict[str, float] = {}

    @classmethod
    def from_weights(
        cls,
        name_or_path: str | Path = "tsm-events-online",
        runtime: str = "auto",
        threads: int = 2,
        cameras: int = 1,
        history: int = 1,
        policy: CachePolicy | None = None,
    ) -> TsmSession:
        """Session of a model by name, folder or `random:<preset>`. Raises ModelError (one sentence, what to do)."""
        network, facts = load_network(name_or_path)
        if not isinstance(network, VideoNetwork):
            raise ModelError(f"{facts.name} is a {facts.architecture} network, no video network (tsm, tsn, tsm-…)")
        return cls(network, facts, runtime, threads, cameras, history, policy)

    @property
    def engine(self) -> str:
        """What runs the network, in a few words."""
        return self._network.describe()

    @property
    def cache_bytes(self) -> int:
        """Memory of the caches of all cameras."""
        return sum(c.nbytes for c in self._caches)

    def reset(self, camera: str | None = None) -> None:
        """Forgets the past of one camera, or of all."""
        for name in list(self._streams) if camera is None else [camera]:
            stream = self._streams.get(name)
            if stream is not None:
                self._restart(stream)

    def _restart(self, stream: _Camera) -> None:
        for cache in self._caches:
            cache[stream.row] = 0.0
        stream.stamp_ns, stream.frames, stream.last = None, 0, None
        stream.history.clear()
        if stream.flow is not None:
            stream.flow.reset()

    @overload
    def step(self, frames: Rgb, stamps_ns: int | None = None) -> VideoEvents: ...

    @overload
    def step(
        self, frames: Mapping[str, Rgb], stamps_ns: Mapping[str, int] | int | None = None
    ) -> dict[str, VideoEvents]: ...

    def step(self, frames, stamps_ns=None):
        """frames: uint8 RGB [H, W, 3], or several by camera; stamps_ns: one for all, or by camera, or None (each frame
        follows the one before) -> VideoEvents, or VideoEvents by camera.

        Raises ValueError for other arrays, and for more cameras than the session has room for; nothing changes then.
        """
        if isinstance(frames, Mapping):
            return self._step(frames, stamps_ns)
        return self._step({ONE: frames}, stamps_ns)[ONE]

    def _step(self, frames: Mapping[str, Rgb], stamps_ns: Mapping[str, int] | int | None) -> dict[str, VideoEvents]:
        start = perf_counter()
        self._admit(frames)
        moves: dict[str, Move] = {}
        for name, rgb in frames.items():
            stamp = stamps_ns.get(name) if isinstance(stamps_ns, Mapping) else stamps_ns
            moves[name] = self._move(self._streams[name], rgb, stamp)
        stepping = [name for name in frames if not moves[name].held]
        try:
            for name in stepping:
                self._fill(self._streams[name], frames[name])
            prepared = perf_counter()
            logits = self._run([self._streams[name].row for name in stepping])
        except Exception:
            for name in stepping:  # caches that may be half of one frame, half of another, are worth nothing
                self._restart(self._streams[name])
            raise
        ran = perf_counter()
        for name in stepping:
            stream = self._streams[name]
            stream.last = self._events(stream, logits[stream.row], moves[name])
        self.seconds = {"preprocess": prepared - start, "network": ran - prepared, "total": perf_counter() - start}
        return {name: self._answer(self._streams[name], moves[name]) for name in frames}

    def _admit(self, frames: Mapping[str, Rgb]) -> None:
        """Checks all frames, then gives new cameras their rows."""
        for rgb in frames.values():
            check_rgb(rgb)
        new = [name for name in frames if name not in self._streams]
        if len(self._streams) + len(new) > self.cameras:
            known = ", ".join(self._streams) or "(none)"
            raise ValueError(
                f"camera {new[-1]!r} is one more than the session has room for ({self.cameras}; known: {known}); open "
                f"it with cameras={len(self._streams) + len(new)}"
            )
        for name in new:
            flow = FlowStack() if self._sees_flow else None
            self._streams[name] = _Camera(len(self._streams), history=deque(maxlen=self.history), flow=flow)

    def _fill(self, stream: _Camera, rgb: Rgb) -> None:
        """The stream's row of the network's input."""
        row = self._frames[stream.row]
        small = fitted(rgb, self.image)
        if self._channels != FLOW_CHANNELS:
            self._prepare.normalise(small, row[:3])
        if stream.flow is not None:
            stream.flow.push(small, row[-FLOW_CHANNELS:])

    def _move(self, stream: _Camera, rgb: Rgb, stamp_ns: int | None) -> Move:
        """Judges a frame and restarts the caches where its verdict says so."""
        move = next_move(self.policy, stream, rgb.shape[:2], stamp_ns)
        if move.held:
            return move
        if move.restarts:
            self._restart(stream)
        stream.size, stream.stamp_ns, stream.late = rgb.shape[:2], stamp_ns, []
        stream.frames += 1
        return move

    def _run(self, rows: list[int]) -> dict[int, Array]:
        """Logits by row; the caches of these rows move on."""
        if len(rows) == self.cameras:
            logits, *self._caches = self._network(self._frames, *self._caches)
            return {row: logits[row] for row in rows}
        found = {}
        for row in rows:
            here = slice(row, row + 1)
            logits, *kept = self._network(self._frames[here], *(c[here] for c in self._caches))
            for cache, new in zip(self._caches, kept):
                cache[here] = new
            found[row] = logits[0]
        return found

    def _events(self, stream: _Camera, logits: Array, move: Move) -> VideoEvents:
        if self.history > 1:
            stream.history.append(logits)
            logits = np.mean(stream.history, 0, dtype=np.float32)
        return VideoEvents(softmax(logits), int(logits.argmax()), logits, stream.frames >= self.warm_after, move)

    def _answer(self, stream: _Camera, move: Move) -> VideoEvents:
        assert stream.last is not None  # a held frame follows a step
        return replace(stream.last, move=move)

    def zero_caches(self) -> tuple[Array, ...]:
        """Caches before the first frame of one camera, for `step_caches`."""
        return tuple(np.zeros((1, *s), np.float32) for s in self._shapes)

    def step_caches(self, frame: Rgb, caches: tuple[Array, ...]) -> tuple[VideoEvents, tuple[Array, ...]]:
        """One frame uint8 RGB [H, W, 3] with explicit caches float32 [1, c, h, w] -> (VideoEvents, new caches).

        The session's own cameras are not touched; `warm` is False, for the caches do not say how old they are.
        """
        if self._sees_flow:
            raise ValueError(f"{self.facts.name} sees flow, which caches do not hold; use step()")
        found = [c.shape for c in caches]
        if found != [(1, *s) for s in self._shapes]:
            raise ValueError(f"caches of shapes {found}: expected {[(1, *s) for s in self._shapes]}, see zero_caches()")
        (row,), *kept = self._network(self._prepare(frame)[None], *caches)
        return VideoEvents(softmax(row), int(row.argmax()), row, False), tuple(kept)


def softmax(logits: Array) -> Array:
    """Logits float32 [K] -> scores 0..1 that sum to 1."""
    e = np.exp(logits - logits.max())
    return (e / e.sum()).astype(np.float32)
