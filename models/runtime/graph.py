"""From a torch module to an ONNX graph in memory, which OpenVINO and ONNX Runtime both read."""

from __future__ import annotations

import inspect
import io
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from models.runtime.compiled import Signature

OPSET = 17


def to_onnx(module: nn.Module, examples: tuple[Tensor, ...], signature: Signature, dynamic: bool = True) -> bytes:
    """A serialised ONNX model in float32; dynamic: its batch (first axis of everything) stays open.

    Normalisations are folded into the convolutions before them. The tracing exporter is taken because it needs no
    further package and a fifth of the newer one's time; where a torch has only the newer one, that is used.
    """
    import torch

    known = inspect.signature(torch.onnx.export).parameters
    by_tracing: dict[str, Any] = {"dynamo": False} if "dynamo" in known else {}
    names = {*signature.inputs, *signature.outputs}
    out: Any = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                module.eval(), examples, out, opset_version=OPSET, do_constant_folding=True,
                input_names=list(signature.inputs), output_names=list(signature.outputs),
                dynamic_axes={n: {0: "batch"} for n in names} if dynamic else None,
                **by_tracing,
            )  # fmt: skip
        except TypeError:
            return _by_new_exporter(module, examples, signature, dynamic)
    return out.getvalue()


def _by_new_exporter(module: nn.Module, examples: tuple[Tensor, ...], signature: Signature, dynamic: bool) -> bytes:
    """The same by torch.export (needs onnxscript), for versions of torch that have nothing else."""
    import torch

    axes = tuple({0: torch.export.Dim.AUTO} for _ in examples) if dynamic else None
    program = torch.onnx.export(
        module.eval(), examples, dynamo=True, dynamic_shapes=axes,
        input_names=list(signature.inputs), output_names=list(signature.outputs),
    )  # fmt: skip
    return program.model_proto.SerializeToString() if program is not None else b""
