"""Which runtime runs a network.

auto      the first of `order()` that is installed, takes the network and agrees with torch on a random input
native    our own kernels (csrc/), built with the package: 2D convolutional networks, the shift without any copy
torch     the module itself · openvino · onnx (ONNX Runtime): `pip install 'perception_nodes[fast]'`
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from models.facts import ModelError
from models.runtime import native
from models.runtime.compiled import Compiled, Signature
from models.runtime.lower import Unsupported
from models.runtime.torch_runtime import TorchCompiled

if TYPE_CHECKING:
    from torch import Tensor, nn

RUNTIMES = ("openvino", "native", "onnx", "torch")
PACKAGES = {"openvino": "openvino", "onnx": "onnxruntime", "torch": "torch"}
PRECISIONS = ("auto", "fp32", "bf16")
HOW_TO_GET = "pip install 'perception_nodes[fast]'"
TOLERANCE = {"fp32": 1e-3, "bf16": 5e-2}  # of the largest value of an output; beyond it, it is not the same network


class RuntimeFallback(UserWarning):
    """`auto` took another runtime than the fastest; the message says why."""


def order(precision: str = "auto") -> tuple[str, ...]:
    """RUNTIMES, fastest first on this processor, as `benchmarks.tsm` measured.

    Our kernels lead on processors with AVX2 alone in fp32, and with AVX-512 BF16 in bf16. OpenVINO leads in fp32 where
    it has wider vectors (AVX-512), and in bf16 where the processor has AMX, which ours do not use.
    """
    leading = {native.AVX2: ("auto", "fp32"), native.AVX512_BF16: ("auto", "bf16")}
    if precision in leading.get(native.level(), ()):
        return ("native", *(name for name in RUNTIMES if name != "native"))
    return RUNTIMES


def why() -> str:
    """Why `auto` goes by this order here."""
    level = native.level()
    if level == native.AVX2:
        return "AVX2 without AVX-512: our kernels are faster than OpenVINO, and take 2D convolutional networks"
    if level == native.AVX512:
        return "AVX-512 without BF16, or with AMX, which OpenVINO uses and our kernels do not"
    if level == native.AVX512_BF16:
        return "AVX-512 with BF16: our kernels shift for nothing, and take 2D convolutional networks"
    return f"no kernels of our own: {native.absence() or 'this processor has no AVX2'}"


def available() -> dict[str, str]:
    """Version of every runtime, fastest first; "" where it is not installed."""
    found = {}
    for name in order():
        if name == "native":
            found[name] = native.NAMES[native.level()]
            continue
        package = PACKAGES[name]
        try:
            found[name] = importlib.metadata.version(package) if importlib.util.find_spec(package) else ""
        except importlib.metadata.PackageNotFoundError:
            found[name] = "found"
    return found


def describe() -> str:
    """One line for `perception doctor`: what `auto` takes first and why, what else is there."""
    found = available()
    first = next(name for name, version in found.items() if version)
    there = ", ".join(f"{name} {version}" if version else f"{name} not installed" for name, version in found.items())
    return f"dense networks run on {first} ({there}; {why()})"


def compile_network(
    module: nn.Module,
    example_inputs: tuple[Tensor, ...],
    runtime: str = "auto",
    threads: int = 2,
    precision: str = "auto",
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    caches: int = 0,
) -> Compiled:
    """A module in the runtime asked for.

    example_inputs: float32 tensors [N, …]; everything but N is fixed by them · threads: CPU threads of one call ·
    caches: so many of the last inputs are caches, whose next values are the last outputs (see Compiled.stream) ·
    precision: auto is bf16 where the processor has it in hardware and the runtime says so, fp32 otherwise. Results are
    torch's within 1e-4 of an output's largest value in fp32.
    Raises ModelError where a runtime asked for by name is not installed or cannot run the network; `auto` warns
    (RuntimeFallback) and takes the next.
    """
    if runtime not in (*RUNTIMES, "auto"):
        raise ModelError(f"runtime {runtime!r} is unknown; known: auto, {', '.join(RUNTIMES)}")
    if precision not in PRECISIONS:
        raise ModelError(f"precision {precision!r} is unknown; known: {', '.join(PRECISIONS)}")
    if threads < 1:
        raise ModelError(f"threads is {threads}, expected 1 or more")
    signature, expected = _examine(module, example_inputs, input_names, output_names, caches)
    if runtime != "auto":
        return _build(runtime, module, example_inputs, signature, threads, precision)
    passed_over = []
    for name in order(precision):
        try:
            compiled = _build(name, module, example_inputs, signature, threads, precision)
            _agree(compiled, *expected)
        except Exception as error:  # whatever a foreign runtime does not like about a network, torch runs it
            if name == RUNTIMES[-1]:
                raise
            if not isinstance(error, Unsupported):  # our kernels are not for every network; that is no news
                passed_over.append(" ".join(str(error).split())[:200])
            continue
        if passed_over:
            _warn_once(f"the network runs on {name}, which is slower: {'; '.join(passed_over)}")
        return compiled
    raise AssertionError("the last runtime either runs or raises")


def _build(
    name: str, module: nn.Module, examples: tuple[Tensor, ...], signature: Signature, threads: int, precision: str
) -> Compiled:
    if name == "native":
        if not available()[name]:
            raise ModelError(f"runtime native is not there: {native.absence() or 'this processor has no AVX2'}")
        from models.runtime.native_runtime import NativeCompiled

        has_bf16 = native.level() == native.AVX512_BF16
        if precision == "bf16" and not has_bf16:
            raise ModelError("this processor has no AVX-512 BF16 for runtime native: take precision fp32")
        chosen = precision if precision != "auto" else "bf16" if has_bf16 else "fp32"
        return NativeCompiled(module, examples, signature, threads, chosen)
    if not available()[name]:
        raise ModelError(f"runtime {name} is not installed: {HOW_TO_GET}")
    if name == "torch":
        return TorchCompiled(module, signature, threads, "fp32" if precision == "auto" else precision)
    try:
        if name == "openvino":
            from models.runtime.openvino_runtime import OpenVinoCompiled, bf16

            chosen = precision if precision != "auto" else "bf16" if bf16() else "fp32"
            return OpenVinoCompiled(module, examples, signature, threads, chosen)
        from models.runtime.onnx_runtime import OnnxCompiled

        return OnnxCompiled(module, examples, signature, threads, "fp32" if precision == "auto" else precision)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(f"{name} cannot run {type(module).__name__}: {' '.join(str(error).split())[:300]}") from error


def _examine(
    module: nn.Module,
    examples: tuple[Tensor, ...],
    inputs: Sequence[str] | None,
    outputs: Sequence[str] | None,
    caches: int,
) -> tuple[Signature, tuple[list[Any], list[Any]]]:
    """(signature, (random inputs of the examples' shapes, torch's outputs for them)) as arrays."""
    import torch

    generator = torch.Generator().manual_seed(0)
    given = tuple(torch.rand(e.shape, generator=generator) for e in examples)
    module.eval()
    with torch.inference_mode():
        found = module(*given)
    found = (found,) if isinstance(found, torch.Tensor) else tuple(found)
    names_in = tuple(inputs or (f"input{i}" for i in range(len(examples))))
    names_out = tuple(outputs or (f"output{i}" for i in range(len(found))))
    for what, names, count in (("input", names_in, len(examples)), ("output", names_out, len(found))):
        if len(names) != count:
            raise ModelError(f"{len(names)} {what} names for {count} {what}s: {', '.join(names)}")
    signature = Signature(names_in, names_out, tuple(tuple(e.shape) for e in examples), caches)
    given_back = [tuple(f.shape) for f in found[signature.results :]] if caches else []
    if signature.frames < 1 or signature.results < 1 or given_back != [*signature.shapes[signature.frames :]]:
        raise ModelError(
            f"{caches} caches of a network with inputs {', '.join(names_in)} and outputs {', '.join(names_out)}: "
            "expected a frame beside the caches, a result beside their next values, and equal shapes of both"
        )
    return signature, ([g.numpy() for g in given], [f.numpy() for f in found])


def difference(found: Sequence[Any], expected: Sequence[Any]) -> float:
    """Largest |found - expected| of all outputs, each over the largest |expected| of its output."""
    worst = 0.0
    for a, b in zip(found, expected):
        worst = max(worst, float(np.abs(a - b).max(initial=0.0)) / max(float(np.abs(b).max(initial=0.0)), 1e-12))
    return worst


def _agree(compiled: Compiled, given: Sequence[Any], expected: Sequence[Any]) -> None:
    worst = difference(compiled(*given), expected)
    if not worst <= TOLERANCE[compiled.precision]:
        raise ModelError(f"its results differ from torch's by {worst:.1e}")


_told: set[str] = set()


def _warn_once(said: str) -> None:
    if said not in _told:
        _told.add(said)
        warnings.warn(said, RuntimeFallback, stacklevel=3)
