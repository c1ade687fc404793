"""A trained video network as something to feed pictures to: `TsmSession.step(frame)`.

    session = TsmSession.from_weights("tsm-events-online")
    found = session.step(rgb, stamp_ns)                    # VideoEvents
    found = session.step({"front": rgb, "rear": rgb2}, stamp_ns)   # {"front": VideoEvents, "rear": VideoEvents}

Every camera has its own past; see camera_session.py.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from models.facts import ModelError, ModelFacts, load_network
from models.tsm.camera_session import Array, Camera, CameraSession, Rgb, check_counts
from models.tsm.engine import compile_step
from models.tsm.flow import FlowStack
from models.tsm.network import VideoNetwork
from models.tsm.policy import CachePolicy, Move
from models.tsm.spec import FLOW_CHANNELS
from models.tsm.steps import step_network


@dataclass(frozen=True, eq=False)
class VideoEvents:
    """What a camera's newest frames show.

    scores float32 [K] 0..1, softmax over the classes · label: id of the best · logits float32 [K] of this frame (or
    their mean over `history` frames) · warm: False while the zeros that the caches started from still have influence ·
    move: how the frame followed the one before; where `move.held` the frame was not a step and the rest is repeated.
    """

    scores: Array
    label: int
    logits: Array
    warm: bool
    move: Move = Move.NEXT

    @property
    def held(self) -> bool:
        """True where the frame was not a step and the rest is repeated."""
        return self.move.held


@dataclass(eq=False)
class _EventCamera(Camera[VideoEvents]):
    """history: logits of the last steps · flow: of a network that sees it."""

    history: deque[Array] = field(default_factory=deque)
    flow: FlowStack | None = None


class TsmSession(CameraSession[VideoEvents]):
    """Events of one or several cameras. history: logits are averaged over so many frames (1: none). The rest as in
    CameraSession."""

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
        check_counts(threads=threads, cameras=cameras, history=history)
        super().__init__(facts, cameras, policy)
        self.history = history
        step = step_network(network)
        self._channels = step.spec.in_channels
        if self._channels not in (3, FLOW_CHANNELS, 3 + FLOW_CHANNELS):
            raise ModelError(
                f"{facts.name} takes frames of {self._channels} channels: expected 3 (RGB), {FLOW_CHANNELS} (flow) or "
                f"{3 + FLOW_CHANNELS} (both)"
            )
        self._sees_flow = self._channels > 3
        self._run_on(compile_step(step, self.image.size, runtime, threads, name=facts.name), step.depth)

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

    def _new_camera(self, row: int) -> _EventCamera:
        return _EventCamera(row, history=deque(maxlen=self.history), flow=FlowStack() if self._sees_flow else None)

    def _restart(self, camera: Camera[VideoEvents]) -> None:
        super()._restart(camera)
        assert isinstance(camera, _EventCamera)  # made by _new_camera
        camera.history.clear()
        if camera.flow is not None:
            camera.flow.reset()

    def _fill(self, camera: Camera[VideoEvents], rgb: Rgb) -> None:
        """Colours where the network sees them, then flow."""
        assert isinstance(camera, _EventCamera)
        row = self._frames[camera.row]
        if self._channels != FLOW_CHANNELS:
            self._prepare.normalise(rgb, row[:3])
        if camera.flow is not None:
            camera.flow.push(rgb, row[-FLOW_CHANNELS:])

    def _answer(self, camera: Camera[VideoEvents], results: tuple[Array, ...], move: Move) -> VideoEvents:
        assert isinstance(camera, _EventCamera)
        logits = results[0].copy()  # the stream writes there again
        if self.history > 1:
            camera.history.append(logits)
            logits = np.asarray(np.mean(camera.history, 0, dtype=np.float32))
        return VideoEvents(softmax(logits), int(logits.argmax()), logits, camera.frames >= self.warm_after, move)

    def _given(self, camera: Camera[VideoEvents], move: Move) -> VideoEvents:
        return replace(super()._given(camera, move), move=move)

    def zero_caches(self) -> tuple[Array, ...]:
        """Caches before the first frame of one camera, for `step_caches`."""
        return tuple(np.zeros(s, np.float32) for s in self._network.signature.cache_shapes())

    def step_caches(self, frame: Rgb, caches: tuple[Array, ...]) -> tuple[VideoEvents, tuple[Array, ...]]:
        """One frame uint8 RGB [H, W, 3] with explicit caches float32 [1, c, h, w] -> (VideoEvents, new caches).

        The session's own cameras are not touched; `warm` is False, for the caches do not say how old they are.
        """
        if self._sees_flow:
            raise ValueError(f"{self.facts.name} sees flow, which caches do not hold; use step()")
        found, expected = [c.shape for c in caches], list(self._network.signature.cache_shapes())
        if found != expected:
            raise ValueError(f"caches of shapes {found}: expected {expected}, see zero_caches()")
        (row,), *kept = self._network(self._prepare(frame)[None], *caches)
        return VideoEvents(softmax(row), int(row.argmax()), row, False), tuple(kept)


def softmax(logits: Array) -> Array:
    """Logits float32 [K] -> scores 0..1 that sum to 1."""
    e = np.exp(logits - logits.max())
    return (e / e.sum()).astype(np.float32)
