"""Kernel maps from sorted voxel keys: the functions that `level` caches.

The two maps that U-Nets are made of (3^3 submanifold, 2^3 stride 2) are linear-time merges, done by the C extension
where it was built and by numba elsewhere; every other kernel is searched by bisection with numpy.
"""

import ctypes

import numpy as np

from . import native
from .kernel_map import KernelMap, sort_by_output
from .keys import BATCH_SHIFT, X_BITS, X_SHIFT, Y_BITS, Y_SHIFT, Z_BITS, step
from .offsets import Triple, kernel_offsets

_SLABS = ((0, 1), (1, -1), (1, 0), (1, 1))


def _half_offsets() -> list[tuple[int, int, int]]:
    return [(0, 0, 1)] + [(dx, dy, dz) for dx, dy in _SLABS for dz in (-1, 0, 1)]


def submanifold_map(keys: np.ndarray) -> KernelMap:
    """3^3 map of a level onto itself. keys: int64 [N] sorted, unique; rows are positions in `keys`."""
    n = len(keys)
    loaded = native.library()
    if loaded is not None:
        return _submanifold_native(loaded, np.ascontiguousarray(keys))
    from .index_numba import half_neighbours

    first, second = np.empty((13, n), np.int32), np.empty((13, n), np.int32)
    counts = half_neighbours(keys, first, second)
    parts: list[tuple[np.ndarray, np.ndarray]] = [(np.empty(0, np.int32),) * 2] * 27
    itself = np.arange(n, dtype=np.int32)
    parts[13] = (itself, itself)
    for h, (dx, dy, dz) in enumerate(_half_offsets()):
        k = (dz + 1) * 9 + (dy + 1) * 3 + (dx + 1)
        i, j = first[h, : counts[h]], second[h, : counts[h]]
        parts[k], parts[26 - k] = (j, i), (i, j)
    starts = np.zeros(28, np.int64)
    np.cumsum([len(p[0]) for p in parts], out=starts[1:])
    pairs = np.stack([np.concatenate([p[side] for p in parts]) for side in (0, 1)])
    return KernelMap(pairs, starts, n, n, centre=13)


def _submanifold_native(loaded: ctypes.CDLL, keys: np.ndarray) -> KernelMap:
    n, counts = len(keys), np.zeros(13, np.int64)
    met = np.empty((13, n), np.uint64)
    scratch, threads = native.address(met), native.threads()
    loaded.sparse_half_neighbours(native.address(keys), n, scratch, native.address(counts), threads)
    sizes = np.full(27, n, np.int64)
    for count, (dx, dy, dz) in zip(counts, _half_offsets()):
        k = (dz + 1) * 9 + (dy + 1) * 3 + (dx + 1)
        sizes[k] = sizes[26 - k] = count
    starts = np.zeros(28, np.int64)
    np.cumsum(sizes, out=starts[1:])
    pairs = np.empty((2, int(starts[-1])), np.int32)
    ends = (native.address(pairs[0]), native.address(pairs[1]))
    loaded.sparse_assemble(scratch, n, native.address(starts), *ends, threads)
    return KernelMap(pairs, starts, n, n, centre=13)


def halve_keys(keys: np.ndarray) -> np.ndarray:
    """Keys of the parents at twice the stride (coordinates halved, rounding down)."""
    x, y = (keys >> X_SHIFT) & ((1 << X_BITS) - 1), (keys >> Y_SHIFT) & ((1 << Y_BITS) - 1)
    z = keys & ((1 << Z_BITS) - 1)
    x, y, z = ((v >> 1) + (1 << (bits - 2)) for v, bits in ((x, X_BITS), (y, Y_BITS), (z, Z_BITS)))
    return (keys >> BATCH_SHIFT << BATCH_SHIFT) | (x << X_SHIFT) | (y << Y_SHIFT) | z


def down_map(keys: np.ndarray) -> tuple[np.ndarray, KernelMap]:
    """2^3 stride-2 map: (parent keys int64 [M] sorted, map with the N voxels as inputs and the M parents as
    outputs).
    """
    loaded = native.library()
    if loaded is not None:
        return _down_native(loaded, np.ascontiguousarray(keys))
    from .index_numba import order_by_parent, split_by_offset

    parents = halve_keys(keys)
    order = order_by_parent(keys, parents)
    ordered = parents[order]
    new = np.ones(len(keys), bool)
    new[1:] = ordered[1:] != ordered[:-1]
    row = (np.cumsum(new) - 1).astype(np.int32)
    slot = (((keys >> X_SHIFT) & 1) << 2) | (((keys >> Y_SHIFT) & 1) << 1) | (keys & 1)
    starts = np.zeros(9, np.int64)
    np.cumsum(np.bincount(slot, minlength=8), out=starts[1:])
    pairs = np.empty((2, len(keys)), np.int32)
    split_by_offset(slot, order, row, starts[:-1].copy(), pairs)
    found = KernelMap(pairs, starts, len(keys), int(new.sum()))
    found.parent = np.empty(len(keys), np.int32)
    found.parent[order] = row
    return ordered[new], found


def _down_native(loaded: ctypes.CDLL, keys: np.ndarray) -> tuple[np.ndarray, KernelMap]:
    n = len(keys)
    parents, starts = np.empty(n, np.int64), np.zeros(9, np.int64)
    pairs, row = np.empty((2, n), np.int32), np.empty(n, np.int32)
    ends = (native.address(pairs[0]), native.address(pairs[1]))
    outputs = (native.address(parents), *ends, native.address(starts), native.address(row))
    count = loaded.sparse_down(native.address(keys), n, *outputs)
    if count < 0:
        raise MemoryError("sparse_down: no memory")
    found = KernelMap(pairs, starts, n, count)
    found.parent = row
    return parents[:count].copy(), found


def search_map(
    input_keys: np.ndarray, output_keys: np.ndarray, size: Triple, dilation: Triple, centre: bool = False
) -> KernelMap:
    """Map of any kernel by bisection. Both key arrays are sorted and packed in units of the INPUT's stride."""
    offsets = kernel_offsets(size, dilation)
    ins, outs, starts = [], [], np.zeros(len(offsets) + 1, np.int64)
    for k, delta in enumerate(step(offsets)):
        wanted = output_keys + delta
        at = np.searchsorted(input_keys, wanted)
        at[at == len(input_keys)] = 0
        hit = np.flatnonzero(input_keys[at] == wanted) if len(input_keys) else np.empty(0, np.int64)
        ins.append(at[hit])
        outs.append(hit)
        starts[k + 1] = starts[k] + len(hit)
    pairs = np.stack([np.concatenate(ins), np.concatenate(outs)]).astype(np.int32)
    middle = len(offsets) // 2 if centre and len(offsets) % 2 else -1
    return KernelMap(pairs, starts, len(input_keys), len(output_keys), middle)


def reorder(kernel_map: KernelMap, input_order: np.ndarray | None, output_order: np.ndarray | None) -> KernelMap:
    """The map of rows stored in another order: sorted position p is row order[p]. None means sorted already."""
    if input_order is None and output_order is None:
        return kernel_map
    pairs = kernel_map.pairs.copy()
    for side, order in enumerate((input_order, output_order)):
        if order is not None:
            pairs[side] = order[pairs[side]]
    pairs = sort_by_output(pairs, kernel_map.starts)
    parent = kernel_map.parent
    if parent is not None and output_order is None and input_order is not None:
        parent = np.empty_like(parent)
        parent[input_order] = kernel_map.parent
    return KernelMap(pairs, kernel_map.starts, kernel_map.inputs, kernel_map.outputs, kernel_map.centre, parent)
