"""Swin Transformer (Liu et al., ICCV 2021) in the key layout of mmdetection, as the camera backbone.

Differences from the original repository's layout: the names, and the order of the four neighbours that patch merging
puts side by side (channel first here, neighbour first there).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def relative_positions(window: int) -> Tensor:
    """Row of the bias table for every pair of places in a window, int64 [window², window²]."""
    place = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
    row, column = place[:, :, None] - place[:, None, :] + window - 1  # query minus key
    return row * (2 * window - 1) + column


def shifted_regions(height: int, width: int, window: int) -> Tensor:
    """Attention mask of shifted windows [windows, window², window²]: 0 where two places come from the same region of
    the picture, -100 where the shift brought strangers together.
    """
    region, shift, count = torch.zeros(1, height, width, 1), window // 2, 0
    for rows in (slice(0, -window), slice(-window, -shift), slice(-shift, None)):
        for columns in (slice(0, -window), slice(-window, -shift), slice(-shift, None)):
            region[:, rows, columns] = count
            count += 1
    places = windows_of(region, window)[..., 0]
    return torch.where(places[:, None] == places[:, :, None], 0.0, -100.0)


def windows_of(x: Tensor, window: int) -> Tensor:
    """[B, H, W, C] -> [B * windows, window², C]; H and W are multiples of window."""
    batch, height, width, channels = x.shape
    x = x.view(batch, height // window, window, width // window, window, channels)
    return x.transpose(2, 3).reshape(-1, window * window, channels)


def picture_of(x: Tensor, window: int, height: int, width: int) -> Tensor:
    """The inverse of `windows_of`: [B, height, width, C]."""
    x = x.view(-1, height // window, width // window, window, window, x.shape[-1])
    return x.transpose(2, 3).reshape(-1, height, width, x.shape[-1])


class WindowMSA(nn.Module):
    """Multi-head self-attention within windows, with a learned bias per relative position."""

    def __init__(self, channels: int, heads: int, window: int):
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.relative_position_index: Tensor
        self.register_buffer("relative_position_index", relative_positions(window), persistent=False)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """x [B * windows, places, C], mask [windows, places, places] or None -> the shape of x."""
        rows, places, channels = x.shape
        qkv = self.qkv(x).view(rows, places, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0] * (channels // self.heads) ** -0.5, qkv[1], qkv[2]
        bias = self.relative_position_bias_table[self.relative_position_index].permute(2, 0, 1)
        weights = q @ k.transpose(-2, -1) + bias
        if mask is not None:
            weights = weights.view(-1, len(mask), self.heads, places, places) + mask[:, None]
            weights = weights.view(rows, self.heads, places, places)
        return self.proj((weights.softmax(-1) @ v).transpose(1, 2).reshape(rows, places, channels))


class ShiftWindowMSA(nn.Module):
    """WindowMSA over a picture that is padded to whole windows, and shifted by half a window where asked."""

    def __init__(self, channels: int, heads: int, window: int, shifted: bool):
        super().__init__()
        self.window, self.shift = window, window // 2 if shifted else 0
        self.w_msa = WindowMSA(channels, heads, window)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> [B, H, W, C]."""
        height, width = x.shape[1:3]
        x = F.pad(x, (0, 0, 0, -width % self.window, 0, -height % self.window))
        tall, wide = x.shape[1:3]
        mask = None
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
            mask = shifted_regions(tall, wide, self.window).to(x)
        x = picture_of(self.w_msa(windows_of(x, self.window), mask), self.window, tall, wide)
        if self.shift:
            x = torch.roll(x, (self.shift, self.shift), (1, 2))
        return x[:, :height, :width]


class FFN(nn.Module):
    """Linear, GELU, Linear, under the names of mmcv."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Sequential(nn.Linear(channels, hidden), nn.GELU()), nn.Linear(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class SwinBlock(nn.Module):
    """Attention and FFN, each behind a layer norm and beside a shortcut."""

    def __init__(self, channels: int, heads: int, window: int, mlp_ratio: int, shifted: bool):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = ShiftWindowMSA(channels, heads, window, shifted)
        self.norm2 = nn.LayerNorm(channels)
        self.ffn = FFN(channels, mlp_ratio * channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> [B, H, W, C]."""
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))


class PatchMerging(nn.Module):
    """Halves the picture: four neighbours side by side (channel first), layer norm, linear to twice the channels."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, H, W, C] -> [B, ceil(H / 2), ceil(W / 2), 2 C]."""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        batch, height, width, channels = x.shape
        x = x.view(batch, height // 2, 2, width // 2, 2, channels)
        x = x.permute(0, 1, 3, 5, 2, 4).reshape(batch, height // 2, width // 2, 4 * channels)  # channel, row, column
        return self.reduction(self.norm(x))


class SwinStage(nn.Module):
    """Blocks, every second one with shifted windows, then patch merging where `merge`."""

    def __init__(self, channels: int, depth: int, heads: int, window: int, mlp_ratio: int, merge: bool):
        super().__init__()
        self.blocks = nn.ModuleList(
            SwinBlock(channels, heads, window, mlp_ratio, shifted=bool(i % 2)) for i in range(depth)
        )
        self.downsample = PatchMerging(channels) if merge else None

    def forward(self, x: Tensor) -> Tensor:
        """The blocks alone: [B, H, W, C] -> [B, H, W, C]."""
        for block in self.blocks:
            x = block(x)
        return x


class PatchEmbed(nn.Module):
    """Patches of `size` x `size` pixels to vectors, with a layer norm."""

    def __init__(self, channels: int, size: int):
        super().__init__()
        self.size = size
        self.projection = nn.Conv2d(3, channels, size, size)
        self.norm = nn.LayerNorm(channels)

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, H / size, W / size, C]."""
        images = F.pad(images, (0, -images.shape[3] % self.size, 0, -images.shape[2] % self.size))
        return self.norm(self.projection(images).permute(0, 2, 3, 1))


class SwinTransformer(nn.Module):
    """The hierarchy of stages; Swin-T by default.

    channels: of the first stage, doubled by each · depths, heads: blocks and attention heads per stage · window: side
    of the attention windows, patches · out: stages whose result is returned, each behind a layer norm of its own.
    """

    def __init__(
        self,
        channels: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        heads: Sequence[int] = (3, 6, 12, 24),
        window: int = 7,
        mlp_ratio: int = 4,
        out: Sequence[int] = (1, 2, 3),
    ):
        super().__init__()
        self.out = tuple(out)
        self.patch_embed = PatchEmbed(channels, 4)
        last = len(depths) - 1
        self.stages = nn.ModuleList(
            SwinStage(channels << i, depth, heads[i], window, mlp_ratio, merge=i < last)
            for i, depth in enumerate(depths)
        )
        for i in self.out:
            self.add_module(f"norm{i}", nn.LayerNorm(channels << i))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """images [B, 3, H, W], normalised RGB -> [B, channels * 2^i, H / 2^(i + 2), W / 2^(i + 2)] per stage of out."""
        x, found = self.patch_embed(images), []
        for i, stage in enumerate(self.stages):
            assert isinstance(stage, SwinStage)
            x = stage(x)
            if i in self.out:
                found.append(self.get_submodule(f"norm{i}")(x).permute(0, 3, 1, 2).contiguous())
            if stage.downsample is not None:
                x = stage.downsample(x)
        return tuple(found)
