"""The newest generated sweeps, kept in (device) memory, each used several times under fresh augmentation."""

from __future__ import annotations

import torch
from torch import Tensor

from training.segmentation.augment import RARE, PointBatch
from training.segmentation.sweep_wire import UNITS_PER_METRE, CompactSweep

BLOCK_BYTES = 64 << 20  # more than glibc ever takes from its heap


class Blocks:
    """Memory for tensors that stay long, apart from those that come and go with every step: thousands of the ones
    between the others make each `malloc` a search (of 8400 sweeps: a tenth of the time). A block goes when nothing in
    it is in use."""

    def __init__(self, device: torch.device):
        self._device = device
        self._block = torch.empty(0, dtype=torch.uint8)
        self._used = 0

    def keep(self, values: Tensor) -> Tensor:
        """A copy of `values` on the device."""
        size = values.numel() * values.element_size()
        if self._used + size > len(self._block):
            self._block = torch.empty(max(BLOCK_BYTES, size), dtype=torch.uint8, device=self._device)
            self._used = 0
        place = self._block[self._used : self._used + size].view(values.dtype).view(values.shape)
        self._used += -(-size // 64) * 64
        return place.copy_(values)


class SweepBuffer:
    """Keeps the newest `capacity` sweeps on `device`; draws batches that favour sweeps with rare classes.

    classes: number of point classes. `counts` float64 [classes]: labelled points seen since the start.
    """

    def __init__(self, capacity: int, device: torch.device, classes: int):
        self._capacity, self._classes, self._blocks = capacity, classes, Blocks(device)
        self._xyz: list[Tensor] = []
        self._rest: list[Tensor] = []
        self._weight: list[float] = []
        self._next = 0
        self.added = 0
        self.counts = torch.zeros(classes, dtype=torch.float64)

    def __len__(self) -> int:
        return len(self._xyz)

    def add(self, sweep: CompactSweep) -> None:
        """Stores a sweep in place of the oldest one once the buffer is full."""
        xyz, rest = compact(sweep, torch.device("cpu"))
        histogram = torch.bincount(rest[1].long(), minlength=256)[: self._classes]
        self.counts += histogram.double()
        weight = 1.0 + sum(0.5 for c in RARE if int(histogram[c]) > 20)
        xyz, rest = self._blocks.keep(xyz), self._blocks.keep(rest)
        if len(self._xyz) < self._capacity:
            self._xyz.append(xyz)
            self._rest.append(rest)
            self._weight.append(weight)
        else:
            self._xyz[self._next], self._rest[self._next], self._weight[self._next] = xyz, rest, weight
            self._next = (self._next + 1) % self._capacity
        self.added += 1

    def draw(self, size: int, generator: torch.Generator) -> PointBatch:
        """`size` different sweeps (fewer where the buffer holds fewer); `generator` lives on the CPU."""
        weights = torch.tensor(self._weight)
        rows = torch.multinomial(weights, min(size, len(weights)), replacement=False, generator=generator).tolist()
        return collate([(self._xyz[i], self._rest[i]) for i in rows])


def collate(sweeps: list[tuple[Tensor, Tensor]]) -> PointBatch:
    """Compact tensors (xyz int16 [N, 3], (intensity, label, ring) uint8 [3, N]) as one flat batch."""
    device = sweeps[0][0].device
    lengths = torch.tensor([len(x) for x, _ in sweeps], device=device)
    rest = torch.cat([r for _, r in sweeps], 1)
    return PointBatch(
        torch.cat([x for x, _ in sweeps]).float() / UNITS_PER_METRE,
        rest[0].float() / 255.0,
        rest[1].long(),
        rest[2].long(),
        torch.repeat_interleave(torch.arange(len(sweeps), device=device), lengths),
        len(sweeps),
        torch.ones(len(sweeps), device=device),
    )


def compact(sweep: CompactSweep, device: torch.device) -> tuple[Tensor, Tensor]:
    """The tensors of one sweep, as `collate` takes them."""
    rest = torch.stack([torch.from_numpy(a.copy()) for a in (sweep.intensity, sweep.label, sweep.ring)])
    return torch.from_numpy(sweep.xyz.copy()).to(device), rest.to(device)
