"""A labelled sweep as bytes: how generator processes hand sweeps to the trainer, and how the replay buffer keeps them.

9 bytes a point: coordinates in 1/256 m (int16, +-128 m), intensity and label and ring a byte each. The rounding error,
2 mm, is a tenth of a LiDAR's noise.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

UNITS_PER_METRE = 256.0
REACH = 127.9  # metres; points further out along any axis are left out
HEADER = struct.Struct("<4sIQ16s")
MAGIC = b"SWP1"


@dataclass(frozen=True)
class CompactSweep:
    """xyz int16 [N, 3] in 1/256 m, sensor frame; intensity uint8 [N] (0..255 is 0..1); label uint8 [N]; ring uint8 [N];
    `seed` of the world, `pattern` name of the beam table."""

    xyz: NDArray[np.int16]
    intensity: NDArray[np.uint8]
    label: NDArray[np.uint8]
    ring: NDArray[np.uint8]
    seed: int
    pattern: str

    @staticmethod
    def pack(xyz, intensity, label, ring, seed: int, pattern: str) -> CompactSweep:
        """From metres and 0..1 intensities; points that are not finite or beyond REACH are dropped."""
        near = (np.abs(np.nan_to_num(xyz, nan=np.inf)) < REACH).all(1)
        return CompactSweep(
            np.rint(xyz[near] * UNITS_PER_METRE).astype(np.int16),
            np.rint(np.clip(intensity[near], 0.0, 1.0) * 255).astype(np.uint8),
            np.asarray(label[near], np.uint8),
            np.asarray(ring[near], np.uint8),
            seed,
            pattern,
        )

    def metres(self) -> NDArray[np.float32]:
        """xyz float32 [N, 3] m."""
        return self.xyz.astype(np.float32) / np.float32(UNITS_PER_METRE)


def write_sweep(stream: BinaryIO, sweep: CompactSweep) -> None:
    """Header, then the four arrays."""
    stream.write(HEADER.pack(MAGIC, len(sweep.xyz), sweep.seed, sweep.pattern.encode()[:16]))
    for array in (sweep.xyz, sweep.intensity, sweep.label, sweep.ring):
        stream.write(np.ascontiguousarray(array).tobytes())
    stream.flush()


def read_sweep(stream: BinaryIO) -> CompactSweep | None:
    """The next sweep; None at a clean end. ValueError where the bytes are no sweep or end in the middle of one."""
    head = stream.read(HEADER.size)
    if not head:
        return None
    if len(head) < HEADER.size or head[:4] != MAGIC:
        raise ValueError(
            f"expected a sweep header of {HEADER.size} bytes that starts with {MAGIC!r}, found {head[:16]!r}"
        )
    _, count, seed, name = HEADER.unpack(head)
    body = stream.read(9 * count)
    if len(body) < 9 * count:
        raise ValueError(f"a sweep of {count} points ended after {len(body)} of {9 * count} bytes")
    xyz = np.frombuffer(body, np.int16, 3 * count).reshape(-1, 3)
    rest = np.frombuffer(body, np.uint8, 3 * count, offset=6 * count).reshape(3, -1)
    return CompactSweep(xyz, rest[0], rest[1], rest[2], seed, name.rstrip(b"\0").decode())
