"""The LiDAR backbone: a sparse 3-D encoder that ends as a bird's-eye view (SECOND, Yan et al., Sensors 2018).

All triples are in x, y, z order, weights in the layout of the released checkpoints (spconv 1.x: kx, ky, kz, in, out).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.bevfusion.sparse_maps import EncoderMaps, Stride, Triple, encoder_maps
from models.sparse import KernelMap, backend

CHANNELS = ((16, 16, 32), (32, 32, 64), (64, 64, 128), (128, 128))
PADDINGS = (1, 1, (1, 1, 0))
OUT = Stride((1, 1, 3), (1, 1, 2), (0, 0, 0))


class SparseConv(nn.Module):
    """Weights of a sparse convolution without bias."""

    def __init__(self, inputs: int, outputs: int, kernel: Triple = (3, 3, 3)):
        super().__init__()
        bound = (inputs * kernel[0] * kernel[1] * kernel[2]) ** -0.5
        self.weight = nn.Parameter(torch.empty(*kernel, inputs, outputs).uniform_(-bound, bound))

    def kernel(self) -> Tensor:
        """[K, in, out] in the order of the kernel maps: z slowest, x fastest."""
        return self.weight.permute(2, 1, 0, 3, 4).flatten(0, 2)

    def forward(self, feats: Tensor, kernel_map: KernelMap) -> Tensor:
        """feats [inputs of the map, C] -> [outputs of the map, C']."""
        return backend.for_tensor(feats).convolve(feats, self.kernel(), kernel_map)


def norm(channels: int) -> nn.BatchNorm1d:
    """The encoder's batch norm."""
    return nn.BatchNorm1d(channels, eps=1e-3, momentum=0.01)


class ConvNorm(nn.ModuleList):
    """Convolution, batch norm (children 0 and 1) and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Triple = (3, 3, 3)):
        super().__init__([SparseConv(inputs, outputs, kernel), norm(outputs)])

    def forward(self, feats: Tensor, kernel_map: KernelMap) -> Tensor:
        return self[1](self[0](feats, kernel_map)).relu()


class SparseBasicBlock(nn.Module):
    """Two submanifold convolutions with a shortcut."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1, self.bn1 = SparseConv(channels, channels), norm(channels)
        self.conv2, self.bn2 = SparseConv(channels, channels), norm(channels)

    def forward(self, feats: Tensor, same: KernelMap) -> Tensor:
        y = self.bn1(self.conv1(feats, same)).relu()
        return (self.bn2(self.conv2(y, same)) + feats).relu()


class SparseEncoder(nn.Module):
    """Voxel features to a BEV map, an eighth of the voxel grid.

    in_channels: of a voxel · shape: voxels along x, y, z (z one more than the point range holds, as released) ·
    encoder_channels: per stage the widths of its blocks; in all stages but the last, the last width is that of the
    strided convolution · paddings: of the strided convolutions · output_channels: of each z slice of the result.
    """

    def __init__(
        self,
        in_channels: int,
        shape: Triple,
        output_channels: int = 128,
        encoder_channels: Sequence[Sequence[int]] = CHANNELS,
        paddings: Sequence[int | Sequence[int]] = PADDINGS,
        base_channels: int = 16,
    ):
        super().__init__()
        self.shape = (int(shape[0]), int(shape[1]), int(shape[2]))
        triples = [(p, p, p) if isinstance(p, int) else (int(p[0]), int(p[1]), int(p[2])) for p in paddings]
        self.strides = [Stride(padding=p) for p in triples] + [OUT]
        self.conv_input = ConvNorm(in_channels, base_channels)
        self.encoder_layers = nn.ModuleDict()
        channels = base_channels
        for i, widths in enumerate(encoder_channels):
            blocks: list[nn.Module] = []
            for j, width in enumerate(widths):
                if j == len(widths) - 1 and i < len(encoder_channels) - 1:
                    blocks.append(ConvNorm(channels, width))
                else:
                    blocks.append(SparseBasicBlock(width))
                channels = width
            self.encoder_layers[f"encoder_layer{i + 1}"] = nn.ModuleList(blocks)
        self.conv_out = ConvNorm(channels, output_channels, OUT.kernel)
        self.channels = output_channels

    @property
    def out_shape(self) -> Triple:
        """Cells of the last level along x, y, z."""
        shape = self.shape
        for conv in self.strides:
            shape = conv.shape_of(shape)
        return shape

    @property
    def heights(self) -> int:
        """Slices along z that the result holds side by side."""
        return self.out_shape[2]

    def stages(self) -> list[tuple[list[SparseBasicBlock], ConvNorm]]:
        """Per level its blocks, and the convolution that leads to the next."""
        found = []
        for layer in self.encoder_layers.values():
            assert isinstance(layer, nn.ModuleList)
            blocks = [b for b in layer if isinstance(b, SparseBasicBlock)]
            last = layer[-1]
            found.append((blocks, last if isinstance(last, ConvNorm) else self.conv_out))
        return found

    def maps(self, coords: NDArray[np.integer], batch: int = 1) -> EncoderMaps:
        """Kernel maps for voxels int [N, 4] (x, y, z, batch)."""
        return encoder_maps(coords, self.shape, self.strides, batch)

    def forward(self, feats: Tensor, maps: EncoderMaps) -> Tensor:
        """feats [N, in_channels] in the order of the coordinates given to `maps` -> BEV map [B, output_channels * Z,
        X / 8, Y / 8], channel index c * Z + z.
        """
        x = self.conv_input(feats[torch.from_numpy(maps.order)], maps.levels[0].submanifold(3))
        for (blocks, step), level, down in zip(self.stages(), maps.levels, maps.down):
            for block in blocks:
                x = block(x, level.submanifold(3))
            x = step(x, down)
        return dense(x, maps)


def dense(feats: Tensor, maps: EncoderMaps) -> Tensor:
    """Rows of the last level [M, C] as a BEV map [B, C * Z, X, Y], channel index c * Z + z, in memory channels last."""
    x, y, z = maps.shapes[-1]
    at = torch.from_numpy(maps.levels[-1].coords).long()
    out = feats.new_zeros(maps.batch, x, y, z, feats.shape[1])
    out = out.index_put((at[:, 3], at[:, 0], at[:, 1], at[:, 2]), feats)
    return out.transpose(3, 4).reshape(maps.batch, x, y, -1).permute(0, 3, 1, 2)
