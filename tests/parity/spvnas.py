"""System "SPVNAS supernet": logits of sub-networks with the official state dict of the whole super network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from models.sparse import Level, SparseTensor
from models.spvcnn.inference import Predictor
from models.spvcnn.search_space import OFFICIAL, SearchSpace
from models.spvcnn.subnet import Subnet
from models.spvcnn.supernet import SuperNetwork
from tests.parity.vectors import Vector

RATIOS = {
    "cr_bounds": ("middle",),
    "up_cr_bounds": ("up_middle", "up_transition"),
    "trans_cr_bounds": ("transition",),
}
WIDTHS = {"output_channels_lb": "lower", "output_channels_ub": "upper"}
KNOWN = {"num_classes", "macro_depth_constraint", "pres", "vres", *RATIOS, *WIDTHS}


def space_of(vector: Vector) -> SearchSpace:
    """The search space of the constructor's arguments; the widest widths are those of the state dict."""
    told = dict(vector.meta["constructor"])
    unknown = sorted(set(told) - KNOWN)
    if unknown:
        raise ValueError(f"constructor arguments {unknown} are unknown; known: {sorted(KNOWN)}")
    full = [int(vector.weights["stem.3.kernel"].shape[-1])]
    for i in range(8):
        name = f"{'upsample' if i >= 4 else 'downsample'}.{i % 4}.feature.layers.0.net.layers.0.net.conv.kernel"
        full.append(int(vector.weights[name].shape[-1]))
    lower = told.get("output_channels_lb", OFFICIAL.lower)
    values = {field: tuple(told[key]) for key, fields in RATIOS.items() if key in told for field in fields}
    least = tuple(min(a, b) for a, b in zip(lower, full))
    return replace(OFFICIAL, lower=least, upper=tuple(full), min_depth=told.get("macro_depth_constraint", 1), **values)


def build(vector: Vector) -> SuperNetwork:
    """The super network of the vector with its weights, in eval mode; every key must fit."""
    told = vector.meta["constructor"]
    inputs = int(vector.weights["stem.0.kernel"].shape[1])
    numbers = {key: told[key] for key in ("pres", "vres") if key in told}
    network = SuperNetwork(space_of(vector), int(told["num_classes"]), inputs, **numbers)
    state = {k: torch.from_numpy(v) for k, v in vector.weights.items()}
    counters = {k: v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
    network.load_state_dict({**counters, **state})
    return network.eval()


def run(vector: Vector) -> dict[str, np.ndarray]:
    """Per sub-network: logits of the super network, of the extracted network and of the fused fp32 engine that sessions
    run, whichever is furthest off."""
    feats, coords = vector.inputs["feats"], vector.inputs["coords"].astype(np.int32)
    network = build(vector)
    found: dict[str, np.ndarray] = {}
    for i, config in enumerate(vector.meta["facts"]["subnets"]):
        subnet, name = Subnet.from_config(config), f"logits{i}"
        network.select(subnet)
        plain = network.extract(subnet)
        x = SparseTensor(torch.from_numpy(feats), coords)
        with torch.inference_mode():
            ways = [network(x).numpy(), plain(x).numpy()]
        if network.pres == network.vres:  # sessions take one point per voxel
            ways.append(_fused(plain, feats, coords))
        reference = vector.expected[name]
        steps = vector.meta["outputs"].get(name, {}).get("stride")
        seen = tuple(slice(None, None, s) for s in steps) if steps else ()
        errors = [float(np.abs(w[seen] - reference).max()) for w in ways]
        found[name] = ways[int(np.argmax(errors))]
    return found


def _fused(network: torch.nn.Module, feats: np.ndarray, coords: np.ndarray) -> np.ndarray:
    predictor, level = Predictor(network, "fp32", threads=2), Level(coords)
    order = np.arange(len(coords)) if level.order is None else level.order
    logits = predictor.run(np.ascontiguousarray(feats[order]), predictor.maps(Level(coords[order])))
    out = np.empty_like(logits)
    out[order] = logits
    return out
