"""The rulebook of one sparse convolution: which input row meets which output row under which kernel offset."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


@dataclass
class KernelMap:
    """Pairs (input row, output row), grouped by kernel offset.

    pairs: int32 [2, P], row 0 the input rows, row 1 the output rows; the pairs of offset k are
        pairs[:, starts[k]:starts[k+1]], their output rows ascending and distinct (so are the input rows, in any order).
    starts: int64 [K + 1].
    inputs, outputs: number of rows on each side.
    parent: of 2^3 stride-2 maps, int32 [inputs]: the output row of every input row, where known.
    centre: the offset at which every row meets itself (submanifold maps of odd kernels), or -1.
    """

    pairs: np.ndarray
    starts: np.ndarray
    inputs: int
    outputs: int
    centre: int = -1
    parent: np.ndarray | None = None
    _cache: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def volume(self) -> int:
        """Number of kernel offsets K."""
        return len(self.starts) - 1

    def __len__(self) -> int:
        return self.pairs.shape[1]

    @property
    def transposed(self) -> KernelMap:
        """The map of the transposed convolution: input and output rows swapped, offsets kept."""
        if "transposed" not in self._cache:
            swapped = np.ascontiguousarray(self.pairs[::-1])
            back = sort_by_output(swapped, self.starts)
            self._cache["transposed"] = KernelMap(back, self.starts, self.outputs, self.inputs, self.centre)
        return self._cache["transposed"]

    def rows(self, device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor]:
        """(input rows, output rows) as int32 tensors [P] on `device`, kept there for the next call."""
        import torch

        key = ("rows", str(device))
        if key not in self._cache:
            both = torch.from_numpy(self.pairs).to(device)
            self._cache[key] = (both[0], both[1])
        return self._cache[key]

    def table(self, device: torch.device | str, by_input: bool = False) -> torch.Tensor:
        """int32 [outputs, K]: the input row of every output row and offset; `inputs` where there is none.

        by_input: int32 [inputs, K], the output row of every input row instead; `outputs` where there is none.
        """
        import torch

        key = ("table", str(device), by_input)
        if key not in self._cache:
            source, target = self.rows(device)[:: -1 if by_input else 1]
            rows, missing = (self.inputs, self.outputs) if by_input else (self.outputs, self.inputs)
            counts = torch.from_numpy(np.diff(self.starts)).to(device)
            offset = torch.repeat_interleave(torch.arange(self.volume, device=device), counts, output_size=len(self))
            table = torch.full((rows, self.volume), missing, dtype=torch.int32, device=device)
            table[target.long(), offset] = source
            self._cache[key] = table
        return self._cache[key]


def sort_by_output(pairs: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Pairs int32 [2, P] with the output rows ascending within each offset; returned as they are where they already
    ascend.
    """
    for k in range(len(starts) - 1):
        part = pairs[:, starts[k] : starts[k + 1]]
        if len(part[1]) > 1 and not (part[1][1:] > part[1][:-1]).all():
            part[:] = part[:, np.argsort(part[1], kind="stable")]
    return pairs
