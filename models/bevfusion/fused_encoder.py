"""The sparse encoder on the fused CPU engine (models.sparse.fused): batch norms folded, no pass for additions or ReLU.

Precision "fp32", or "int16": rows and weights of 16 bits after the first convolution, whose inputs (metres, intensity
0 to 255) stay float32.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.bevfusion.sparse_encoder import ConvNorm, SparseBasicBlock, SparseConv, SparseEncoder, dense
from models.bevfusion.sparse_maps import EncoderMaps
from models.sparse import fused
from models.sparse.fused import Packed, Rows


def _packed(conv: SparseConv, norm: nn.Module, precision: str) -> Packed:
    assert isinstance(norm, nn.BatchNorm1d)
    kernel, bias = fused.fold(conv.kernel(), norm)
    return fused.pack([kernel], bias, precision)


class FusedSparseEncoder:
    """One encoder's packed weights; call it on features and maps. Results do not depend on `threads`.

    network: in eval mode · precision: "fp32" or "int16".
    """

    def __init__(self, network: SparseEncoder, precision: str = "fp32", threads: int = 2):
        self.precision, self.threads = precision, threads

        def step(pair: ConvNorm, kind: str = precision) -> Packed:
            conv = pair[0]
            assert isinstance(conv, SparseConv)
            return _packed(conv, pair[1], kind)

        def block(b: SparseBasicBlock) -> tuple[Packed, Packed]:
            return _packed(b.conv1, b.bn1, precision), _packed(b.conv2, b.bn2, precision)

        self._first = step(network.conv_input, "fp32")
        self._stages = [([block(b) for b in blocks], step(down)) for blocks, down in network.stages()]

    def __call__(self, feats: NDArray[np.float32], maps: EncoderMaps) -> Tensor:
        """feats float32 [N, C] in the order of the coordinates given to the maps -> the BEV map of SparseEncoder."""
        kind, threads, count = self.precision, self.threads, len(maps.levels[0])
        rows = Rows.of(np.ascontiguousarray(feats[maps.order], np.float32))
        x = fused.convolve(
            self._first, [(rows, maps.levels[0].submanifold(3))], count, out_precision=kind, threads=threads
        )
        for i, (blocks, step) in enumerate(self._stages):
            same = maps.levels[i].submanifold(3)
            for one, two in blocks:
                y = fused.convolve(one, [(x, same)], len(x), out_precision=kind, threads=threads)
                x = fused.convolve(two, [(y, same)], len(x), residual=x, out_precision=kind, threads=threads)
            out = kind if i < len(self._stages) - 1 else "fp32"
            down = maps.down[i]
            x = fused.convolve(step, [(x, down)], down.outputs, out_precision=out, threads=threads)
        return dense(torch.from_numpy(np.ascontiguousarray(x.array())), maps)
