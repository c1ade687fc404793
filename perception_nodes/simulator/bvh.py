"""Bounding volume hierarchies over boxes and triangle soups (binned surface area heuristic, numba).

Source: I. Wald, "On fast Construction of SAH-based Bounding Volume Hierarchies", 2007. One thread, no randomness: the
same input gives the same tree. Storage is float32; the two children of an inner node lie side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from perception_nodes.simulator.scene import Mesh

LEAF = 4  # triangles in a leaf, at most (unless their centres coincide)
DEPTH = 64  # of the traversal stack; deeper nodes become leaves


@dataclass(frozen=True, eq=False)
class Bvh:
    """A tree over triangles.

    bounds float32 [N, 6] (low xyz, high xyz) · meta int32 [N, 2]: (left child, 0) or (first, count) of a leaf ·
    corners float32 [T, 9]: first corner and two edges of the triangles in leaf order · order int32 [T]: their numbers
    in the mesh. Node 0 is the root.
    """

    bounds: NDArray[np.float32]
    meta: NDArray[np.int32]
    corners: NDArray[np.float32]
    order: NDArray[np.int32]


def build_bvh(mesh: Mesh) -> Bvh:
    """Tree over the mesh's triangles; an empty mesh gives one empty leaf."""
    if len(mesh.triangles) == 0:
        empty = np.zeros((1, 6), np.float32)
        return Bvh(empty, np.zeros((1, 2), np.int32), np.zeros((0, 9), np.float32), np.zeros(0, np.int32))
    low, high = _triangle_boxes(mesh.vertices, mesh.triangles)
    bounds, meta, order = _build(low, high, LEAF)
    return Bvh(bounds, meta, _corners(mesh.vertices, mesh.triangles, order), order)


def build_box_tree(
    low: NDArray[np.float32], high: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.int32]]:
    """(bounds, meta, order) of a tree over boxes with one box a leaf; low, high float32 [P, 3]."""
    if len(low) == 0:
        return np.zeros((1, 6), np.float32), np.zeros((1, 2), np.int32), np.zeros(0, np.int32)
    return _build(np.ascontiguousarray(low, np.float32), np.ascontiguousarray(high, np.float32), 1)


@njit(cache=True, nogil=True)
def _triangle_boxes(vertices, triangles):
    n = triangles.shape[0]
    low = np.empty((n, 3), np.float32)
    high = np.empty((n, 3), np.float32)
    for i in range(n):
        for k in range(3):
            a = vertices[triangles[i, 0], k]
            b = vertices[triangles[i, 1], k]
            c = vertices[triangles[i, 2], k]
            low[i, k] = min(a, min(b, c))
            high[i, k] = max(a, max(b, c))
    return low, high


@njit(cache=True, nogil=True)
def _corners(vertices, triangles, order):
    n = order.shape[0]
    out = np.empty((n, 9), np.float32)
    for i in range(n):
        a, b, c = triangles[order[i], 0], triangles[order[i], 1], triangles[order[i], 2]
        for k in range(3):
            out[i, k] = vertices[a, k]
            out[i, 3 + k] = vertices[b, k] - vertices[a, k]
            out[i, 6 + k] = vertices[c, k] - vertices[a, k]
    return out


@njit(cache=True, nogil=True)
def _area(box):
    x, y, z = box[3] - box[0], box[4] - box[1], box[5] - box[2]
    return x * y + y * z + z * x


@njit(cache=True, nogil=True)
def _grow(box, low, high):
    for k in range(3):
        box[k] = min(box[k], low[k])
        box[3 + k] = max(box[3 + k], high[k])


@njit(cache=True, nogil=True)
def _clear(box):
    for k in range(3):
        box[k] = np.float32(np.inf)
        box[3 + k] = np.float32(-np.inf)


@njit(cache=True, nogil=True)
def _fill_bins(low, high, order, first, count, centre_low, scale, bins, boxes, counts):
    """Sort the boxes into `bins` slabs along each axis at once."""
    for axis in range(3):
        for b in range(bins):
            counts[axis, b] = 0
            _clear(boxes[axis, b])
    for i in range(first, first + count):
        p = order[i]
        for axis in range(3):
            centre = np.float32(0.5) * (low[p, axis] + high[p, axis])
            b = min(int((centre - centre_low[axis]) * scale[axis]), bins - 1)
            counts[axis, b] += 1
            box = boxes[axis, b]
            for k in range(3):
                box[k] = min(box[k], low[p, k])
                box[3 + k] = max(box[3 + k], high[p, k])


@njit(cache=True, nogil=True)
def _best_split(scale, bins, boxes, counts, right_area, running):
    """(cost, axis, bin): the cut of least area x count; the cut lies before `bin`. Axis -1: none."""
    best, best_axis, best_bin = np.inf, -1, 0
    for axis in range(3):
        if scale[axis] <= 0.0:
            continue
        _clear(running)
        for b in range(bins - 1, 0, -1):
            if counts[axis, b] > 0:
                _grow(running, boxes[axis, b, :3], boxes[axis, b, 3:])
            right_area[b] = _area(running) if running[3] >= running[0] else np.float32(0.0)
        _clear(running)
        left, total = 0, 0
        for b in range(bins):
            total += counts[axis, b]
        for b in range(1, bins):
            if counts[axis, b - 1] > 0:
                _grow(running, boxes[axis, b - 1, :3], boxes[axis, b - 1, 3:])
                left += counts[axis, b - 1]
            if left == 0 or left == total:
                continue
            cost = _area(running) * left + right_area[b] * (total - left)
            if cost < best:
                best, best_axis, best_bin = cost, axis, b
    return best, best_axis, best_bin


@njit(cache=True, nogil=True)
def _partition(low, high, order, first, count, axis, centre_low, scale, bins, cut):
    """Boxes of the slabs before `cut` to the front, in place; gives how many."""
    i, j = first, first + count - 1
    while i <= j:
        p = order[i]
        centre = np.float32(0.5) * (low[p, axis] + high[p, axis])
        if min(int((centre - centre_low) * scale), bins - 1) < cut:
            i += 1
        else:
            order[i], order[j] = order[j], order[i]
            j -= 1
    return i - first


@njit(cache=True, nogil=True)
def _measure(low, high, order, first, count, box, centre_low, centre_high):
    """Bounds of the boxes and of their centres."""
    _clear(box)
    for k in range(3):
        centre_low[k] = np.float32(np.inf)
        centre_high[k] = np.float32(-np.inf)
    for i in range(first, first + count):
        p = order[i]
        for k in range(3):
            a, b = low[p, k], high[p, k]
            centre = np.float32(0.5) * (a + b)
            box[k] = min(box[k], a)
            box[3 + k] = max(box[3 + k], b)
            centre_low[k] = min(centre_low[k], centre)
            centre_high[k] = max(centre_high[k], centre)


@njit(cache=True, nogil=True)
def _build(low, high, leaf):
    n = low.shape[0]
    order = np.arange(n).astype(np.int32)
    bounds = np.empty((2 * n, 6), np.float32)
    meta = np.empty((2 * n, 2), np.int32)
    boxes = np.empty((3, 16, 6), np.float32)
    counts = np.empty((3, 16), np.int64)
    right_area = np.empty(16, np.float32)
    running = np.empty(6, np.float32)
    centre_low, centre_high = np.empty(3, np.float32), np.empty(3, np.float32)
    scale = np.empty(3, np.float32)
    stack = np.empty((2 * DEPTH + 2, 4), np.int64)
    stack[0] = (0, 0, n, 0)
    top, used = 1, 1
    while top > 0:
        top -= 1
        node, first, count, depth = stack[top, 0], stack[top, 1], stack[top, 2], stack[top, 3]
        _measure(low, high, order, first, count, bounds[node], centre_low, centre_high)
        meta[node, 0], meta[node, 1] = first, count
        if count <= 1 or depth >= DEPTH - 2:
            continue
        bins = min(16, max(4, count))
        for k in range(3):
            extent = centre_high[k] - centre_low[k]
            scale[k] = np.float32(bins) / extent if extent > np.float32(1e-7) else np.float32(0.0)
        _fill_bins(low, high, order, first, count, centre_low, scale, bins, boxes, counts)
        cost, axis, cut = _best_split(scale, bins, boxes, counts, right_area, running)
        if axis < 0 or (count <= leaf and cost + _area(bounds[node]) >= _area(bounds[node]) * count):
            continue
        left = _partition(low, high, order, first, count, axis, centre_low[axis], scale[axis], bins, cut)
        if left == 0 or left == count:
            continue
        meta[node, 0], meta[node, 1] = used, 0
        stack[top] = (used + 1, first + left, count - left, depth + 1)
        stack[top + 1] = (used, first, left, depth + 1)
        top += 2
        used += 2
    return bounds[:used].copy(), meta[:used].copy(), order
