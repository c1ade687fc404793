"""Kernel maps of sorted voxel keys in linear time, compiled by numba: no hash table, no sort.

Sorting by key (see `keys`) keeps order under translation, so a neighbour search is a merge of two sorted lists.
"""

import numpy as np
from numba import njit

from .keys import X_SHIFT, Y_SHIFT

_X = 1 << X_SHIFT
_Y = 1 << Y_SHIFT


@njit(cache=True)
def half_neighbours(keys: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Neighbour pairs of the 13 offsets in one half of the 3^3 neighbourhood.

    keys: int64 [N] sorted, unique. first, second: int32 [13, N] scratch, filled with rows (i, j) such that
    key[j] = key[i] + offset, ascending in both. Row 0 is offset (0, 0, 1); rows 1 + 3m + (dz + 1) are the planes
    m: (dx, dy) = (0, 1), (1, -1), (1, 0), (1, 1). Returns the counts, int64 [13].
    """
    n = len(keys)
    counts = np.zeros(13, np.int64)
    for i in range(n - 1):
        if keys[i + 1] == keys[i] + 1:
            c = counts[0]
            first[0, c] = i
            second[0, c] = i + 1
            counts[0] = c + 1
    steps = (_Y, _X - _Y, _X, _X + _Y)
    for m in range(4):
        d = steps[m] - 1
        p = 0
        c0 = c1 = c2 = 0
        for i in range(n):
            target = keys[i] + d
            while p < n and keys[p] < target:
                p += 1
            if p == n:
                break
            q = p
            key = keys[q]
            if key > target + 2:
                continue
            if key == target:
                first[1 + 3 * m, c0] = i
                second[1 + 3 * m, c0] = q
                c0 += 1
                q += 1
            if q < n and keys[q] == target + 1:
                first[2 + 3 * m, c1] = i
                second[2 + 3 * m, c1] = q
                c1 += 1
                q += 1
            if q < n and keys[q] == target + 2:
                first[3 + 3 * m, c2] = i
                second[3 + 3 * m, c2] = q
                c2 += 1
        counts[1 + 3 * m] = c0
        counts[2 + 3 * m] = c1
        counts[3 + 3 * m] = c2
    return counts


@njit(cache=True)
def _merge_runs(key: np.ndarray, a: np.ndarray, b: np.ndarray, begin: int, middle: int, end: int) -> None:
    """Merges the runs [begin, middle) and [middle, end) of rows `a`, each sorted by key, into `b`."""
    i, j = begin, middle
    for o in range(begin, end):
        if j == end or (i < middle and key[a[i]] <= key[a[j]]):
            b[o] = a[i]
            i += 1
        else:
            b[o] = a[j]
            j += 1


@njit(cache=True)
def order_by_parent(keys: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """Rows int32 [N] of sorted child keys in the order of their parents' keys (2^3 blocks), by two passes of merging.

    Children with one x and two adjacent y (even, odd) are two adjacent runs, sorted by parent each; so are, after the
    first pass, the slabs of two adjacent x.
    """
    n = len(keys)
    a = np.arange(n).astype(np.int32)
    b = np.empty(n, np.int32)
    for shift in (Y_SHIFT, X_SHIFT):
        begin = 0
        while begin < n:
            pair = keys[a[begin]] >> (shift + 1)
            odd = -1
            end = begin
            while end < n and keys[a[end]] >> (shift + 1) == pair:
                if odd < 0 and (keys[a[end]] >> shift) & 1:
                    odd = end
                end += 1
            _merge_runs(parents, a, b, begin, end if odd < 0 else odd, end)
            begin = end
        a, b = b, a
    return a


@njit(cache=True)
def split_by_offset(
    slot: np.ndarray, order: np.ndarray, parent_row: np.ndarray, starts: np.ndarray, pairs: np.ndarray
) -> None:
    """Writes (child, parent) of each child to its kernel offset's part of pairs int32 [2, N]; `starts` int64 [8] is
    consumed.
    """
    for t in range(len(order)):
        child = order[t]
        p = starts[slot[child]]
        pairs[0, p] = child
        pairs[1, p] = parent_row[t]
        starts[slot[child]] = p + 1
