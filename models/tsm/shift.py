"""The temporal shift: channels move to the neighbouring frames, nothing is computed.

Lin, Gan, Han: "TSM: Temporal Shift Module for Efficient Video Understanding", ICCV 2019. With fold = C // fold_div:

    both   out[t, 0:fold]      = x[t+1, 0:fold]          offline; zeros after the last frame
           out[t, fold:2 fold] = x[t-1, fold:2 fold]     zeros before the first frame
    past   out[t, 0:fold]      = x[t-1, 0:fold]          online; the past has the FIRST fold here
    rest   out[t]              = x[t]

Frame by frame, `past` needs the first fold of the frame before: the cache. No parameters, no multiplications.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

OFFSETS = {"both": (1, -1), "past": (-1, 0)}  # where fold 0 and fold 1 come from: +1 the next frame, -1 the last one


def shift(x: Tensor, segments: int | None = None, fold_div: int = 8, direction: str = "both") -> Tensor:
    """Shifted copy of `x`: a clip [N, T, C, H, W], or its frames [N*T, C, H, W] with segments = T.

    Any T from 1, any C; the memory format of frames is kept. Raises ValueError for shapes or arguments that do not fit.
    """
    if direction not in OFFSETS:
        raise ValueError(f"direction {direction!r} is unknown; known: {', '.join(OFFSETS)}")
    if fold_div < 1:
        raise ValueError(f"fold_div is {fold_div}: expected 1 or more")
    if x.ndim == 5:
        n, t = x.shape[:2]
        if segments not in (None, t):
            raise ValueError(f"the clip has {t} frames, segments is {segments}; leave segments out for 5-D clips")
        return shift(x.flatten(0, 1), t, fold_div, direction).unflatten(0, (n, t))
    if x.ndim != 4:
        raise ValueError(f"x has shape {tuple(x.shape)}: expected [N, T, C, H, W] or [N*T, C, H, W]")
    if segments is None or segments < 1 or x.shape[0] % segments:
        raise ValueError(f"{x.shape[0]} frames are no whole number of clips of {segments} segments")
    fold = x.shape[1] // fold_div
    if fold == 0:
        return x
    first, second = OFFSETS[direction]
    if torch.jit.is_tracing() or torch.compiler.is_compiling():
        return _shift_by_concatenation(x, segments, fold, first, second)
    return _Shift.apply(x, segments, fold, first, second)


def shift_step(x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
    """One frame of the `past` shift: (shifted frame, next cache).

    x [N, C, H, W], cache [N, fold, H, W]: the first fold channels of the frame before, zeros at the start. The next
    cache is a view of the unshifted x.
    """
    fold = cache.shape[1]
    return torch.cat((cache, x[:, fold:]), 1), x[:, :fold]


class _Shift(torch.autograd.Function):
    """One copy forward, one copy backward: the gradient of a shift is the opposite shift."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, segments: int, fold: int, first: int, second: int) -> Tensor:
        ctx.how = (segments, fold, -first, -second)
        out = torch.empty_like(x)  # keeps channels_last
        source, target = x.unflatten(0, (-1, segments)), out.unflatten(0, (-1, segments))  # [N, T, C, H, W]
        end = fold if second == 0 else min(2 * fold, x.shape[1])
        for begin, stop, offset in ((0, fold, first), (fold, end, second)):
            if stop <= begin:
                continue
            a, b = source[:, :, begin:stop], target[:, :, begin:stop]
            if offset > 0:
                b[:, :-1].copy_(a[:, 1:])
                b[:, -1].zero_()
            else:
                b[:, 1:].copy_(a[:, :-1])
                b[:, 0].zero_()
        if end < x.shape[1]:
            out[:, end:].copy_(x[:, end:])
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return _Shift.apply(gradients[0], *ctx.how), None, None, None, None


def _shift_by_concatenation(x: Tensor, segments: int, fold: int, first: int, second: int) -> Tensor:
    """The same by slices and concatenations, for graph export."""
    end = fold if second == 0 else min(2 * fold, x.shape[1])
    clip = x.unflatten(0, (-1, segments))  # [N, T, C, H, W]
    parts = []
    for begin, stop, offset in ((0, fold, first), (fold, end, second)):
        if stop <= begin:
            continue
        part = clip[:, :, begin:stop]
        zero = torch.zeros_like(part[:, :1])
        moved = (part[:, 1:], zero) if offset > 0 else (zero, part[:, :-1])
        parts.append(torch.cat(moved, 1).flatten(0, 1) if segments > 1 else zero.flatten(0, 1))
    return torch.cat((*parts, x[:, end:]), 1)


class Time(Protocol):
    """How frames in a batch follow each other; every shifted layer asks it to shift.

    segments: frames of a clip that lie one after the other in the batch axis.
    """

    segments: int

    def shift(self, x: Tensor, fold_div: int) -> Tensor:
        """Frames [B, C, H, W] with 1/fold_div of the channels of their neighbours."""
        ...


class ClipTime:
    """Whole clips, frames of a clip side by side in the batch axis."""

    def __init__(self, segments: int, direction: str = "both"):
        self.segments = segments
        self.direction = direction

    def shift(self, x: Tensor, fold_div: int) -> Tensor:
        """See Time."""
        return shift(x, self.segments, fold_div, self.direction)


class StepTime:
    """One frame per clip now; the past is in the caches, in the order of the shifted layers.

    next: the caches for the following frame, filled as the layers run.
    """

    segments = 1

    def __init__(self, caches: Iterable[Tensor]):
        self._caches = iter(caches)
        self.next: list[Tensor] = []

    def shift(self, x: Tensor, fold_div: int) -> Tensor:
        """See Time."""
        if x.shape[1] // fold_div == 0:
            return x
        out, cache = shift_step(x, next(self._caches))
        self.next.append(cache)
        return out


class Shifted(nn.Module):
    """A layer or block behind a shift; its keys are those of `net` under `.net`, as in the released checkpoints.

    channels, stride: of the layer's input (stride: image pixels per feature pixel), which fix the cache's shape.
    """

    def __init__(self, net: nn.Module, fold_div: int, channels: int, stride: int):
        super().__init__()
        self.net = net
        self.fold_div = fold_div
        self.channels = channels
        self.stride = stride

    @property
    def fold(self) -> int:
        """Channels that move in one direction."""
        return self.channels // self.fold_div

    def forward(self, x: Tensor, time: Time) -> Tensor:
        """Frames [B, C, H, W] -> net(shifted frames)."""
        return run(self.net, time.shift(x, self.fold_div), time)


class InTime(nn.Module):
    """Base of modules that take `time` beside their input."""


def run(module: nn.Module, x: Tensor, time: Time) -> Tensor:
    """module(x), with `time` for those that take it."""
    return module(x, time) if isinstance(module, (Shifted, InTime)) else module(x)
