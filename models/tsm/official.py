"""Released TSM checkpoints in, our models out.

A released file is {'state_dict': …, …} with keys `module.base_model.….net.…` and `module.new_fc.…`, or, for the online
Jester network, a bare state dict with `features.…` and `classifier.…`. Names of the head and `.net.` differ with how a
network was made, not with what it computes, so tensors are matched by names without them. What the weights do not say
(segments, fold, placement, dataset) stands in the file name:

    TSM_{dataset}_{RGB|Flow}_{backbone}[_shift{div}_{place}][_tpool]_avg_segment{T}_e{epochs}[_dense][_nl].pth
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from models.checkpoints import read_checkpoint, save_model
from models.facts import ModelError, ModelFacts
from models.state import load_weights
from models.tsm.build import build_network, facts_of
from models.tsm.inflate import inflate_state
from models.tsm.mobilenetv2 import make_divisible
from models.tsm.presets import JESTER, JESTER_IMAGE, OFFICIAL_IMAGE, numbered
from models.tsm.resnet import DEPTHS
from models.tsm.spec import TsmSpec

HEADS = ("new_fc", "classifier", "fc")
FILE_NAME = re.compile(
    r"TSM_(?P<dataset>[^_]+)_(?P<modality>RGB|Flow|RGBDiff)_(?P<backbone>[^_]+)"
    r"(_shift(?P<div>\d+)_(?P<place>[a-z]+))?(?P<tpool>_tpool)?_avg_segment(?P<segments>\d+)(_e\d+)?"
)


def canonical(key: str) -> str:
    """A key without wrappers: `module.base_model.layer1.0.conv1.net.weight` -> `layer1.0.conv1.weight`; the classifier
    is `head.…` whatever it was called."""
    parts = [p for p in key.split(".") if p != "net"]
    while parts[0] in ("module", "base_model"):
        parts.pop(0)
    if parts[0] in HEADS:
        parts[0] = "head"
    return ".".join(parts)


def adapt(state: Mapping[str, Tensor], network: nn.Module, head: bool = True) -> dict[str, Tensor]:
    """A released (or torchvision) state dict under the keys of `network`, for `load_weights`.

    head False keeps the network's own classifier, for fine-tuning on other classes. Kernels are inflated for 3D
    networks. Tensors that fit nowhere keep their names, so that strict loading names them.
    """
    own = network.state_dict()
    names = {canonical(k): k for k in own}
    found = {names.get(canonical(k), k): v for k, v in state.items()}
    if not head:
        found = {k: v for k, v in found.items() if not canonical(k).startswith("head.")}
        found.update({k: v for k, v in own.items() if canonical(k).startswith("head.")})
    return inflate_state(found, network)


def online_state(network: nn.Module) -> dict[str, Tensor]:
    """A MobileNetV2 network's tensors in the online demo's layout: `features.…` without `.net`, `classifier.…`."""
    return {canonical(k).replace("head.", "classifier."): v for k, v in network.state_dict().items()}


def spec_of_state(state: Mapping[str, Tensor], file_name: str = "") -> TsmSpec:
    """The spec that a released state dict fits; what the file name says is taken from it. Raises ModelError."""
    keys = {canonical(k): v for k, v in state.items()}
    if "head.weight" not in keys:
        raise ModelError(
            f"the checkpoint has no classifier (new_fc, fc or classifier); found {sorted(state)[:3]} …: expected a TSM "
            "or TSN of resnet or mobilenetv2"
        )
    told = FILE_NAME.search(file_name)
    wrapped = [k for k in state if ".net." in k]
    bare = not any("base_model" in k or "new_fc" in k for k in state) and "features.0.0.weight" in keys
    mode = "online" if bare else "offline" if wrapped else "none"
    place = "block" if any(re.search(r"layer\d\.\d+\.net\.", k) for k in wrapped) else "blockres"
    stem = keys.get("features.0.0.weight", keys.get("conv1.weight"))
    if stem is None:
        raise ModelError(f"the checkpoint is not a resnet or mobilenetv2; found {sorted(state)[:3]} …")
    backbone, width = _backbone(keys)
    return TsmSpec(
        backbone=backbone,
        mode=mode,
        num_classes=int(keys["head.weight"].shape[0]),
        segments=int(told["segments"]) if told else 8,
        fold_div=int(told["div"]) if told and told["div"] else 8,
        place=place,
        width=width,
        tpool=any(".layer2.net." in f".{k}" for k in state),
        non_local="layer2.0.nl.theta.weight" in keys,
        in_channels=int(stem.shape[1]),
        architecture="tsn" if mode == "none" else "tsm",
    )


def _backbone(keys: Mapping[str, Tensor]) -> tuple[str, float]:
    """(name, width) by the number and the shapes of the layers."""
    if "conv1.weight" in keys:
        keys = {k.replace(".block.", "."): v for k, v in keys.items()}
        depth = tuple(sum(f"layer{i}.{j}.conv1.weight" in keys for j in range(64)) for i in range(1, 5))
        deep = "layer1.0.conv3.weight" in keys
        for name, known in DEPTHS.items():
            if known == depth and deep == (name not in ("resnet18", "resnet34")):
                return name, keys["conv1.weight"].shape[0] / 64
        raise ModelError(f"a ResNet with {depth} blocks is unknown; known: {', '.join(DEPTHS)}")
    rows = {f"features.{i}.conv.6.weight": c for i, c in ((2, 24), (4, 32), (7, 64), (11, 96), (14, 160), (17, 320))}
    if all(k in keys for k in rows):
        for percent in (100, *range(5, 301, 5)):
            if all(keys[k].shape[0] == make_divisible(c * percent / 100) for k, c in rows.items()):
                return "mobilenetv2", percent / 100
    raise ModelError(f"the checkpoint is not a mobilenetv2 of a known width; found {sorted(keys)[:3]} …")


def convert(
    checkpoint: str | Path,
    out: str | Path,
    classes: Sequence[str] | None = None,
    image: Mapping[str, Any] | None = None,
    spec: TsmSpec | None = None,
) -> ModelFacts:
    """Converts a released checkpoint to a model folder `out`; returns its facts.

    classes: names by id (Jester's gestures for its online network, else numbers) · image: ModelFacts.image, the
    official test crop by default · spec: where the file and its name do not tell. Raises ModelError; nothing is
    written in that case.
    """
    state = read_checkpoint(checkpoint)
    spec = spec_of_state(state, Path(checkpoint).name) if spec is None else spec
    jester = spec.mode == "online" and spec.num_classes == len(JESTER)
    if classes is None:
        classes = JESTER if jester else numbered(spec.num_classes)
    facts = facts_of(spec, Path(out).name, classes, image or (JESTER_IMAGE if jester else OFFICIAL_IMAGE))
    network = build_network(facts)
    load_weights(network, adapt(state, network), str(checkpoint))
    return save_model(
        network, replace(facts, trained=True, training_data=f"released weights {Path(checkpoint).name}"), out
    )
