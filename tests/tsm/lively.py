"""Networks whose random weights make differences visible."""

import torch
from torch import nn

from models.tsm.builder import build_tsm
from models.tsm.inflate import TimeConv
from models.tsm.spec import TsmSpec


def enliven(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random kernels, normalisation statistics and a head of unit scale, in place."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
                for tensor, least in (
                    (module.running_var, 0.5), (module.running_mean, -0.2), (module.weight, 0.7), (module.bias, -0.3),
                ):  # fmt: skip
                    tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.6 + least)
            if isinstance(module, (nn.Conv2d, TimeConv)):
                shape = module.weight.shape
                module.weight.copy_(torch.randn(shape, generator=generator) * 1.1 / module.weight[0].numel() ** 0.5)
            if isinstance(module, nn.Linear):
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) / module.in_features**0.5)
    return network.eval()


def lively(*arguments, seed: int = 0, **numbers) -> nn.Module:
    """The network of a TsmSpec's arguments."""
    return enliven(build_tsm(TsmSpec(*arguments, **numbers), seed), seed)


def clip(n: int, t: int, height: int, width: int, channels: int = 3, seed: int = 0) -> torch.Tensor:
    """Random frames [n, t, channels, height, width]."""
    return torch.randn(n, t, channels, height, width, generator=torch.Generator().manual_seed(seed))


def exact(*arguments, **numbers) -> nn.Module:
    """The same in float64, where equality does not depend on the order of sums."""
    return lively(*arguments, **numbers).double()


def exact_clip(*arguments) -> torch.Tensor:
    """`clip` in float64."""
    return clip(*arguments).double()


def close(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-5) -> bool:
    """True where no value is off by more than `tolerance` of the largest."""
    return float((found - expected).abs().max()) <= tolerance * float(expected.abs().max())
