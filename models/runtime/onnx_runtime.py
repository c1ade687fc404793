"""ONNX Runtime on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.facts import ModelError
from models.runtime.compiled import Array, Compiled, Signature
from models.runtime.graph import to_onnx

if TYPE_CHECKING:
    from torch import Tensor, nn


class OnnxCompiled(Compiled):
    """A network in ONNX Runtime; one session for all batches."""

    runtime = "onnx"

    def __init__(
        self, module: nn.Module, examples: tuple[Tensor, ...], signature: Signature, threads: int, precision: str
    ):
        import onnxruntime

        if precision == "bf16":
            raise ModelError("ONNX Runtime has no bf16 on the CPU: take precision fp32 or runtime openvino")
        super().__init__(signature, threads, precision)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Waiting threads sleep: the cores belong to other nodes too.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            to_onnx(module, examples, signature), options, providers=["CPUExecutionProvider"]
        )

    def run(self, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        """See Compiled."""
        return tuple(self._session.run(None, dict(zip(self.signature.inputs, arrays))))

    def describe(self) -> str:
        """See Compiled."""
        import onnxruntime

        return f"ONNX Runtime {onnxruntime.__version__}, {self.precision}, {self.threads} threads"
