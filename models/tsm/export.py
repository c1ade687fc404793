"""Video networks as ONNX or OpenVINO files for other programs, with their facts beside them.

A folder holds `<model>-step.*` (one frame and the caches in, logits and the next caches out), `<model>-clip.*` (a whole
clip in) and `<model>.yaml`: classes, image size and normalisation, names and shapes of inputs and outputs, and how far
each file is from torch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from models.facts import ModelError, ModelFacts
from models.runtime.agreement import difference
from models.runtime.candidates import HOW_TO_GET
from models.runtime.compiled import Signature
from models.runtime.graph import to_onnx
from models.runtime.openvino_import import import_openvino
from models.tsm.network import VideoNetwork
from models.tsm.preprocess import ImageFacts
from models.tsm.step import FlatStep
from models.tsm.steps import step_network

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMATS = {"onnx": (".onnx", "onnxruntime"), "openvino": (".xml", "openvino")}
LARGEST_DIFFERENCE = 1e-4  # of an output's largest value; a file beyond it is not kept


@dataclass(frozen=True)
class Exported:
    """A file that was written and read again.

    part: "step" or "clip" · path · difference: from torch on a random input, largest |difference| over the largest
    |value| of an output.
    """

    part: str
    path: Path
    difference: float


@dataclass(frozen=True)
class _Part:
    name: str
    module: nn.Module
    examples: tuple[Tensor, ...]
    signature: Signature


def export_video(network: VideoNetwork, facts: ModelFacts, form: str, folder: str | Path) -> list[Exported]:
    """Writes the step and the clip network of `network` into `folder` (made where absent) with the sidecar YAML.

    form: onnx or openvino. The batch stays open, everything else is fixed; a clip has `segments` frames.
    Raises ModelError where the format is unknown or its package is absent, or a file's results are not torch's.
    """
    if form not in FORMATS:
        raise ModelError(f"format {form!r} is unknown; known: {', '.join(FORMATS)}")
    if not isinstance(network, VideoNetwork):
        raise ModelError(f"{facts.name} is a {facts.architecture} network: only video networks can be exported")
    suffix, package = FORMATS[form]
    read = _reader(form, package)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stem = facts.name.replace("random:", "random-")
    written: list[Exported] = []
    parts = _parts(network, ImageFacts.of(facts.image, facts.name).size)
    for part in parts:
        path = folder / f"{stem}-{part.name}{suffix}"
        _write(to_onnx(part.module, part.examples, part.signature), path, form)
        written.append(Exported(part.name, path, _check(part, path, read)))
    described = _sidecar(facts, form, [(e, p.signature) for e, p in zip(written, parts)])
    (folder / f"{stem}.yaml").write_text(yaml.safe_dump(described, sort_keys=False, width=120))
    return written


def _parts(network: VideoNetwork, size: tuple[int, int]) -> list[_Part]:
    """The step network and the clip network with their examples."""
    import torch

    spec = network.eval().spec
    step = step_network(network)
    flat = FlatStep(step)
    inputs, outputs = flat.names()
    frame = torch.zeros(1, spec.in_channels, *size)
    clip = torch.zeros(1, spec.segments, spec.in_channels, *size)
    return [
        _part("step", flat, (frame, *step.zero_caches(*size)), inputs, outputs),
        _part("clip", network, (clip,), ["clip"], ["logits"]),
    ]


def _part(name: str, module: nn.Module, examples: tuple[Tensor, ...], inputs: list[str], outputs: list[str]) -> _Part:
    shapes = tuple(tuple(e.shape) for e in examples)
    return _Part(name, module.eval(), examples, Signature(tuple(inputs), tuple(outputs), shapes))


def _write(graph: bytes, path: Path, form: str) -> None:
    if form == "onnx":
        path.write_bytes(graph)
        return
    ov = import_openvino()

    ov.save_model(ov.Core().read_model(graph), str(path), compress_to_fp16=False)


Run = Callable[[list[Any]], list[Any]]


def _reader(form: str, package: str) -> Callable[[Path], Run]:
    """A function that opens a written file as a call; ModelError where the package for it is absent."""
    try:
        module = __import__(package)
    except ImportError:
        raise ModelError(f"{form} files need {package}, which is not installed: {HOW_TO_GET}") from None

    def read_onnx(path: Path) -> Run:
        session = module.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [i.name for i in session.get_inputs()]
        return lambda arrays: list(session.run(None, dict(zip(names, arrays))))

    def read_openvino(path: Path) -> Run:
        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        compiled = module.Core().compile_model(str(path), "CPU", exact)
        return lambda arrays: list(compiled(arrays).to_tuple())

    return read_onnx if form == "onnx" else read_openvino


def _check(part: _Part, path: Path, read: Callable[[Path], Run]) -> float:
    """Reads the file again and runs two random streams; ModelError where the results are not torch's."""
    import torch

    generator = torch.Generator().manual_seed(0)
    given = [torch.randn((2, *e.shape[1:]), generator=generator) for e in part.examples]
    with torch.inference_mode():
        expected = part.module(*given)
    expected = (expected,) if isinstance(expected, torch.Tensor) else expected
    found = read(path)([g.numpy() for g in given])
    worst = difference(found, [e.numpy() for e in expected])
    if not worst <= LARGEST_DIFFERENCE:
        path.unlink()
        raise ModelError(f"{path} was removed: its results differ from torch's by {worst:.1e} of the largest value")
    return worst


def _sidecar(facts: ModelFacts, form: str, files: list[tuple[Exported, Signature]]) -> dict[str, Any]:
    """What a program needs to use the files, as plain YAML."""
    described: dict[str, Any] = {
        "name": facts.name,
        "architecture": facts.architecture,
        "trained": facts.trained,
        "weights_sha256": facts.sha256,
        "licence": facts.licence,
        "classes": list(facts.class_names),
        "image": {k: v for k, v in (facts.image or {}).items()},
        "normalisation": facts.normalisation,
        "format": form,
        "files": {},
    }
    for exported, signature in files:
        inputs = {n: ["N", *s[1:]] for n, s in zip(signature.inputs, signature.shapes)}
        entry: dict[str, Any] = {
            "file": exported.path.name,
            "inputs": inputs,
            "outputs": list(signature.outputs),
            "largest_relative_difference_from_torch": float(np.float32(exported.difference)),
        }
        if exported.part == "step":
            entry["caches"] = {i: o for i, o in zip(signature.inputs[1:], signature.outputs[1:])}
            entry["start"] = "caches of zeros; feed every output cache_out_i back as cache_in_i with the next frame"
        described["files"][exported.part] = entry
    return described
