"""One video network in training: the TSN/TSM recipe's parameter groups and schedule, or AdamW; what is kept fixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from models.facts import ModelError
from models.tsm.inflate import TimeConv
from models.tsm.network import ClipNetwork, VideoNetwork
from models.tsm.shift import Shifted
from training.common.trainee import Trainee
from training.video.config import ClipOptimiser, VideoTrainConfig
from training.video.motion import MotionReader

NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)


class Supervised(nn.Module):
    """What DistributedDataParallel wraps: clips [N, T, C, H, W] -> (logits [N, T, K] (frame) or [N, K] (clip), motion
    that a reader finds in the features, per stride; none without a reader)."""

    def __init__(self, network: nn.Module, supervise: str, reader: MotionReader | None = None):
        super().__init__()
        self.network, self.per_frame, self.reader = network, supervise == "frame", reader

    def forward(self, clips: Tensor) -> tuple[Tensor, list[Tensor]]:
        """See the class."""
        if self.reader is None:
            return (self.network.frame_logits(clips) if self.per_frame else self.network(clips)), []
        features = self.network.features(clips)
        logits = self.network.classify(features[-1], clips.shape[0])
        return (logits if self.per_frame else logits.mean(1)), self.reader(features)


def motion_reader(network: VideoNetwork) -> MotionReader:
    """A reader of motion for `network`; ModelError where its features are not those of one picture each."""
    if not isinstance(network, ClipNetwork):
        raise ModelError(f"motion is taught to TSM and TSN alone, not to {network.spec.architecture}; set motion to 0")
    return MotionReader(network.feature_channels)


def clip_loss(logits: Tensor, labels: Tensor, least_history: int = 0, smoothing: float = 0.0) -> Tensor:
    """Cross entropy; labels int64 [N, T]. Logits [N, K] are held against the last frame's label, logits [N, T, K]
    against each frame's from `least_history` on."""
    if logits.ndim == 2:
        return nn.functional.cross_entropy(logits, labels[:, -1], label_smoothing=smoothing)
    first = min(least_history, labels.shape[1] - 1)
    return nn.functional.cross_entropy(
        logits[:, first:].flatten(0, 1), labels[:, first:].flatten(), label_smoothing=smoothing
    )


def frozen_layers(network: VideoNetwork, count: int) -> list[nn.Module]:
    """The first `count` layers of the backbone (`features` of inverted residual networks, stem and stages of ResNets;
    of two streams the one that sees colours); ModelError where there are fewer."""
    backbone = network.backbones()[0]
    if isinstance(getattr(backbone, "features", None), nn.ModuleList):
        layers = list(backbone.features)
    else:
        stem = nn.ModuleList([backbone.conv1, backbone.bn1])
        layers = [stem, *(getattr(backbone, f"layer{i}") for i in range(1, 5))]
    if count > len(layers):
        raise ModelError(f"freeze is {count}, the backbone has {len(layers)} layers")
    return layers[:count]


def prepare(network: VideoNetwork, config: VideoTrainConfig) -> None:
    """Training mode, with layers, depthwise kernels and batch norms fixed as the config says."""
    network.train()
    norms = [m for m in network.modules() if isinstance(m, NORMS)]
    if config.norm == "frozen":
        quiet = norms
    elif config.norm == "partial":
        quiet = norms[1:]
    else:
        quiet = []
    for norm in quiet:
        norm.eval()
    for layer in frozen_layers(network, config.freeze):
        layer.eval()
        for parameter in layer.parameters():
            parameter.requires_grad_(False)
        kernels = [m for m in layer.modules() if isinstance(m, TimeConv)]
        for kernel in kernels:  # these have to learn what time is
            kernel.weight.requires_grad_(True)
        if not kernels and not any(isinstance(m, Shifted) for m in layer.modules()):
            layer.forward = in_chunks(layer.forward)  # type: ignore[method-assign]
    if config.fixed_depthwise:
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, nn.Conv3d)) and module.groups > 1:
                module.weight.requires_grad_(False)


def in_chunks(forward: Callable[..., Tensor], frames: int = 2) -> Callable[..., Tensor]:
    """`forward` on a few frames at a time: on a CPU the early layers' large pictures then stay in its cache."""

    def chunked(x: Tensor, *rest: Any) -> Tensor:
        if x.device.type != "cpu":
            return forward(x, *rest)
        return torch.cat([forward(part, *rest) for part in x.split(frames)])

    return chunked


def parameter_groups(network: nn.Module, config: ClipOptimiser) -> Iterator[dict]:
    """Groups with `rate` (multiple of the learning rate) and `weight_decay`: classifier, motion reader and biases learn
    faster, only weights of convolutions and classifiers decay."""
    names = ("new_fc", "classifier", "maps.")
    heads = {id(p) for n, p in network.named_parameters() if any(name in n for name in names)}
    found: dict[tuple[float, float], list[Tensor]] = {}
    norms = {id(p) for m in network.modules() if isinstance(m, NORMS) for p in m.parameters(recurse=False)}
    for parameter in network.parameters():
        if not parameter.requires_grad:
            continue
        rate, decay = 1.0, config.weight_decay
        if parameter.ndim <= 1:
            decay = 0.0
            rate = 1.0 if id(parameter) in norms else config.bias_rate
        if id(parameter) in heads:
            rate *= config.head_rate
        found.setdefault((rate, decay), []).append(parameter)
    for (rate, decay), parameters in sorted(found.items(), key=lambda f: f[0]):
        yield {"params": parameters, "rate": rate, "weight_decay": decay}


def clip_trainee(
    name: str, network: nn.Module, config: ClipOptimiser, wrapped: nn.Module, reader: MotionReader | None
) -> Trainee:
    """A video network with the recipe's parameter groups; the motion reader learns beside it and is not released."""
    learned = network if reader is None else nn.ModuleList([network, reader])
    return Trainee(name, network, config, wrapped, list(parameter_groups(learned, config)), reader)
