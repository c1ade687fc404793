"""From a torch module to a short list of layers that the native kernels run: convolutions with everything that can be
done in the same pass, pooling, and what is read from the caches.

The module is traced once. Normalisations are folded into the convolution before them, activations and residual
additions become part of it, paddings of the convolution after them. The concatenation of a temporal shift disappears:
its convolution reads from two places. Anything else raises Unsupported, and another runtime takes the network.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from models.facts import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

INFINITY = math.inf
MOST_LINES = 16  # of a depthwise kernel, see csrc/dense.h


class Unsupported(ModelError):
    """The native kernels have no layer for this."""


@dataclass(eq=False)
class Activation:
    """What a layer gives: rows of channels, one row per pixel. Compared by identity."""

    channels: int
    height: int
    width: int


@dataclass(frozen=True)
class View:
    """Some channels of an activation, with a border of zeros (top, left) that its reader sees."""

    rows: Activation
    first: int
    channels: int
    pads: tuple[int, int] = (0, 0)

    @property
    def whole(self) -> bool:
        """True where it is the activation itself."""
        return self.first == 0 and self.channels == self.rows.channels and self.pads == (0, 0)


@dataclass(eq=False)
class Layer:
    """One pass: kind "convolve", "depthwise", "maximum_pool" or "mean"; out = clamp(bias + sum + residual, low, high).

    weights float32 [O, C, kh, kw] (depthwise: C = 1) · step: stride of the kernel · pads: top, left.
    """

    kind: str
    inputs: tuple[View, ...]
    out: Activation
    kernel: tuple[int, int] = (1, 1)
    step: int = 1
    pads: tuple[int, int] = (0, 0)
    weights: np.ndarray | None = None
    bias: np.ndarray | None = None
    residual: Activation | None = None
    low: float = -INFINITY
    high: float = INFINITY

    @property
    def open(self) -> bool:
        """True where nothing was put behind the sum yet."""
        return self.weights is not None and self.residual is None and (self.low, self.high) == (-INFINITY, INFINITY)


@dataclass
class Lowered:
    """inputs: the frame, then the caches · layers in order · outputs: the first, then the next caches · flat: the first
    output is [N, K]."""

    inputs: list[Activation]
    layers: list[Layer] = field(default_factory=list)
    outputs: list[View] = field(default_factory=list)
    flat: bool = False


def lower(module: nn.Module, examples: tuple[Tensor, ...]) -> Lowered:
    """The layers of `module`; Unsupported names the first thing that has no layer."""
    import torch

    if any(e.ndim != 4 for e in examples):
        raise Unsupported("native kernels take frames [N, C, H, W] only")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(module.eval(), examples, check_trace=False)
    return _Reader(traced, examples).result


class _Reader:
    """Walks through a traced graph node by node."""

    def __init__(self, traced: Any, examples: tuple[Tensor, ...]):
        graph = traced.inlined_graph
        this, *inputs = graph.inputs()
        self.constants: dict[str, Any] = {this.debugName(): traced}
        self.views: dict[str, tuple[View, ...]] = {}
        self.result = Lowered([Activation(*(int(n) for n in e.shape[1:])) for e in examples])
        for value, rows in zip(inputs, self.result.inputs):
            self.views[value.debugName()] = (View(rows, 0, rows.channels),)
        for node in graph.nodes():
            self._read(node)
        (output,) = graph.outputs()
        values = list(output.node().inputs()) if output.node().kind() == "prim::TupleConstruct" else [output]
        self.result.outputs = [self._one(v) for v in values]
        self.result.flat = len(_shape(values[0])) == 2

    def _read(self, node: Any) -> None:
        kind = node.kind()
        inputs, name = list(node.inputs()), node.output().debugName() if node.outputsSize() == 1 else ""
        if kind == "prim::Constant":
            self.constants[name] = node.output().toIValue()
        elif kind == "prim::GetAttr":
            self.constants[name] = getattr(self.constants[inputs[0].debugName()], node.s("name"))
        elif kind == "prim::ListConstruct":
            known = [i.debugName() in self.constants for i in inputs]
            self.constants[name] = [self._constant(i) for i in inputs] if all(known) else inputs
        elif kind == "aten::size":
            self.constants[name] = _shape(inputs[0])[self._constant(inputs[1])]
        elif kind in ("prim::NumToTensor", "aten::Int", "aten::ScalarImplicit"):
            self.constants[name] = self._constant(inputs[0])
        elif kind == "prim::TupleUnpack":
            for value, packed in zip(node.outputs(), inputs[0].node().inputs()):
                self._rename(packed, value)
        elif kind == "prim::TupleConstruct":
            pass  # read where it is unpacked or given out
        else:
            reader = _READERS.get(kind.removesuffix("_"))
            if reader is None:
                raise Unsupported(f"native kernels have no {kind}")
            self.views[name] = reader(self, node, inputs)

    def _rename(self, old: Any, new: Any) -> None:
        for known in (self.constants, self.views):
            if old.debugName() in known:
                known[new.debugName()] = known[old.debugName()]

    def _constant(self, value: Any) -> Any:
        if value.debugName() not in self.constants:
            raise Unsupported("native kernels take no numbers that are computed from pictures")
        return self.constants[value.debugName()]

    def _constants(self, inputs: list[Any]) -> list[Any]:
        return [self._constant(i) for i in inputs]

    def _parts(self, value: Any) -> tuple[View, ...]:
        if value.debugName() not in self.views:
            raise Unsupported("native kernels take no constants as pictures")
        return self.views[value.debugName()]

    def _one(self, value: Any) -> View:
        parts = self._parts(value)
        if len(parts) != 1 or parts[0].pads != (0, 0):
            raise Unsupported("native kernels have no concatenation or padding but in front of a convolution")
        return parts[0]

    def _add(self, layer: Layer) -> tuple[View, ...]:
        self.result.layers.append(layer)
        return (View(layer.out, 0, layer.out.channels),)

    def _maker(self, value: Any) -> Layer | None:
        """The layer that makes this value, where nobody else reads the value and all of it is meant."""
        parts = self.views.get(value.debugName(), ())
        if len(parts) != 1 or not parts[0].whole or len(value.uses()) != 1:
            return None
        return next((m for m in reversed(self.result.layers) if m.out is parts[0].rows), None)

    def convolution(self, node: Any, inputs: list[Any]) -> tuple[View, ...]:
        weight, bias, stride, padding, dilation, transposed, _, groups = self._constants(inputs[1:9])
        parts = self._parts(inputs[0])
        if transposed or set(dilation) != {1} or len(set(stride)) != 1 or len(weight.shape) != 4 or len(parts) > 2:
            raise Unsupported("native kernels have no transposed, dilated or unevenly strided convolution")
        alone = groups == weight.shape[0] == sum(p.channels for p in parts) and groups > 1
        if groups > 1 and not (alone and len(parts) == 1 and parts[0].first == 0):
            raise Unsupported("native kernels have no grouped convolution but the depthwise one")
        if alone and weight.shape[2] > MOST_LINES:
            raise Unsupported(
                f"native kernels have depthwise kernels of {MOST_LINES} lines at most, not {weight.shape[2]}"
            )
        weights = weight.detach().float().numpy()
        added = np.zeros(len(weights), np.float32) if bias is None else bias.detach().float().numpy()
        pads = tuple(p + own for p, own in zip(parts[0].pads, padding))
        if any(p.pads != parts[0].pads for p in parts):
            raise Unsupported("native kernels have no concatenation of differently padded pictures")
        return self._add(
            Layer(
                "depthwise" if alone else "convolve", parts, Activation(*_shape(node.output())[1:]),
                tuple(weights.shape[2:]), stride[0], pads, weights.copy(), added.copy(),
            )
        )  # fmt: skip

    def linear(self, node: Any, inputs: list[Any]) -> tuple[View, ...]:
        weight, bias = self._constants(inputs[1:3])
        weights = weight.detach().float().numpy()[:, :, None, None]
        added = np.zeros(len(weights), np.float32) if bias is None else bias.detach().float().numpy()
        view = self._one(inputs[0])
        if (view.rows.height, view.rows.width) != (1, 1):
            raise Unsupported("native kernels have linear layers behind a mean only")
        return self._add(Layer("convolve", (view,), Activation(len(weights), 1, 1), weights=weights, bias=added.copy()))

    def normalisation(self, node: Any, inputs: list[Any]) -> tuple[View, ...]:
        scale, offset, mean, variance, training, _, epsilon = self._constants(inputs[1:8])
        layer = self._maker(inputs[0])
        if training or layer is None or not layer.open or layer.weights is None or layer.bias is None:
            raise Unsupported("native kernels have normalisation behind a convolution only")
        mean, variance = (v.detach().double().numpy() for v in (mean, variance))
        factor = 1.0 / np.sqrt(variance + epsilon)
        factor = factor if scale is None else factor * scale.detach().double().numpy()
        shift = 0.0 if offset is None else offset.detach().double().numpy()
        layer.weights = (layer.weights * factor[:, None, None, None]).astype(np.float32)
        layer.bias = ((layer.bias - mean) * factor + shift).astype(np.float32)
        return self._parts(inputs[0])

    def clamp(self, node: Any, inputs: list[Any]) -> tuple[View, ...]:
        kind = node.kind().removesuffix("_")
        low, high = (0.0, INFINITY) if kind == "aten::relu" else (0.0, 6.0)
        if kind == "aten::hardtanh":
            low, high = (float(v) for v in self._constants(inputs[1:3]))
        layer = self._maker(inputs[0])
        if layer is None or layer.weights is None or (layer.low, layer.high) != (-INFINITY, INFINITY):
            raise Unsupported("native kernels have activations behind a convolution only")
        layer.low, layer.high = low, high
        return self._parts(inputs[0])

    def add(self, node: Any, inputs: list[Any]) -> tuple[View, ...]:
        if self._constant(inputs[2]) != 1 or _shape(inputs[0]) != _shape(inputs[1]):
            raise Unsupported("native kernels add pictures of one shape only")
        views = [self._one(v) for v in inputs[:2]]
        made = [(self.result.layers.index(m), i) for i, v in enumerate(inputs[:2]) if (m := self._maker(v)) and m.open]
        if not made or not all(v.whole for v in views):
            raise Unsupported("native kernels add to the result of a convolution only")
        at, i = max(made)  # the later one: the other is there by then
        self.result.layers[at].residual = views[1 - i].rows
        return self._parts(inputs[i])

    def concatenate(self, node: Any, inputs: list[Any]) -> tuple[View, ...]:
        values, axis = self.constants[inputs[0].debugName()], self._constant(inputs[1])
        if axis != 1:
            raise Unsupported("native kernels concatenate channels only")
        return tuple(self._one(v) for v in values)

    def slice(self, node: Any, inputs: list[Any]) -> tuple[View, ...]:
        axis, start, end, step = self._constants(inputs[1:5])
        view = self._one(inputs[0])
        first, last, _ = slice(start, end).indices(view.channels)
        if axis == 0 and first == 0 and end > 1 << 60:
            return (view,)
        if axis != 1 or step != 1:
            raise Unsupported("native kernels slice channels only")
        return (View(view.rows, view.first + first, last - first),)

    def pad(self, node: Any, inputs: list[Any]) -> tuple[View, ...]:
        borders = self._constant(inputs[1])
        mode = self._constant(inputs[2]) if node.kind() == "aten::pad" else "constant"
        value = self._constant(inputs[-1])
        if mode != "constant" or value or len(borders) != 4 or min(borders) < 0:
            raise Unsupported("native kernels pad with zeros around the picture only")
        return tuple(View(p.rows, p.first, p.channels, (borders[2], borders[0])) for p in self._parts(inputs[0]))

    def mean(self, node: Any, inputs: list[Any]) -> tuple[View, ...]:
        view = self._one(inputs[0])
        axes = self._constant(inputs[1])
        if not view.whole or sorted(a % 4 for a in axes) != [2, 3]:
            raise Unsupported("native kernels average over the picture only")
        return self._add(Layer("mean", (view,), Activation(view.channels, 1, 1)))

    def maximum_pool(self, node: Any, inputs: list[Any]) -> tuple[View, ...]:
        kernel, stride, padding, dilation, ceil = self._constants(inputs[1:6])
        view = self._one(inputs[0])
        if not view.whole or ceil or set(dilation) != {1} or len(set(stride)) != 1:
            raise Unsupported("native kernels have plain maximum pooling only")
        out = Activation(*_shape(node.output())[1:])
        return self._add(Layer("maximum_pool", (view,), out, tuple(kernel), stride[0], tuple(padding)))

    def nothing(self, node: Any, inputs: list[Any]) -> tuple[View, ...]:
        if node.kind().startswith("aten::dropout") and self._constant(inputs[2]):
            raise Unsupported("the network is in training mode")
        return self._parts(inputs[0])


_READERS: dict[str, Any] = {
    "aten::_convolution": _Reader.convolution,
    "aten::linear": _Reader.linear,
    "aten::batch_norm": _Reader.normalisation,
    "aten::relu": _Reader.clamp,
    "aten::relu6": _Reader.clamp,
    "aten::hardtanh": _Reader.clamp,
    "aten::add": _Reader.add,
    "aten::cat": _Reader.concatenate,
    "aten::slice": _Reader.slice,
    "aten::pad": _Reader.pad,
    "aten::constant_pad_nd": _Reader.pad,
    "aten::mean": _Reader.mean,
    "aten::max_pool2d": _Reader.maximum_pool,
    "aten::dropout": _Reader.nothing,
}


def _shape(value: Any) -> tuple[int, ...]:
    """Sizes that a value had while it was traced."""
    sizes = value.type().sizes()
    if sizes is None:
        raise Unsupported(f"the shape of {value.debugName()} is not known")
    return tuple(int(n) for n in sizes)
