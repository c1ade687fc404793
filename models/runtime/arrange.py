"""How layers are laid out for the native kernels: packed weights, the stem's frame, which layers run as one."""

from __future__ import annotations

import numpy as np

from models.runtime.lower import Layer, Lowered
from models.runtime.native import Layout, to_bf16

FUSED_BYTES = 384 * 1024  # of expanded activation, from which on it does not stay in the second-level cache
MOST_TWICE = 1.2  # of the lines, counted for the thread with the most work
STEM_CHANNELS = 8  # of a frame, from which on it is laid out as every other activation
TILED = 32  # input channels from which on tiles pay
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])  # of the weights, see csrc/winograd.h


def in_tiles(layer: Layer, rows: Layout) -> bool:
    """True where Winograd's way pays: plain 3 x 3 convolutions in fp32 of many channels to full panels."""
    (view, *more) = layer.inputs
    return (
        rows.depth == 1 and layer.kind == "convolve" and layer.kernel == (3, 3) and layer.step == 1 and not more
        and view.channels >= TILED and view.channels % rows.lanes == 0 and layer.out.channels % rows.panel == 0
    )  # fmt: skip


def packed(layer: Layer, rows: Layout, stem: bool = False) -> np.ndarray | None:
    """Weights in the order in which the kernels read them, see csrc/dense.h. stem: see `stem_of`."""
    if layer.weights is None:
        return None
    weights, outputs = layer.weights, layer.weights.shape[0]
    if in_tiles(layer, rows):
        weights = (G @ weights.astype(np.float64) @ G.T).astype(np.float32)
    width = rows.up(outputs)
    matrix = np.zeros((weights[0].size, width), np.float32)
    matrix[:, :outputs] = weights.transpose(2, 3, 1, 0).reshape(-1, outputs)
    if layer.kind == "depthwise":
        return matrix
    panels = [slice(at, at + rows.panel) for at in range(0, width, rows.panel)]
    if rows.depth == 1:
        return np.concatenate([matrix[:, p].ravel() for p in panels])
    runs = [layer.kernel[1] * layer.inputs[0].channels] if stem else [v.channels for v in layer.inputs]
    pairs = _in_pairs(matrix.reshape(-1, sum(runs), width), runs)
    return np.concatenate([to_bf16(pairs[:, p].ravel()) for p in panels])


def _in_pairs(matrix: np.ndarray, runs: list[int]) -> np.ndarray:
    """[taps, channels of all runs, outputs] -> [pairs, outputs, 2]: every run of channels is filled to whole pairs."""
    pieces = []
    for run in np.split(matrix, np.cumsum(runs)[:-1], axis=1):
        even = np.pad(run, ((0, 0), (0, run.shape[1] % 2), (0, 0)))
        pieces.append(even.reshape(len(even), -1, 2, even.shape[2]).swapaxes(2, 3))
    return np.concatenate(pieces, axis=1).reshape(-1, matrix.shape[2], 2)


def padded(bias: np.ndarray, rows: Layout) -> np.ndarray:
    """A bias as long as a row."""
    return np.pad(bias, (0, rows.up(len(bias)) - len(bias))).astype(np.float32)


def stem_of(lowered: Lowered) -> Layer | None:
    """The convolution that alone reads the frame, of few channels; None where there is no such layer."""
    frame = lowered.inputs[0]
    readers = [layer for layer in lowered.layers if any(v.rows is frame for v in layer.inputs)]
    others = [v.rows for v in lowered.outputs] + [layer.residual for layer in lowered.layers]
    if len(readers) != 1 or frame in others or frame.channels >= STEM_CHANNELS:
        return None
    (stem,) = readers
    whole = [(v.first, v.channels) for v in stem.inputs] == [(0, frame.channels)]
    return stem if stem.kind == "convolve" and whole else None


def bordered(stem: Layer) -> tuple[int, int]:
    """(height, width) of the frame with its border, so that every window of the stem lies inside."""
    rows = stem.inputs[0].rows
    height, width = (
        max(pad + size, (out - 1) * stem.step + kernel)
        for pad, size, out, kernel in zip(
            stem.pads, (rows.height, rows.width), (stem.out.height, stem.out.width), stem.kernel
        )
    )
    return height, width


def strip(middle: Layer, threads: int) -> int:
    """Output lines of a work item around this depthwise layer; 0 where parts of a picture for every thread do not pay,
    for the lines above and below a part are expanded twice."""
    height, step, kernel = middle.out.height, middle.step, middle.kernel[0]
    if threads == 1:
        return height
    for rounds in (2, 1):  # parts of each thread: two are shared out better
        lines = -(-height // (rounds * threads))
        if rounds * (lines * step + kernel - step) * threads <= MOST_TWICE * height * step:
            return lines
    return 0


def fused(lowered: Lowered, threads: int, rows: Layout) -> dict[int, int]:
    """First layer -> last layer of what runs as one: a convolution, a depthwise one and a 1 x 1 convolution whose
    activations between them nobody else reads and that are too large for the cache."""
    readers: dict[int, int] = {}
    for read in [v.rows for layer in lowered.layers for v in layer.inputs]:
        readers[id(read)] = readers.get(id(read), 0) + 1
    others = [v.rows for v in lowered.outputs] + [layer.residual for layer in lowered.layers]
    found = {}
    for i, (expand, middle, project) in enumerate(zip(lowered.layers, lowered.layers[1:], lowered.layers[2:])):
        if [layer.kind for layer in (expand, middle, project)] != ["convolve", "depthwise", "convolve"]:
            continue
        between = (expand.out, middle.out)
        chained = all(
            [v.rows for v in reader.inputs] == [read] and reader.inputs[0].channels == read.channels
            for reader, read in zip((middle, project), between)
        )
        alone = all(readers[id(r)] == 1 and r not in others for r in between)
        plain = not in_tiles(expand, rows) and project.kernel == (1, 1) and project.step == 1 and project.pads == (0, 0)
        size = expand.out.height * expand.out.width * rows.up(expand.out.channels) * rows.size
        shared = strip(middle, threads) > 0
        bare = middle.residual is None and expand.residual is None
        if chained and alone and plain and bare and shared and size >= FUSED_BYTES:
            found[i] = i + 2
    return found
