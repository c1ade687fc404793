"""A style as something to feed pictures to: `StyleSession.step(rgb)`.

    session = StyleSession.from_weights("some-style")
    night = session.step(rgb)                            # uint8 [H, W, 3] in, uint8 [H, W, 3] out
    session.set(strength=0.5, resolution=192)            # from the next picture on, without a restart

The result is x + strength (f(x) - x), rounded: strength 0 is the picture itself, bit for bit. At a lower `resolution`
the network sees the picture scaled down, and only its change f(x) - x is scaled up again, so details and edges of the
picture stay where they are. Every picture is independent of the ones before.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.facts import ModelError, ModelFacts, load_network
from models.gan.resnet_supernet import SuperMobileResnetGenerator
from models.gan.tone import ToneLut, ToneResidual
from models.gan.tone_step import ToneStep
from models.runtime import Compiled, compile_network
from models.tsm.preprocess import check_rgb

Rgb = NDArray[np.uint8]
LEAST_SIDE = 32  # px
WIDTH_STEP = 4  # channels: sub-networks take multiples of it


class StyleSession:
    """Restyles pictures one by one. Not for several threads at once: give each its own.

    strength: 0 (the picture itself) … 1 (the style), up to 2 exaggerates · channel_ratio: width of the sub-network, in
    (0, 1]; below 1 only where the model is a super network · resolution: height px that the network sees; None: the
    picture's; 0: the tone step alone, without its residual, where the model has one · runtime, threads: as in
    models.runtime · seconds: wall time of the last step.
    """

    def __init__(
        self,
        network: nn.Module,
        facts: ModelFacts,
        strength: float = 1.0,
        channel_ratio: float = 1.0,
        resolution: int | None = None,
        runtime: str = "auto",
        threads: int = 2,
    ):
        if not hasattr(network, "size_multiple"):
            raise ModelError(
                f"{facts.name} is a {facts.architecture}: expected a network from picture to picture, for example "
                "gan-resnet, gan-sub-mobile-resnet, gan-unet or gan-tone"
            )
        self.network, self.facts = network.eval(), facts
        self.runtime, self.threads = runtime, threads
        self.strength, self.channel_ratio, self.resolution = 1.0, 1.0, resolution
        self.seconds = 0.0
        tone = network.tone if isinstance(network, ToneResidual) else network
        self._tone = ToneStep(tone, runtime) if isinstance(tone, ToneLut) else None
        self._convolutions: nn.Module | None = network.residual if isinstance(network, ToneResidual) else network
        if isinstance(network, ToneLut):
            self._convolutions = None
        self._compiled: dict[tuple[float, int, int], Compiled] = {}
        self.set(strength, channel_ratio, resolution)

    @classmethod
    def from_weights(cls, name_or_path: str | Path, **options: Any) -> StyleSession:
        """Session of a model by name, folder or `random:<preset>`. Raises ModelError (one sentence, what to do)."""
        return cls(*load_network(name_or_path), **options)

    @property
    def elastic(self) -> bool:
        """Whether channel_ratio can be below 1."""
        return isinstance(self.network, SuperMobileResnetGenerator)

    @property
    def has_convolutions(self) -> bool:
        """Whether resolution changes anything: False for a tone step without a residual."""
        return self._convolutions is not None

    @property
    def tone_alone(self) -> bool:
        """Whether resolution can be 0: the model has a tone step and a residual on top."""
        return self._tone is not None and self._convolutions is not None

    def set(
        self, strength: float | None = None, channel_ratio: float | None = None, resolution: int | None | str = "same"
    ) -> None:
        """Changes settings from the next step on; those left out stay. ModelError for values out of range; then nothing
        changes."""
        self.strength, self.channel_ratio, self.resolution = self.check(strength, channel_ratio, resolution)

    def check(
        self, strength: float | None = None, channel_ratio: float | None = None, resolution: int | None | str = "same"
    ) -> tuple[float, float, int | None]:
        """What `set` would set: (strength, channel ratio, resolution). ModelError for values out of range."""
        strength = self.strength if strength is None else float(strength)
        ratio = self.channel_ratio if channel_ratio is None else float(channel_ratio)
        height = self.resolution if resolution == "same" else resolution
        if not 0 <= strength <= 2:
            raise ModelError(f"strength is {strength}: expected 0 (off) … 2")
        if not 0 < ratio <= 1:
            raise ModelError(f"channel_ratio is {ratio}: expected a number above 0, at most 1")
        if ratio < 1 and not self.elastic:
            raise ModelError(f"channel_ratio is {ratio}, but {self.facts.name} has one width only; leave it at 1")
        if height == 0 and not self.tone_alone:
            raise ModelError(f"resolution is 0, but {self.facts.name} has no tone step with a residual; give a height")
        if height is not None and (not isinstance(height, int) or 0 != height < LEAST_SIDE):
            raise ModelError(f"resolution is {height}: expected a height of {LEAST_SIDE} px or more, or none")
        return strength, ratio, height

    def step(self, rgb: Rgb) -> Rgb:
        """rgb uint8 [H, W, 3] -> the restyled picture, same size. ValueError for anything else."""
        started = perf_counter()
        check_rgb(rgb)
        if min(rgb.shape[:2]) < LEAST_SIDE:
            raise ValueError(
                f"the picture is {rgb.shape[0]} x {rgb.shape[1]} px: expected {LEAST_SIDE} or more each way"
            )
        out = rgb if self.strength == 0 else self._restyled(rgb)
        self.seconds = perf_counter() - started
        return out

    def _restyled(self, rgb: Rgb) -> Rgb:
        if self._tone is not None and (self._convolutions is None or self.resolution == 0):
            return self._tone.apply(rgb, self.strength)
        toned = rgb if self._tone is None else self._tone.apply(rgb)
        styled = toned + self._change(toned)
        if toned is not rgb:
            styled = np.clip(styled, 0, 255)
        out = rgb + self.strength * (styled - rgb)
        return np.clip(np.rint(out), 0, 255).astype(np.uint8)

    def _change(self, rgb: Rgb) -> NDArray[np.float32]:
        """What the convolutions add to a picture, float32 [H, W, 3] in steps of 1 / 255 of the range."""
        height, width = rgb.shape[:2]
        seen = rgb
        size = self._seen_size((height, width), self.resolution)
        if size != (height, width):
            seen = cv2.resize(rgb, size[::-1], interpolation=cv2.INTER_AREA)
        x = (seen.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
        found = self._run(x)
        if not isinstance(self.network, ToneResidual):  # its convolutions give the change itself
            found = found - x
        change = np.ascontiguousarray(found[0].transpose(1, 2, 0)) * np.float32(127.5)
        if seen is not rgb:
            change = np.asarray(cv2.resize(change, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        return change

    def prepare(self, size: tuple[int, int], channel_ratio: float = 1.0, resolution: int | None = None) -> None:
        """Compiles what pictures of a size (height, width) px need with these settings. Another thread may call it
        while this one steps."""
        if resolution == 0 or self._convolutions is None:
            return
        height, width = self._seen_size(size, resolution)
        self._compiled_for(channel_ratio, height + -height % self._multiple, width + -width % self._multiple)

    @property
    def _multiple(self) -> int:
        return int(getattr(self.network, "size_multiple", 1))

    @staticmethod
    def _seen_size(size: tuple[int, int], resolution: int | None) -> tuple[int, int]:
        """(height, width) px of the picture that the network sees."""
        height, width = size
        if resolution is None or resolution >= height:
            return size
        return resolution, max(1, round(width * resolution / height))

    def _run(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """f(x): sides are padded to what the network can halve, and cut back."""
        height, width = x.shape[2:]
        padded = np.pad(x, ((0, 0), (0, 0), (0, -height % self._multiple), (0, -width % self._multiple)), mode="edge")
        network = self._compiled_for(self.channel_ratio, *padded.shape[2:])
        return network(padded)[0][:, :, :height, :width]

    def _compiled_for(self, ratio: float, height: int, width: int) -> Compiled:
        key = (ratio, height, width)
        if key not in self._compiled:
            example = (torch.zeros(1, 3, height, width).uniform_(-1, 1),)
            self._compiled[key] = compile_network(self._network_of(ratio), example, self.runtime, self.threads)
        return self._compiled[key]

    def _network_of(self, ratio: float) -> nn.Module:
        if not isinstance(self.network, SuperMobileResnetGenerator):
            assert self._convolutions is not None
            return self._convolutions
        width = max(WIDTH_STEP, round(self.network.ngf * ratio / WIDTH_STEP) * WIDTH_STEP)
        return self.network.extract((min(width, self.network.ngf),) * 8)
