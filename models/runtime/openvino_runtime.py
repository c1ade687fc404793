"""OpenVINO's CPU plugin. The graph is read from memory: nothing is downloaded, nothing reported."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.runtime.compiled import Array, Compiled, Shapes, Signature, Stream
from models.runtime.graph import to_onnx

if TYPE_CHECKING:
    from torch import Tensor, nn

PLANS = 4  # shapes kept compiled


def bf16() -> bool:
    """True where this processor multiplies bf16 faster than float32, by OpenVINO's own word."""
    import openvino as ov

    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoCompiled(Compiled):
    """A network in OpenVINO, compiled for every batch it meets (fixed shapes are faster than open ones)."""

    runtime = "openvino"

    def __init__(
        self, module: nn.Module, examples: tuple[Tensor, ...], signature: Signature, threads: int, precision: str
    ):
        import openvino as ov

        super().__init__(signature, threads, precision)
        self._core = ov.Core()
        self._graph = to_onnx(module, examples, signature)
        self._plans: OrderedDict[Shapes, Any] = OrderedDict()
        self.plan(signature.shapes)

    def compile(self, shapes: Shapes) -> Any:
        """The network compiled for inputs of these shapes."""
        import openvino as ov

        model = self._core.read_model(self._graph)
        model.reshape({name: ov.PartialShape(list(s)) for name, s in zip(self.signature.inputs, shapes)})
        crop_by_padding(model)
        return self._core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": self.threads,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bf16" else "f32",
            },
        )

    def plan(self, shapes: Shapes) -> Any:
        """An infer request for inputs of these shapes; the least recently used is forgotten."""
        if shapes in self._plans:
            self._plans.move_to_end(shapes)
        else:
            self._plans[shapes] = self.compile(shapes).create_infer_request()
            if len(self._plans) > PLANS:
                self._plans.popitem(last=False)
        return self._plans[shapes]

    def run(self, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        """See Compiled. Reads the caller's arrays and writes the results in place, without copies."""
        request = self.plan(tuple(a.shape for a in arrays))
        for i, array in enumerate(arrays):
            request.set_input_tensor(i, shared(array))
        found = tuple(np.empty(tuple(o.shape), np.float32) for o in request.model_outputs)
        for i, array in enumerate(found):
            request.set_output_tensor(i, shared(array))
        request.infer()
        return found

    def describe(self) -> str:
        """See Compiled."""
        import openvino as ov

        return f"OpenVINO {ov.__version__.split('-')[0]}, {self.precision}, {self.threads} threads"

    def stream(self, batch: int = 1) -> Stream:
        """See Compiled."""
        return OpenVinoStream(self, batch)


class OpenVinoStream(Stream):
    """Two sets of caches that change places at every step; nothing is copied."""

    compiled: OpenVinoCompiled

    def allocate(self) -> None:
        """See Stream."""
        shapes = tuple((self.batch, *s[1:]) for s in self.compiled.signature.shapes)
        self._request = self.compiled.compile(shapes).create_infer_request()
        self._sets = [[np.zeros(s, np.float32) for s in self.shapes] for _ in range(2)]
        self._tensors = [[shared(a) for a in kept] for kept in self._sets]
        self._first = np.zeros(tuple(self._request.model_outputs[0].shape), np.float32)
        self._request.set_output_tensor(0, shared(self._first))
        self._now = 0

    def step(self, *frames: NDArray[Any]) -> Array:
        """See Stream."""
        checked = self.compiled.checked((*frames, *self._sets[self._now]))
        for i, frame in enumerate(checked[: self.frames]):
            self._request.set_input_tensor(i, shared(frame))
        for i, (old, new) in enumerate(zip(self._tensors[self._now], self._tensors[1 - self._now])):
            self._request.set_input_tensor(self.frames + i, old)
            self._request.set_output_tensor(1 + i, new)
        self._request.infer()
        self._now = 1 - self._now
        return self._first

    @property
    def caches(self) -> tuple[Array, ...]:
        """See Stream."""
        return tuple(c.copy() for c in self._sets[self._now])

    def load(self, caches: Sequence[NDArray[Any]]) -> None:
        """See Stream."""
        found = tuple(tuple(c.shape) for c in caches)
        if found != self.shapes:
            raise ValueError(f"caches of shapes {found}, expected {self.shapes}")
        for mine, given in zip(self._sets[self._now], caches):
            np.copyto(mine, given)


def crop_by_padding(model: Any) -> int:
    """Rewrites the slices in front of a shift's concatenation; returns how many.

    OpenVINO joins the two slices of a shift (first channels: the next cache; the rest: into the concatenation) to one
    split, which in the layout of the convolutions (channels last) runs as slow reference code and forces reorders
    around it: +20 % for MobileNetV2, +38 % for ResNet-50. A padding by a negative width is the same crop and is left
    alone.
    """
    import openvino as ov
    from openvino.passes import ConstantFolding, Manager

    fold = Manager()
    fold.register_pass(ConstantFolding())
    fold.run_passes(model)
    found = 0
    for node in model.get_ops():
        if node.get_type_name() != "Slice" or len(node.get_output_shape(0)) != 4:
            continue
        users = [t.get_node().get_type_name() for t in node.output(0).get_target_inputs()]
        before, after = list(node.input_value(0).get_shape()), list(node.get_output_shape(0))
        start = node.input_value(1).get_node()
        if users != ["Concat"] or start.get_type_name() != "Constant" or before[2:] != after[2:]:
            continue
        gone = before[1] - after[1]
        if gone <= 0 or start.data.tolist() != [gone]:  # only channels, only from the front
            continue
        none, front = np.zeros(4, np.int64), np.array([0, -gone, 0, 0], np.int64)
        crop = ov.opset12.pad(node.input_value(0), front, none, "constant", np.float32(0.0))
        node.output(0).replace(crop.output(0))
        found += 1
    return found


def shared(array: Array) -> Any:
    """An OpenVINO tensor over the array's own memory."""
    import openvino as ov

    return ov.Tensor(array, shared_memory=True)
