"""Small networks for the tests: a convolution net with a shift and explicit caches."""

import torch
from torch import nn


class TinyStep(nn.Module):
    """(frame [N, 3, H, W], cache [N, 1, H, W], cache [N, 2, H, W]) -> (logits [N, 5], caches): shapes as in TSM."""

    def __init__(self, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
            self.expand = nn.Sequential(nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())
            self.depthwise = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1, groups=16, bias=False), nn.BatchNorm2d(16))
            self.project = nn.Conv2d(16, 8, 1)
            self.last = nn.Conv2d(8, 16, 3, 2, 1)
            self.classifier = nn.Linear(16, 5)
            for m in self.modules():
                if isinstance(m, nn.BatchNorm2d):
                    m.running_mean.uniform_(-0.5, 0.5)
                    m.running_var.uniform_(0.5, 2.0)
        self.eval()

    def forward(self, frame, first, second):
        x = self.stem(frame)
        shifted = torch.cat((first, x[:, 1:]), 1)
        y = x + self.project(self.depthwise(self.expand(shifted)))
        z = torch.relu(self.last(torch.cat((second, y[:, 2:]), 1)))
        return self.classifier(z.mean((2, 3))), x[:, :1], y[:, :2]


def examples(batch: int = 1, height: int = 12, width: int = 20, seed: int = 1):
    """Inputs of TinyStep as tensors."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(batch, c, height, width, generator=generator) for c in (3, 1, 2))


NAMES = {
    "input_names": ["frame", "cache_in_0", "cache_in_1"],
    "output_names": ["logits", "cache_out_0", "cache_out_1"],
    "caches": 2,
}
