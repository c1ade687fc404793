"""Fused inference on the CPU: one call per layer, batch norm folded, bias, residual and ReLU applied while a tile is
in cache.

    weights = pack([fold(conv.kernel, bn)[0]], bias=fold(conv.kernel, bn)[1], precision="int16")
    y = convolve(weights, [(x, level.submanifold(3))], len(level), threads=2)          # conv + BN + ReLU
    y = convolve(weights, [(h, m), (x, None)], n)    # second conv of a block + 1x1 shortcut, summed: two terms
    y = convolve(weights, [(a, m), (b, m)], n)       # a convolution of cat(a, b) without the concatenation: two terms

Precisions: "fp32"; "int16": rows and weights in 16 bits, products summed exactly in 32-bit integers, one scale per row
(its largest value is 8191) and per output channel, residuals and sums over offsets in float. It needs no calibration,
has four more bits than bfloat16, runs on every AVX2 processor (vpmaddwd) and at twice the float rate with AVX-512 VNNI
(vpdpwssd), so there is no separate bfloat16 path. "int8": the same with rows of seven bits, which hold no negative
values (what a ReLU puts out), and weights of eight: vpmaddubsw, whose sums of eight products are kept within 16 bits
by the scale of the weights, so that every sum is exact; with VNNI vpdpbusd. Its error is measured by
`benchmarks.precision`.

Every element is summed in one fixed order: results do not depend on `threads`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from . import native
from .buffers import aligned
from .kernel_map import KernelMap
from .points import PointMap

if TYPE_CHECKING:
    from torch import nn

PANEL = native.PANEL
PRECISIONS = ("fp32", "int16", "int8")
KINDS = {"fp32": 0, "int16": 1, "int8": 2}  # as the compiled code names them
DTYPES: dict[str, type] = {"fp32": np.float32, "int16": np.int16, "int8": np.uint8}
LARGEST = {"int16": 8191, "int8": 127}  # of a quantised row
MULTIPLES = {"fp32": 1, "int16": 2, "int8": 16}  # input channels of packed weights are padded to these


def reduced() -> str:
    """The reduced precision whose labels are those of fp32: int16 with the extension, fp32 without."""
    return "int16" if native.library() is not None else "fp32"


@dataclass
class Rows:
    """Features in the engine's storage.

    data: float32, int16 or uint8 [N, W], W the channels rounded up to 16, the rest zero. scale: float32 [N] for
        int16 and uint8 (value = data * scale).
    channels: the number of real channels.
    """

    data: np.ndarray
    scale: np.ndarray | None
    channels: int

    @classmethod
    def empty(cls, rows: int, channels: int, precision: str) -> Rows:
        width = -(-channels // PANEL) * PANEL
        scale = None if precision == "fp32" else np.empty(rows, np.float32)
        return cls(aligned((rows, width), DTYPES[precision]), scale, channels)

    @classmethod
    def of(cls, array: np.ndarray) -> Rows:
        """float32 rows of an array [N, C] (copied, padded)."""
        rows = cls.empty(len(array), array.shape[1], "fp32")
        rows.data[:, : array.shape[1]] = array
        rows.data[:, array.shape[1] :] = 0
        return rows

    @property
    def precision(self) -> str:
        return "fp32" if self.scale is None else "int16" if self.data.dtype == np.int16 else "int8"

    @property
    def kind(self) -> int:
        return KINDS[self.precision]

    def array(self) -> np.ndarray:
        """float32 [N, channels]; a view where that is possible."""
        real = self.data[:, : self.channels]
        return real if self.scale is None else real * self.scale[:, None]

    def __len__(self) -> int:
        return len(self.data)


class Recorder(Protocol):
    """What writes a network down while it is called with `Planned` rows (`program.Program`)."""

    def convolve(
        self,
        weights: Packed,
        inputs: Sequence[tuple[Any, Any]],
        rows: int,
        residual: Planned | None,
        relu: bool,
        residual_after_relu: bool,
        precision: str,
    ) -> Planned:
        """Records `convolve`."""

    def interpolate(self, x: Planned, points: Any, onto: Planned | None) -> Planned:
        """Records `interpolate`."""

    def point_mean(self, z: Planned, points: Any, precision: str) -> Planned:
        """Records `point_mean`."""


class Planned(Rows):
    """Rows of a network that is being recorded: a number, no memory."""

    def __init__(self, program: Recorder, register: int, rows: int, channels: int, precision: str) -> None:
        self.program, self.register, self._rows = program, register, rows
        self.channels, self._precision = channels, precision

    @property
    def precision(self) -> str:
        return self._precision

    def array(self) -> Any:
        return self

    def __len__(self) -> int:
        return self._rows


@dataclass
class Packed:
    """Weights of a convolution in the order the kernels read them. Made by `pack`.

    terms: per term [K, panels, Cin, 16] float32, [K, panels, Cin/2, 16, 2] int16 or [K, panels, Cin/4, 16, 4] int8.
    plain: the kernels [K, Cin, Cout] float32.
    column_scale, bias: float32 [panels * 16], or None.
    """

    terms: list[np.ndarray]
    plain: list[np.ndarray]
    channels: list[int]
    outputs: int
    column_scale: np.ndarray | None
    bias: np.ndarray | None
    precision: str


def fold(kernel: Any, norm: nn.BatchNorm1d | None = None, bias: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """(kernel, bias) as float32 arrays with a batch norm in eval mode folded in.

    kernel: tensor or array [K, Cin, Cout] or [Cin, Cout] (a Linear's weight: transpose it first); returned as [K,
        Cin, Cout].
    """

    def plain(x: Any) -> np.ndarray:
        return (x.detach().cpu().numpy() if hasattr(x, "detach") else np.asarray(x)).astype(np.float64)

    weights = plain(kernel)
    weights = weights[None] if weights.ndim == 2 else weights
    shift = plain(bias) if bias is not None else np.zeros(weights.shape[2])
    if norm is not None:
        assert norm.running_mean is not None and norm.running_var is not None
        factor = 1 / np.sqrt(plain(norm.running_var) + norm.eps)
        offset = -plain(norm.running_mean) * factor
        if norm.affine:
            factor, offset = factor * plain(norm.weight), offset * plain(norm.weight) + plain(norm.bias)
        weights, shift = weights * factor, shift * factor + offset
    return weights.astype(np.float32), shift.astype(np.float32)


def _panels(kernel: np.ndarray, width: int) -> np.ndarray:
    """[K, Cin, Cout] -> [K, panels, Cin, 16], zero padded."""
    volume, channels, outputs = kernel.shape
    padded = np.zeros((volume, channels, width), kernel.dtype)
    padded[:, :, :outputs] = kernel
    return padded.reshape(volume, channels, width // PANEL, PANEL).transpose(0, 2, 1, 3)


def _aligned_copy(array: np.ndarray) -> np.ndarray:
    out = aligned(array.shape, array.dtype)
    out[...] = array
    return out


def _quantise(kernels: list[np.ndarray], precision: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Integer kernels and the scale per output channel they share: as fine as the sums of the kernels allow without
    overflow, however the activations fall.
    """
    most = {"int16": 32767, "int8": 127}[precision]
    largest = np.max([abs(k).max(axis=(0, 1)) for k in kernels], axis=0)
    if precision == "int16":
        # Both signs: |sum over an offset's channels| <= LARGEST * l1, below 2^31.
        sums = np.max([abs(k).sum(axis=1).max(axis=0) for k in kernels], axis=0)
        room = (2**31 - 1) / LARGEST["int16"] - max(k.shape[1] for k in kernels)
    else:
        # Activations are not negative, so the larger of the sums of positive and of negative weights counts; eight
        # products (see block_u8) stay below 2^15. Room is left for the rounding of each weight.
        sums = np.max([_largest_lane(k) for k in kernels], axis=0)
        room = (2**15 - 1) / LARGEST["int8"] - 4
    steps = np.minimum(most / np.maximum(largest, 1e-30), room / np.maximum(sums, 1e-30))
    scale = (1 / steps).astype(np.float32)
    return [np.rint(k / scale).astype(np.int16) for k in kernels], scale


def _largest_lane(kernel: np.ndarray) -> np.ndarray:
    """Largest one-signed sum of the eight weights that meet in one 16-bit sum, per output channel [Cout]."""
    volume, channels, outputs = kernel.shape
    padded = np.zeros((volume, -(-channels // 16) * 16, outputs), np.float32)
    padded[:, :channels] = kernel
    lanes = padded.reshape(volume, -1, 4, 2, 2, outputs)  # [K, groups, steps, lane, pair, Cout]
    signed = [np.maximum(sign * lanes, 0).sum(axis=(2, 4)) for sign in (1, -1)]
    return np.maximum(*signed).max(axis=(0, 1, 2))


def pack(kernels: Sequence[np.ndarray], bias: np.ndarray | None = None, precision: str = "fp32") -> Packed:
    """Packs the kernels float32 [K, Cin, Cout] of the terms of one convolution (all with the same Cout) and its bias
    [Cout].

    Raises ValueError for an unknown precision or kernels that do not fit together. Without the extension every
    precision packs fp32.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r}: expected one of {', '.join(PRECISIONS)}")
    plain = [np.ascontiguousarray(k, np.float32) for k in kernels]
    if not 1 <= len(plain) <= 4 or any(k.ndim != 3 or k.shape[2] != plain[0].shape[2] for k in plain):
        raise ValueError(
            f"kernels have shapes {[k.shape for k in plain]}: expected 1 to 4 of [K, Cin, Cout] with one Cout"
        )
    if native.library() is None:
        precision = "fp32"
    outputs = plain[0].shape[2]
    width = -(-outputs // PANEL) * PANEL
    padded_bias = None
    if bias is not None:
        padded_bias = aligned((width,), np.float32, zero=True)
        padded_bias[:outputs] = bias
    channels = [k.shape[1] for k in plain]
    if precision == "fp32":
        terms = [_aligned_copy(_panels(k, width)) for k in plain]
        return Packed(terms, plain, channels, outputs, None, padded_bias, precision)
    quantised, scale = _quantise(plain, precision)
    column_scale = aligned((width,), np.float32, zero=True)
    column_scale[:outputs] = scale
    group = {"int16": 2, "int8": 4}[precision]  # channels side by side in one lane
    terms = []
    for k in quantised:
        filled = np.pad(k, ((0, 0), (0, -k.shape[1] % MULTIPLES[precision]), (0, 0)))
        panels = _panels(filled, width)  # [K, panels, Cin, 16]
        laid = panels.reshape(*panels.shape[:2], -1, group, PANEL).swapaxes(3, 4)  # [K, panels, Cin / group, 16, group]
        terms.append(_aligned_copy(laid.astype({"int16": np.int16, "int8": np.int8}[precision])))
    padded_channels = [c + -c % MULTIPLES[precision] for c in channels]
    return Packed(terms, plain, padded_channels, outputs, column_scale, padded_bias, precision)


def convolve(
    weights: Packed,
    inputs: Sequence[tuple[Rows, KernelMap | None]],
    rows: int,
    residual: Rows | None = None,
    relu: bool = True,
    residual_after_relu: bool = False,
    out_precision: str | None = None,
    threads: int = 1,
) -> Rows:
    """Sum of the terms + bias (+ residual), then ReLU (then + residual where residual_after_relu): rows of
    `weights.outputs` channels.

    inputs: per term the rows and the map they go through; None: row i meets row i (1x1 convolution, Linear).
    rows: number of output rows. out_precision: of the result; default that of the weights. int8 rows are never
        negative: what would be, a negative residual_after_relu for one, becomes zero.
    Raises ValueError where inputs, maps and weights do not fit, or where int8 rows are asked for without a ReLU.
    """
    kind = out_precision or weights.precision
    if native.library() is None:
        kind = "fp32"
    _check(weights, inputs, rows, residual, kind)
    if kind == "int8" and not relu:
        raise ValueError("int8 rows hold no negative values: use relu, or another out_precision")
    first = inputs[0][0]
    if isinstance(first, Planned):
        rest = cast("Planned | None", residual)
        return first.program.convolve(weights, inputs, rows, rest, relu, residual_after_relu, kind)
    if native.library() is None:
        return _convolve_numpy(weights, inputs, rows, residual, relu, residual_after_relu)
    out = Rows.empty(rows, weights.outputs, kind)
    terms = (native.Term * len(inputs))()
    keep = []  # arrays that must outlive the call
    for term, (x, kernel_map), packed, channels in zip(terms, inputs, weights.terms, weights.channels):
        term.rows, term.scales = native.address(x.data), native.address(x.scale)
        term.stride, term.channels, term.volume = x.data.shape[1], channels, len(packed)
        term.weights, term.kind = native.address(packed), x.kind
        if kernel_map is not None:
            pairs = np.ascontiguousarray(kernel_map.pairs)
            starts = np.ascontiguousarray(kernel_map.starts)
            keep += [pairs, starts]
            term.rows_in = native.address(pairs)
            term.rows_out = native.address(pairs) + pairs.strides[0]  # type: ignore[operator]
            term.starts = native.address(starts)
    job = native.Convolution(
        terms=ctypes.addressof(terms),
        terms_count=len(inputs),
        outputs=rows,
        width=out.data.shape[1],
        column_scale=native.address(weights.column_scale),
        bias=native.address(weights.bias),
        relu=relu,
        residual_after_relu=residual_after_relu,
        out=native.address(out.data),
        out_scale=native.address(out.scale),
        out_stride=out.data.shape[1],
        out_kind=out.kind,
        level=native.level(),
        threads=threads,
    )
    if residual is not None:
        job.residual_kind = residual.kind
        job.residual, job.residual_scale = native.address(residual.data), native.address(residual.scale)
        job.residual_stride = residual.data.shape[1]
    if native.library().sparse_convolve(ctypes.byref(job)):  # type: ignore[union-attr]
        raise MemoryError("sparse convolution: no memory for its tiles")
    return out


def _check(
    weights: Packed, inputs: Sequence[tuple[Rows, KernelMap | None]], rows: int, residual: Rows | None, kind: str
) -> None:
    """Everything the compiled code takes on trust."""
    if len(inputs) != len(weights.terms):
        raise ValueError(f"{len(inputs)} inputs for weights of {len(weights.terms)} terms")
    for (x, kernel_map), kernel in zip(inputs, weights.plain):
        if x.precision != weights.precision:
            raise ValueError(f"{x.precision} rows for {weights.precision} weights")
        if x.channels != kernel.shape[1]:
            raise ValueError(f"rows of {x.channels} channels for a kernel of {kernel.shape[1]}")
        volume = 1 if kernel_map is None else kernel_map.volume
        ends = (rows, rows) if kernel_map is None else (kernel_map.inputs, kernel_map.outputs)
        if volume != len(kernel) or ends != (len(x), rows):
            raise ValueError(
                f"a map of {volume} offsets from {ends[0]} to {ends[1]} rows for a kernel of {len(kernel)} offsets, "
                f"{len(x)} rows in and {rows} rows out"
            )
    if residual is not None and (len(residual) != rows or residual.channels != weights.outputs):
        raise ValueError(
            f"residual of {len(residual)} rows, {residual.channels} channels: expected {rows}, {weights.outputs}"
        )
    if kind not in PRECISIONS:
        raise ValueError(f"precision {kind!r}: expected one of {', '.join(PRECISIONS)}")


def _convolve_numpy(
    weights: Packed,
    inputs: Sequence[tuple[Rows, KernelMap | None]],
    rows: int,
    residual: Rows | None,
    relu: bool,
    residual_after_relu: bool,
) -> Rows:
    """The same sum without the extension: gather, multiply and add, offset by offset."""
    out = Rows.empty(rows, weights.outputs, "fp32")
    out.data[...] = 0
    total = out.data[:, : weights.outputs]
    for (x, kernel_map), kernel in zip(inputs, weights.plain):
        if kernel_map is None:
            total += x.array() @ kernel[0]
            continue
        for k in range(kernel_map.volume):
            ins, outs = kernel_map.pairs[:, kernel_map.starts[k] : kernel_map.starts[k + 1]]
            total[outs] += x.array()[ins] @ kernel[k]  # output rows are distinct within an offset
    if weights.bias is not None:
        total += weights.bias[: weights.outputs]
    if residual is not None and not residual_after_relu:
        total += residual.array()
    if relu:
        np.maximum(total, 0, out=total)
    if residual is not None and residual_after_relu:
        total += residual.array()
    return out


def interpolate(x: Rows, points: PointMap, onto: Rows | None = None, threads: int = 1) -> Rows:
    """Trilinear features of voxels at points, as float32 rows; added to `onto` (float32, in place) where given."""
    if points.voxels != len(x):
        raise ValueError(f"the point map belongs to a level of {points.voxels} voxels, the rows are {len(x)}")
    if onto is not None and (onto.precision != "fp32" or len(onto) != len(points) or onto.channels != x.channels):
        raise ValueError(f"onto: expected float32 rows [{len(points)}, {x.channels}]")
    if isinstance(x, Planned):
        return x.program.interpolate(x, points, cast("Planned | None", onto))
    out = onto if onto is not None else Rows.empty(len(points), x.channels, "fp32")
    corners, weights = np.ascontiguousarray(points.corners), np.ascontiguousarray(points.weights)
    loaded = native.library()
    if loaded is None:
        values = x.array()
        if onto is None:
            out.data[...] = 0
        for c in range(8):
            out.data[:, : x.channels] += values[corners[:, c]] * weights[:, c, None]
        return out
    loaded.sparse_interpolate(
        x.kind,
        native.address(x.data),
        native.address(x.scale),
        x.data.shape[1],
        native.address(corners),
        native.address(weights),
        len(points),
        x.data.shape[1],
        native.address(out.data),
        out.data.shape[1],
        onto is not None,
        native.level(),
        threads,
    )
    return out


def point_mean(z: Rows, points: PointMap, precision: str = "fp32", threads: int = 1) -> Rows:
    """Mean of float32 point rows in each voxel (point_to_voxel), in the given precision; zeros where no point lies."""
    if z.precision != "fp32" or len(z) != len(points):
        raise ValueError(f"expected float32 rows of {len(points)} points, got {len(z)} rows of {z.precision}")
    if isinstance(z, Planned):
        return z.program.point_mean(z, points, precision)
    order, starts = points.by_voxel()
    loaded = native.library()
    out = Rows.empty(points.voxels, z.channels, precision if loaded is not None else "fp32")
    if loaded is None:
        counts = np.diff(starts)
        out.data[...] = 0
        np.add.at(out.data, points.voxel[order], z.data[order])
        out.data /= np.maximum(counts, 1)[:, None].astype(np.float32)
        return out
    if loaded.sparse_point_mean(
        native.address(z.data),
        z.data.shape[1],
        native.address(order),
        native.address(starts),
        points.voxels,
        z.data.shape[1],
        native.address(out.data),
        native.address(out.scale),
        out.data.shape[1],
        out.kind,
        native.level(),
        threads,
    ):
        raise MemoryError("point_mean: no memory for its tiles")
    return out
