"""What every runtime offers: a network as a call from arrays to arrays, and a stream that keeps its caches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Signature:
    """What a network takes and gives.

    inputs, outputs: names in order · shapes: of the example inputs; the first axis is the batch and may change later ·
    caches: so many of the last inputs are the past of a stream; the network gives their next values as its last
    outputs.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: Shapes
    caches: int = 0

    @property
    def frames(self) -> int:
        """Inputs that are no caches."""
        return len(self.inputs) - self.caches

    @property
    def results(self) -> int:
        """Outputs that are no caches."""
        return len(self.outputs) - self.caches

    def cache_shapes(self, rows: int = 1) -> Shapes:
        """Shapes of the caches of so many streams."""
        return tuple((rows, *shape[1:]) for shape in self.shapes[self.frames :])


class Compiled:
    """A network in one runtime. Not for several threads at once: give each its own.

    runtime: its name · threads: it runs on · precision: fp32 or bf16 of its arithmetic; arrays are always float32.
    """

    runtime = ""

    def __init__(self, signature: Signature, threads: int, precision: str):
        self.signature = signature
        self.threads = threads
        self.precision = precision

    def __call__(self, *arrays: NDArray[Any]) -> tuple[Array, ...]:
        """float32 arrays in the order of the inputs -> float32 arrays in the order of the outputs, which are the
        caller's to keep. The batch may differ from call to call (what is compiled for a batch is kept).

        Raises ValueError for arrays that do not fit the network.
        """
        return self.run(self.checked(arrays))

    def run(self, arrays: tuple[Array, ...]) -> tuple[Array, ...]:
        """The call with arrays that were checked."""
        raise NotImplementedError

    def describe(self) -> str:
        """The runtime in words: name, version, precision, threads."""
        raise NotImplementedError

    def checked(self, arrays: Sequence[NDArray[Any]]) -> tuple[Array, ...]:
        """The arrays as contiguous float32; ValueError where their number or shapes do not fit."""
        names, shapes = self.signature.inputs, self.signature.shapes
        if len(arrays) != len(names):
            raise ValueError(f"{len(arrays)} arrays, expected {len(names)}: {', '.join(names)}")
        for name, array, shape in zip(names, arrays, shapes):
            if array.ndim != len(shape) or array.shape[1:] != shape[1:] or array.shape[0] < 1:
                expected = "x".join(("N", *map(str, shape[1:])))
                raise ValueError(f"{name} has shape {tuple(array.shape)}, expected {expected} as it was compiled for")
        if len({a.shape[0] for a in arrays}) > 1:
            raise ValueError(f"batches differ: {', '.join(f'{n} {a.shape[0]}' for n, a in zip(names, arrays))}")
        return tuple(np.ascontiguousarray(a, np.float32) for a in arrays)

    def stream(self, rows: int = 1) -> Stream:
        """This network with the caches of `rows` independent streams kept between calls, see Stream."""
        return Stream(self, rows)


class Stream:
    """A step network that keeps the caches of its rows where they cost least; all start as zeros.

    Each row is an independent stream (a camera). `Signature.caches` says which inputs are caches. Runtimes override
    `allocate`, `step_row`, `step_all`, `reset_row`, `caches` and `load`.
    """

    def __init__(self, compiled: Compiled, rows: int = 1):
        if rows < 1:
            raise ValueError(f"rows is {rows}, expected 1 or more")
        self.compiled = compiled
        self.rows = rows
        self.shapes: Shapes = compiled.signature.cache_shapes(rows)
        self._results: tuple[Array, ...] = ()
        self.allocate()

    def step(self, *frames: NDArray[Any], rows: Sequence[int] | None = None) -> tuple[Array, ...]:
        """Every input that is not a cache, float32 [rows of the stream, …] -> every output that is not a cache, float32
        [rows of the stream, …], valid until the next step.

        rows: the rows to step (None: all); the others keep their caches, their part of `frames` is not read and their
        part of the outputs is not defined. All rows together may run as one batch.
        Raises ValueError where the shapes or the rows do not fit; nothing changes then.
        """
        taken = self._checked(frames)
        if rows is None or len(rows) == self.rows == len(set(rows)):
            self.step_all(taken)
            return self._results
        wrong = [row for row in rows if not 0 <= row < self.rows]
        if wrong or len(set(rows)) < len(rows):
            raise ValueError(f"rows {list(rows)}: expected different rows of 0 to {self.rows - 1}")
        for row in rows:
            self.step_row(taken, row)
        return self._results

    def reset(self, row: int | None = None) -> None:
        """Zero caches for one row, or for all."""
        for one in range(self.rows) if row is None else (row,):
            self.reset_row(one)

    @property
    def cache_bytes(self) -> int:
        """Memory of the caches of all rows in float32 (one set; a runtime may hold a second to write into)."""
        return int(sum(4 * np.prod(s) for s in self.shapes))

    def allocate(self) -> None:
        """Makes the caches."""
        self._caches: tuple[Array, ...] = tuple(np.zeros(s, np.float32) for s in self.shapes)

    def step_all(self, frames: tuple[Array, ...]) -> None:
        """One step of all rows; leaves the outputs in `_results`."""
        found = self.compiled.run((*frames, *self._caches))
        count = self.compiled.signature.results
        self._results, self._caches = found[:count], found[count:]

    def step_row(self, frames: tuple[Array, ...], row: int) -> None:
        """One step of one row."""
        here = slice(row, row + 1)
        found = self.compiled.run(tuple(a[here] for a in (*frames, *self._caches)))
        count = self.compiled.signature.results
        for cache, new in zip(self._caches, found[count:]):
            cache[here] = new
        self.keep(found[:count], row)

    def keep(self, results: Sequence[Array], row: int) -> None:
        """Puts the outputs of one row where `step` returns them."""
        if not self._results:
            self._results = tuple(np.zeros((self.rows, *r.shape[1:]), np.float32) for r in results)
        for mine, new in zip(self._results, results):
            mine[row] = new[0]

    def reset_row(self, row: int) -> None:
        """Zero caches for one row."""
        for cache in self._caches:
            cache[row] = 0.0

    @property
    def caches(self) -> tuple[Array, ...]:
        """Copies of the caches, float32 [rows, …]."""
        return tuple(c.copy() for c in self._caches)

    def load(self, caches: Sequence[NDArray[Any]]) -> None:
        """Goes on from these caches; ValueError where their shapes do not fit."""
        self.check_caches(caches)
        self._caches = tuple(np.array(c, np.float32) for c in caches)

    def check_caches(self, caches: Sequence[NDArray[Any]]) -> None:
        """ValueError where the shapes of given caches do not fit."""
        found = tuple(tuple(c.shape) for c in caches)
        if found != self.shapes:
            raise ValueError(f"caches of shapes {found}, expected {self.shapes}")

    def _checked(self, frames: Sequence[NDArray[Any]]) -> tuple[Array, ...]:
        signature = self.compiled.signature
        names = signature.inputs[: signature.frames]
        expected = tuple((self.rows, *shape[1:]) for shape in signature.shapes[: signature.frames])
        found = tuple(tuple(f.shape) for f in frames)
        if found != expected:
            raise ValueError(f"{', '.join(names)}: found arrays of shapes {found}, expected {expected}")
        return tuple(np.ascontiguousarray(f, np.float32) for f in frames)
