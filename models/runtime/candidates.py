"""What can run a dense network on this machine: pairs of a runtime and a precision, and how each is built.

native: our own kernels (csrc/), built with the package: 2D convolutional networks, the shift without any copy ·
torch: the module itself · openvino, onnx (ONNX Runtime): `pip install 'perception_nodes[fast]'`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.facts import ModelError
from models.runtime import native
from models.runtime.compiled import Compiled, Signature
from models.runtime.torch_runtime import TorchCompiled

if TYPE_CHECKING:
    from torch import Tensor, nn

RUNTIMES = ("native", "openvino", "onnx", "torch")
PACKAGES = {"openvino": "openvino", "onnx": "onnxruntime", "torch": "torch"}
PRECISIONS = ("auto", "fp32", "bf16")
HOW_TO_GET = "pip install 'perception_nodes[fast]'"


@dataclass(frozen=True)
class Candidate:
    """A runtime by name and the precision of its arithmetic, fp32 or bf16."""

    runtime: str
    precision: str

    def __str__(self) -> str:
        return f"{self.runtime} {self.precision}"


def available() -> dict[str, str]:
    """Version of every runtime (of `native`: its instruction set); "" where it is not installed."""
    found = {}
    for name in RUNTIMES:
        if name == "native":
            found[name] = native.NAMES[native.level()]
            continue
        package = PACKAGES[name]
        try:
            found[name] = importlib.metadata.version(package) if importlib.util.find_spec(package) else ""
        except importlib.metadata.PackageNotFoundError:
            found[name] = "found"
    return found


def has_bf16(runtime: str) -> bool:
    """True where a runtime that is installed multiplies bf16 in this processor's hardware."""
    if runtime == "native":
        return native.level() == native.AVX512_BF16
    if runtime == "openvino" and available()[runtime]:
        from models.runtime.openvino_runtime import bf16

        return bf16()
    return False


def candidates(precision: str = "auto") -> list[Candidate]:
    """What may run a network here, in the order of RUNTIMES. precision: auto is fp32, and bf16 where a runtime has it
    in hardware; bf16 adds torch, which has it everywhere, so that there is always one."""
    found = []
    for name, version in available().items():
        if version:
            if precision in ("auto", "fp32"):
                found.append(Candidate(name, "fp32"))
            if precision in ("auto", "bf16") and (has_bf16(name) or (precision == "bf16" and name == "torch")):
                found.append(Candidate(name, "bf16"))
    return found


def named(runtime: str, precision: str = "auto") -> Candidate:
    """The candidate that a name and a precision mean: auto is bf16 where the runtime has it in hardware."""
    if precision != "auto":
        return Candidate(runtime, precision)
    return Candidate(runtime, "bf16" if has_bf16(runtime) else "fp32")


def build(
    candidate: Candidate, module: nn.Module, examples: tuple[Tensor, ...], signature: Signature, threads: int
) -> Compiled:
    """The network in this candidate. Raises ModelError where it is not installed or cannot run the network."""
    name, precision = candidate.runtime, candidate.precision
    if not available()[name]:
        if name == "native":
            raise ModelError(f"runtime native is not there: {native.absence() or 'this processor has no AVX2'}")
        raise ModelError(f"runtime {name} is not installed: {HOW_TO_GET}")
    if name == "native":
        if precision == "bf16" and not has_bf16(name):
            raise ModelError("this processor has no AVX-512 BF16 for runtime native: take precision fp32")
        from models.runtime.native_runtime import NativeCompiled

        return NativeCompiled(module, examples, signature, threads, precision)
    if name == "torch":
        return TorchCompiled(module, signature, threads, precision)
    try:
        if name == "openvino":
            from models.runtime.openvino_runtime import OpenVinoCompiled

            return OpenVinoCompiled(module, examples, signature, threads, precision)
        from models.runtime.onnx_runtime import OnnxCompiled

        return OnnxCompiled(module, examples, signature, threads, precision)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"{name} cannot run {type(module).__name__}: {' '.join(str(error).split())[:300]}") from error
