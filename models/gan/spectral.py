"""Spectral normalisation of a convolution (Miyato et al., ICLR 2018), in the layout of released checkpoints.

The weight used is weight_orig / sigma, where sigma = u^T W v estimates the largest singular value of W, the weight as a
matrix [out, in k k]. u and v are stored; in training mode one power iteration refines them at every call:
v = W^T u / |W^T u|, u = W v / |W v|. In eval mode they stay as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-12


class SpectralConv2d(nn.Module):
    """Convolution with zero padding; keys weight_orig, weight_u, weight_v and, where there is one, bias."""

    def __init__(
        self, inputs: int, outputs: int, kernel_size: int, stride: int = 1, padding: int = 0, bias: bool = True
    ):
        super().__init__()
        plain = nn.Conv2d(inputs, outputs, kernel_size)
        self.stride, self.padding = stride, padding
        self.weight_orig = plain.weight
        self.bias = plain.bias if bias else None
        self.register_buffer("weight_u", F.normalize(torch.randn(outputs), dim=0, eps=EPS))
        self.register_buffer("weight_v", F.normalize(torch.randn(inputs * kernel_size**2), dim=0, eps=EPS))
        self.weight_u: Tensor
        self.weight_v: Tensor

    def weight(self) -> Tensor:
        """The normalised weight [out, in, k, k]."""
        matrix = self.weight_orig.flatten(1)
        if self.training:
            with torch.no_grad():
                self.weight_v.copy_(F.normalize(matrix.t() @ self.weight_u, dim=0, eps=EPS))
                self.weight_u.copy_(F.normalize(matrix @ self.weight_v, dim=0, eps=EPS))
        u, v = self.weight_u.clone(), self.weight_v.clone()  # the next call changes them in place
        return self.weight_orig / torch.dot(u, matrix @ v)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H', W']."""
        return F.conv2d(x, self.weight(), self.bias, self.stride, self.padding)

    @torch.no_grad()
    def folded(self) -> nn.Conv2d:
        """A plain convolution with the normalised weight: for export, and for students to start from."""
        outputs, inputs, size = self.weight_orig.shape[:3]
        plain = nn.Conv2d(inputs, outputs, size, self.stride, self.padding, bias=self.bias is not None)
        training = self.training
        self.eval()
        plain.weight.copy_(self.weight())
        self.train(training)
        if self.bias is not None and plain.bias is not None:
            plain.bias.copy_(self.bias)
        return plain


def fold_spectral_norm(network: nn.Module) -> nn.Module:
    """Replaces every SpectralConv2d inside `network` by a plain convolution; returns the network."""
    for name, child in network.named_children():
        if isinstance(child, SpectralConv2d):
            setattr(network, name, child.folded())
        else:
            fold_spectral_norm(child)
    return network
