"""Systems "MinkUNet" and "SPVCNN": logits of the whole network with the official state dict."""

from __future__ import annotations

import numpy as np
import torch

from models.official import channels_of
from models.sparse import Level, SparseTensor
from models.spvcnn.inference import Predictor
from models.spvcnn.minkunet import MinkUNet
from models.spvcnn.presets import scaled
from models.spvcnn.spvcnn import SPVCNN
from models.state import load_weights
from tests.parity.vectors import Vector

KNOWN = {"num_classes", "cr", "pres", "vres", "dropout", "in_channels", "channels", "cs", "run_up"}


def build(vector: Vector) -> MinkUNet:
    """The network of the vector's constructor (widths by `cr`, else as the state says) with its weights."""
    told = dict(vector.meta["constructor"])
    unknown = sorted(set(told) - KNOWN)
    if unknown:
        raise ValueError(f"constructor arguments {unknown} are unknown; known: {sorted(KNOWN)}")
    state = {k: torch.from_numpy(v) for k, v in vector.weights.items()}
    channels = channels_of(state)
    if "cr" in told and scaled(told["cr"]) != channels:
        raise ValueError(f"cr {told['cr']} gives widths {scaled(told['cr'])}, the state dict has {channels}")
    inputs = int(state["stem.0.kernel"].shape[1])
    classes = int(told.get("num_classes", state["classifier.0.bias"].shape[0]))
    if vector.system == "SPVCNN":
        numbers = {k: told[k] for k in ("pres", "vres") if k in told}
        network: MinkUNet = SPVCNN(classes, channels, inputs, **numbers)
    else:
        branch = any(k.startswith("point_transforms.") for k in state)
        network = MinkUNet(classes, channels, inputs, point_branch=branch)
    load_weights(network, state, vector.name)
    return network.eval()


def run(vector: Vector) -> dict[str, np.ndarray]:
    """Logits of the modules, and of the fused fp32 engine that sessions run, whichever is further off."""
    feats, coords = vector.inputs["feats"], vector.inputs["coords"].astype(np.int32)
    network = build(vector)
    with torch.inference_mode():
        logits = network(SparseTensor(torch.from_numpy(feats), coords)).numpy()
    predictor = Predictor(network, "fp32", threads=2)
    if getattr(network, "pres", 1) != getattr(network, "vres", 1):
        return {"logits": logits}  # sessions take one point per voxel
    level = Level(coords)
    order = np.arange(len(coords)) if level.order is None else level.order
    fused = np.empty_like(logits)
    fused[order] = predictor.run(np.ascontiguousarray(feats[order]), predictor.maps(Level(coords[order])))
    reference = vector.expected["logits"]
    steps = vector.meta["outputs"].get("logits", {}).get("stride")
    seen = tuple(slice(None, None, s) for s in steps) if steps else ()
    errors = [np.abs(found[seen] - reference).max() for found in (logits, fused)]
    return {"logits": logits if errors[0] >= errors[1] else fused}
