"""OpenVINO's CPU plugin. The graph is read from memory: nothing is downloaded, nothing reported."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.runtime.compiled import Array, Compiled, Shapes, Signature, Stream
from models.runtime.graph import to_onnx
from models.runtime.openvino_import import import_openvino

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCHES = 4  # shapes kept compiled


def bf16() -> bool:
    """True where this processor multiplies bf16 faster than float32, by OpenVINO's own word."""
    ov = import_openvino()

    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVinoCompiled(Compiled):
    """A network in OpenVINO, compiled for every batch it meets (fixed shapes are faster than open ones)."""

    runtime = "openvino"

    def __init__(
        self, module: nn.Module, examples: tuple[Tensor, ...], signature: Signature, threads: int, precision: str
    ):
        ov = import_openvino()

        super().__init__(signature, threads, precision)
        self._core = ov.Core()
        self._graph = to_onnx(module, examples, signature)
        self._requests: OrderedDict[Shapes, Any] = OrderedDict()
        self._stateful: Any = None
        if signature.caches:
            self.stateful()  # a network that OpenVINO cannot run is refused here, not in the first step
        else:
            self.request(signature.shapes)

    def stateful(self) -> Any:
        """The network for one stream, compiled with its caches as the plugin's own state: in the plugin's type and
        layout, never copied in or out."""
        if self._stateful is None:
            from openvino.passes import MakeStateful, Manager

            signature = self.signature
            model = self._model(tuple((1, *s[1:]) for s in signature.shapes))
            if signature.caches:
                into = dict(zip(signature.inputs[signature.frames :], signature.outputs[signature.results :]))
                passes = Manager()
                passes.register_pass(MakeStateful(into))
                passes.run_passes(model)
            self._stateful = self._compile(model)
        return self._stateful

    def _model(self, shapes: Shapes) -> Any:
        """The graph with inputs of these shapes."""
        ov = import_openvino()

        model = self._core.read_model(self._graph)
        model.reshape({name: ov.PartialShape(list(s)) for name, s in zip(self.signature.inputs, shapes)})
        crop_by_padding(model)
        return model

    def _compile(self, model: Any) -> Any:
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

    def request(self, shapes: Shapes) -> Any:
        """An infer request for inputs of these shapes, caches included; the least recently used is forgotten."""
        if shapes in self._requests:
            self._requests.move_to_end(shapes)
        else:
            self._requests[shapes] = self._compile(self._model(shapes)).create_infer_request()
            if len(self._requests) > BATCHES:
                self._requests.popitem(last=False)
        return self._requests[shapes]

    def run(self, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        """See Compiled. Reads the caller's arrays and writes the results in place, without copies."""
        request = self.request(tuple(a.shape for a in arrays))
        for i, array in enumerate(arrays):
            request.set_input_tensor(i, shared(array))
        found = tuple(np.empty(tuple(o.shape), np.float32) for o in request.model_outputs)
        for i, array in enumerate(found):
            request.set_output_tensor(i, shared(array))
        request.infer()
        return found

    def describe(self) -> str:
        """See Compiled."""
        ov = import_openvino()

        return f"OpenVINO {ov.__version__.split('-')[0]}, {self.precision}, {self.threads} threads"

    def stream(self, rows: int = 1) -> Stream:
        """See Compiled."""
        return OpenVinoStream(self, rows)


class OpenVinoStream(Stream):
    """One infer request for every row; its caches are states inside the plugin."""

    compiled: OpenVinoCompiled

    def allocate(self) -> None:
        """See Stream."""
        signature, network = self.compiled.signature, self.compiled.stateful()
        self._requests = [network.create_infer_request() for _ in range(self.rows)]
        self._results = tuple(np.zeros((self.rows, *tuple(o.shape)[1:]), np.float32) for o in network.outputs)
        for row, request in enumerate(self._requests):
            for i, result in enumerate(self._results):
                request.set_output_tensor(i, shared(result[row : row + 1]))
        pairs = zip(signature.inputs[signature.frames :], signature.outputs[signature.results :])
        order = {given + taken: i for i, (given, taken) in enumerate(pairs)}  # as MakeStateful names its variables
        self._states = [sorted(r.query_state(), key=lambda s: order[s.name]) for r in self._requests]

    def step_all(self, frames: tuple[Array, ...]) -> None:
        """See Stream."""
        for row in range(self.rows):
            self.step_row(frames, row)

    def step_row(self, frames: tuple[Array, ...], row: int) -> None:
        """See Stream."""
        request = self._requests[row]
        for i, frame in enumerate(frames):
            request.set_input_tensor(i, shared(frame[row : row + 1]))
        request.infer()

    def reset_row(self, row: int) -> None:
        """See Stream."""
        for state in self._states[row]:
            state.reset()

    @property
    def caches(self) -> tuple[Array, ...]:
        """See Stream."""
        rows = [[np.array(state.state.data, np.float32) for state in states] for states in self._states]
        return tuple(np.concatenate(of_one) for of_one in zip(*rows))

    def load(self, caches: Sequence[NDArray[Any]]) -> None:
        """See Stream."""
        ov = import_openvino()

        self.check_caches(caches)
        for row, states in enumerate(self._states):
            for state, given in zip(states, caches):
                state.state = ov.Tensor(np.ascontiguousarray(given[row : row + 1], np.float32))


def crop_by_padding(model: Any) -> int:
    """Rewrites the slices in front of a shift's concatenation; returns how many.

    OpenVINO joins the two slices of a shift (first channels: the next cache; the rest: into the concatenation) to one
    split, which in the layout of the convolutions (channels last) runs as slow reference code and forces reorders
    around it: +20 % for MobileNetV2, +38 % for ResNet-50. A padding by a negative width is the same crop and is left
    alone.
    """
    ov = import_openvino()
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
    ov = import_openvino()

    return ov.Tensor(array, shared_memory=True)
