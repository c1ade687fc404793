"""Released BEVFusion checkpoints in (mit-han-lab at revision db75150, or mmdetection3d's port), model folders out.

The files hold {'meta': …, 'state_dict': …}. Which of the six configurations a file belongs to follows from its keys.
Constants that the files carry as parameters (the frustum, the grid, Swin's position index) are compared with ours and
left out: where they differ, the checkpoint belongs to another configuration.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from models.bevfusion.build import (
    PRESETS,
    BEVFusion,
    build_network,
    facts_of,
)
from models.bevfusion.results import NEW, OLD
from models.bevfusion.swin import relative_positions
from models.facts import ModelError, ModelFacts
from models.state import load_weights

REVISION = "bevfusion at revision db75150"
PARTS = ("encoders.camera.", "encoders.lidar.", "fuser.", "decoder.", "heads.object.", "heads.map.")
PORT = {
    "img_backbone.": "encoders.camera.backbone.",
    "img_neck.": "encoders.camera.neck.",
    "view_transform.": "encoders.camera.vtransform.",
    "pts_middle_encoder.": "encoders.lidar.backbone.",
    "fusion_layer.": "fuser.",
    "pts_backbone.": "decoder.backbone.",
    "pts_neck.": "decoder.neck.",
    "bbox_head.": "heads.object.",
}
PORT_DECODER = (
    (r"(\.decoder\.\d+\.self_attn)\.attn\.", r"\1."),
    (r"(\.decoder\.\d+)\.cross_attn\.attn\.", r"\1.multihead_attn."),
    (r"(\.decoder\.\d+)\.ffn\.layers\.0\.0\.", r"\1.linear1."),
    (r"(\.decoder\.\d+)\.ffn\.layers\.1\.", r"\1.linear2."),
    (r"(\.decoder\.\d+)\.norms\.0\.", r"\1.norm1."),
    (r"(\.decoder\.\d+)\.norms\.1\.", r"\1.norm2."),
    (r"(\.decoder\.\d+)\.norms\.2\.", r"\1.norm3."),
)
TRANSFORM = "encoders.camera.vtransform."
LIDAR = "encoders.lidar.backbone."
POSITION = "relative_position_index"


def is_bevfusion(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has the keys of either layout."""
    return any(k.startswith(("encoders.camera.", "encoders.lidar.", "pts_middle_encoder.", "img_neck.")) for k in state)


def from_port(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The port's names as the official ones; other keys stay as they are."""
    out = {}
    for key, value in state.items():
        for old, new in PORT.items():
            if key.startswith(old):
                key = new + key[len(old) :]
                for pattern, name in PORT_DECODER:
                    key = re.sub(pattern, name, key)
                break
        out[key] = value
    return out


def spconv1_layout(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Sparse kernels as spconv 1.x stores them, [kx, ky, kz, in, out]; spconv 2.x stores [out, kx, ky, kz, in]."""
    out = dict(state)
    for key, value in state.items():
        if key.startswith(LIDAR) and value.ndim == 5:
            kernel = (1, 1, 3) if key.startswith(LIDAR + "conv_out.") else (3, 3, 3)
            if tuple(value.shape[:3]) != kernel and tuple(value.shape[1:4]) == kernel:
                out[key] = value.permute(1, 2, 3, 4, 0).contiguous()
    return out


def preset_of(state: Mapping[str, Tensor], source: str) -> str:
    """Which configuration a state dict in the official layout belongs to. Raises ModelError with one sentence."""
    if any(k.startswith("encoders.radar.") for k in state):
        raise ModelError(
            f"{source} holds a radar encoder: it is of bevfusion's HEAD (the radar version); expected one of the six "
            f"files of {REVISION}"
        )
    first = state.get(TRANSFORM + "dtransform.0.weight")
    if first is not None and first.shape[1] != 1:
        raise ModelError(
            f"{source}: its depth branch reads {first.shape[1]} channels, so it is of bevfusion's HEAD (the radar "
            f"version) or of another fork; expected 1 channel, as in {REVISION}"
        )
    camera = any(k.startswith("encoders.camera.") for k in state)
    lidar = any(k.startswith("encoders.lidar.") for k in state)
    if camera and "encoders.camera.backbone.patch_embed.projection.weight" not in state:
        raise ModelError(
            f"{source}: its camera backbone is not a Swin-T: found {_some(state, 'encoders.camera.backbone.')}; "
            f"expected one of the six files of {REVISION}"
        )
    objects = any(k.startswith("heads.object.") for k in state)
    maps = any(k.startswith("heads.map.") for k in state)
    if not (camera or lidar) or not (objects or maps):
        raise ModelError(
            f"{source} is not a BEVFusion checkpoint: found {sorted(state)[:3]}, expected keys under {', '.join(PARTS)}"
        )
    if objects and maps:
        if not (camera and lidar):
            raise ModelError(f"{source} has both heads on one sensor, which was never released and is not built")
        return "bevfusion-both"
    kind = "bevfusion" if camera and lidar else "camera-only" if camera else "lidar-only"
    return f"{kind}-{'det' if objects else 'seg'}"


def _some(state: Mapping[str, Tensor], prefix: str) -> str:
    return next((k for k in state if k.startswith(prefix)), "nothing")


def without_constants(state: Mapping[str, Tensor], network: BEVFusion, source: str) -> dict[str, Tensor]:
    """The state without entries that are no weights. Raises ModelError where one has another value than ours."""
    expected: dict[str, Tensor] = {}
    if network.camera is not None:
        transform = network.camera.transform
        grid = transform.grid
        values = {
            "frustum": transform.frustum,
            "dx": torch.from_numpy(grid.step),
            "bx": torch.from_numpy(grid.first),
            "nx": torch.tensor(grid.cells),
        }
        expected = {TRANSFORM + name: value for name, value in values.items()}
    out = {}
    for key, value in state.items():
        constant = relative_positions(7) if key.endswith(POSITION) else expected.get(key)
        if constant is None:
            out[key] = value
        elif value.shape != constant.shape or not torch.allclose(value.double(), constant.double(), atol=1e-3):
            raise ModelError(
                f"{source}: {key} is {_short(value)}, expected {_short(constant)}: the checkpoint was trained with "
                f"another grid or picture size than the released configuration of {REVISION}"
            )
    return out


def _short(value: Tensor) -> str:
    return str([round(v, 3) for v in value.tolist()]) if value.ndim == 1 else f"of shape {list(value.shape)}"


def read_state(state: Mapping[str, Tensor], source: str, name: str) -> tuple[BEVFusion, ModelFacts]:
    """(network with the weights, its facts) of a state dict in either layout. Raises ModelError."""
    port = any(k.startswith(tuple(PORT)) for k in state)
    official = spconv1_layout(from_port(state))
    config: dict[str, Any] = copy.deepcopy(PRESETS[preset_of(official, source)]())
    config["boxes"] = NEW if port else OLD
    facts = replace(
        facts_of(config, name), trained=True, training_data="nuScenes (released weights)",
        licence="that of the released weights; nuScenes is for non-commercial use",
    )  # fmt: skip
    network = build_network(facts)
    load_weights(network, without_constants(official, network, source), source)
    return network, facts
