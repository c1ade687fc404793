"""Chooses the runtime of a network: the requested one, or the fastest of those whose results agree with torch's.

`auto` builds every candidate once, compares it with torch on generated inputs (agreement.py), times those that agree
(timing.py) and keeps the result for this machine (decisions.py). The environment variable PERCEPTION_RUNTIME names a
runtime, or a runtime and its precision ("openvino:fp32"), to take in place of the measurement.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from models.facts import ModelError
from models.runtime import decisions, timing
from models.runtime.agreement import Reference, Task
from models.runtime.candidates import PRECISIONS, RUNTIMES, Candidate, available, build, candidates, named
from models.runtime.compiled import Compiled, Signature
from models.runtime.decisions import Decision, Measured

if TYPE_CHECKING:
    from torch import Tensor, nn

FORCED = "PERCEPTION_RUNTIME"  # environment variable
WORTH = 1.03  # bf16 is taken where it is faster than fp32 by more than this factor
LOG = logging.getLogger(__name__)


def describe() -> str:
    """One line for `perception doctor`: what is there, and how `auto` chooses."""
    there = ", ".join(f"{name} {found}" if found else f"{name} not installed" for name, found in available().items())
    forced = os.environ.get(FORCED, "auto")
    if forced != "auto":
        return f"{FORCED} asks for {forced} ({there})"
    return f"{there}; `auto` measures {', '.join(map(str, candidates()))} once for each network"


def compile_network(
    module: nn.Module,
    example_inputs: tuple[Tensor, ...],
    runtime: str = "auto",
    threads: int = 2,
    precision: str = "auto",
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    caches: int = 0,
    task: Task | None = None,
    name: str = "",
) -> Compiled:
    """A module in the runtime asked for, or in the fastest.

    example_inputs: float32 tensors [N, …]; everything but N is fixed by them · threads: CPU threads of one call ·
    precision: auto is fp32, or bf16 where the processor has it in hardware and the runtime uses it · caches: so many of
    the last inputs are caches, whose next values are the last outputs (see Compiled.stream) · task: by which bf16 is
    compared with torch · name: of the network, for messages and `perception doctor`.
    In fp32 results are torch's within 1e-3 of an output's largest value (measured: 1e-4).
    Raises ModelError where a runtime asked for by name is not installed or cannot run the network.
    """
    if runtime not in (*RUNTIMES, "auto"):
        raise ModelError(f"runtime {runtime!r} is unknown; known: auto, {', '.join(RUNTIMES)}")
    if precision not in PRECISIONS:
        raise ModelError(f"precision {precision!r} is unknown; known: {', '.join(PRECISIONS)}")
    if threads < 1:
        raise ModelError(f"threads is {threads}, expected 1 or more")
    signature = examined(module, example_inputs, input_names, output_names, caches)
    if runtime == "auto":
        runtime, precision = forced(precision)
    if runtime != "auto":
        return build(named(runtime, precision), module, example_inputs, signature, threads)
    title = name or type(module).__name__
    key = decisions.key_of(module, signature, threads, precision)
    decision = decisions.load(key)
    if decision is not None:
        try:
            return build(decision.chosen, module, example_inputs, signature, threads)
        except ModelError as error:
            LOG.warning("%s was chosen for %s before and does not run now: %s", decision.chosen, title, error)
            decisions.forget(key)
    LOG.warning("%s: the runtimes are measured once on this machine; kept in %s", title, decisions.folder())
    load, reference = decisions.load_per_core(), Reference(module, signature, task)
    built: dict[Candidate, Compiled] = {}
    rows: list[Measured] = []
    for candidate in candidates(precision):
        rows.append(_tried(candidate, module, example_inputs, threads, reference, built))
    times = timing.interleaved(_works(built, reference))
    decision = decisions.keep(key, _decided(title, threads, task, rows, times, load))
    if decision.chosen in built:
        return built[decision.chosen]
    return build(decision.chosen, module, example_inputs, signature, threads)  # another process was first


def forced(precision: str) -> tuple[str, str]:
    """(runtime, precision) that the environment asks for, ("auto", precision) where it asks for none."""
    said = os.environ.get(FORCED, "auto")
    runtime, _, own = said.partition(":")
    if runtime not in (*RUNTIMES, "auto") or own not in ("", *PRECISIONS):
        raise ModelError(
            f"{FORCED} is {said!r}: expected auto or one of {', '.join(RUNTIMES)}, with :fp32 or :bf16 behind it if "
            "its precision is to be fixed"
        )
    return runtime, precision if precision != "auto" or not own else own


def examined(
    module: nn.Module,
    examples: tuple[Tensor, ...],
    inputs: Sequence[str] | None,
    outputs: Sequence[str] | None,
    caches: int = 0,
) -> Signature:
    """The signature of a module, which runs once. ModelError where names or caches do not fit."""
    import torch

    module.eval()
    with torch.inference_mode():
        found = module(*examples)
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
    return signature


def _tried(
    candidate: Candidate,
    module: nn.Module,
    examples: tuple[Tensor, ...],
    threads: int,
    reference: Reference,
    built: dict[Candidate, Compiled],
) -> Measured:
    """Builds a candidate and compares it with torch; it enters `built` where it agrees."""
    try:
        compiled = build(candidate, module, examples, reference.signature, threads)
        verdict = reference.judge(compiled)
    except Exception as error:  # whatever a runtime does not like about a network, another runs it
        if candidate.runtime == "torch":
            raise
        said = " ".join(str(error).split())[:200] or type(error).__name__
        return Measured(candidate.runtime, candidate.precision, refused=said)
    if not verdict.refused:
        built[candidate] = compiled
    worst = verdict.difference if np.isfinite(verdict.difference) else None
    return Measured(*_fields(candidate), None, worst, verdict.agreement, verdict.refused)


def _fields(candidate: Candidate) -> tuple[str, str]:
    return candidate.runtime, candidate.precision


def _works(built: dict[Candidate, Compiled], reference: Reference) -> dict:
    """One step of every candidate, as it is used: a stream where the network has caches."""
    frames = reference.steps[0]
    works = {}
    for candidate, compiled in built.items():
        if reference.signature.caches:
            stream = compiled.stream(reference.signature.shapes[0][0])
            works[candidate] = lambda stream=stream: stream.step(*frames)
        else:
            works[candidate] = lambda compiled=compiled: compiled(*frames)
    return works


def _decided(
    title: str, threads: int, task: Task | None, rows: Sequence[Measured], ms: dict[Candidate, float], load: float
) -> Decision:
    """The fastest of those that were timed; fp32 where bf16 is hardly faster."""
    if not ms:
        raise ModelError(f"no runtime gives torch's results for {title}: {'; '.join(r.refused for r in rows)}")
    chosen = min(ms, key=lambda c: ms[c] * (WORTH if c.precision == "bf16" else 1.0))
    timed = [
        Measured(r.runtime, r.precision, _rounded(ms.get(Candidate(r.runtime, r.precision))), r.difference, r.agreement,
                 r.refused)
        for r in rows
    ]  # fmt: skip
    return Decision(title, decisions.processor(), threads, task.name if task else "", chosen, tuple(timed), load)


def _rounded(ms: float | None) -> float | None:
    return None if ms is None else round(ms, 3)
