"""What every runtime offers: a network as a call from arrays to arrays, and a stream that keeps its caches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.facts import ModelError

Array = NDArray[np.float32]
Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Signature:
    """What a network takes and gives.

    inputs, outputs: names in order · shapes: of the example inputs; the first axis is the batch and may change later.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: Shapes


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
        caller's to keep. The batch may differ from call to call (a plan per shape is kept).

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

    def stream(self, batch: int = 1) -> Stream:
        """This network with its caches kept between calls, see Stream."""
        return Stream(self, batch)


class Stream:
    """A step network that keeps its caches where they cost least; all start as zeros.

    The network takes (inputs…, caches…) and gives (outputs…, caches…): the last inputs are caches, as many as there are
    outputs after the first. Rows of the batch are independent streams.
    """

    def __init__(self, compiled: Compiled, batch: int = 1):
        if batch < 1:
            raise ValueError(f"batch is {batch}, expected 1 or more")
        signature = compiled.signature
        self.compiled = compiled
        self.batch = batch
        self.count = len(signature.outputs) - 1  # caches
        self.frames = len(signature.inputs) - self.count  # inputs that are no caches
        if self.frames < 1:
            raise ModelError(
                f"a stream needs a frame beside its caches: found inputs {', '.join(signature.inputs)} and outputs "
                f"{', '.join(signature.outputs)}"
            )
        self.shapes: Shapes = tuple((batch, *s[1:]) for s in signature.shapes[self.frames :])
        self.allocate()

    def allocate(self) -> None:
        """Makes the caches."""
        self._caches: tuple[Array, ...] = tuple(np.zeros(s, np.float32) for s in self.shapes)

    def step(self, *frames: NDArray[Any]) -> Array:
        """The inputs that are no caches, float32 -> the first output float32, valid until the next step."""
        first, *kept = self.compiled(*frames, *self._caches)
        self._caches = tuple(kept)
        return first

    @property
    def caches(self) -> tuple[Array, ...]:
        """Copies of the caches."""
        return tuple(c.copy() for c in self._caches)

    def load(self, caches: Sequence[NDArray[Any]]) -> None:
        """Goes on from these caches; ValueError where their shapes do not fit."""
        found = tuple(tuple(c.shape) for c in caches)
        if found != self.shapes:
            raise ValueError(f"caches of shapes {found}, expected {self.shapes}")
        self._caches = tuple(np.array(c, np.float32) for c in caches)

    def reset(self, row: int | None = None) -> None:
        """Zero caches for one stream, or for all."""
        rows = slice(None) if row is None else row
        kept = self.caches
        for cache in kept:
            cache[rows] = 0.0
        self.load(kept)

    @property
    def cache_bytes(self) -> int:
        """Memory of the caches of all streams (one set; a runtime may hold a second to write into)."""
        return int(sum(4 * np.prod(s) for s in self.shapes))
