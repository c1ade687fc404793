"""Systems "TSM shift", "TSM <backbone> offline", "TSM MobileNetV2 online": the shift alone, clips, frame by frame."""

from __future__ import annotations

import numpy as np
import torch

from models.state import load_weights
from models.tsm.builder import build_tsm
from models.tsm.network import VideoNetwork
from models.tsm.official import adapt, spec_of_state
from models.tsm.online import OnlineTsm
from models.tsm.shift import shift
from models.tsm.spec import TsmSpec
from tests.parity.vectors import Vector

CHANNELS = {"RGB": 3, "Flow": 2}


def run_shift(vector: Vector) -> dict[str, np.ndarray]:
    """Both directions of the shift, on frames and on clips (which must agree)."""
    told = vector.meta["constructor"]
    x, t = torch.from_numpy(vector.inputs["x"]), int(told["n_segment"])
    found = {}
    for name, direction in (("bi", "both"), ("uni", "past")):
        frames = shift(x, t, int(told.get("fold_div", told.get("n_div", 8))), direction)
        clips = shift(x.unflatten(0, (-1, t)), None, int(told.get("fold_div", told.get("n_div", 8))), direction)
        if not torch.equal(frames, clips.flatten(0, 1)):
            raise ValueError(f"the shift ({direction}) of clips differs from that of their frames")
        found[name] = frames.numpy()
    return found


def _network(vector: Vector, spec: TsmSpec) -> VideoNetwork:
    network = build_tsm(spec)
    load_weights(network, adapt({k: torch.from_numpy(v) for k, v in vector.weights.items()}, network), vector.name)
    return network


def offline_spec(vector: Vector) -> TsmSpec:
    """The spec of a TSN constructor's arguments; they must agree with what the state dict shows."""
    told = vector.meta["constructor"]
    modality, backbone = told.get("modality", "RGB"), told.get("base_model", "resnet101")
    shifts = bool(told.get("is_shift", False))
    spec = TsmSpec(
        backbone=backbone,
        mode="offline" if shifts else "none",
        num_classes=int(told["num_class"]),
        segments=int(told["num_segments"]),
        fold_div=int(told.get("shift_div", 8)),
        place=told.get("shift_place", "blockres") if backbone.startswith("resnet") else "blockres",
        dropout=float(told.get("dropout", 0.8)),
        tpool=bool(told.get("temporal_pool", False)),
        non_local=bool(told.get("non_local", False)),
        in_channels=CHANNELS[modality] * int(told.get("new_length") or (1 if modality == "RGB" else 5)),
        architecture="tsm" if shifts else "tsn",
    )
    seen = spec_of_state({k: torch.from_numpy(v) for k, v in vector.weights.items()})
    for name in ("backbone", "mode", "num_classes", "tpool", "non_local", "in_channels"):
        if getattr(seen, name) != getattr(spec, name):
            raise ValueError(f"the constructor's {name} is {getattr(spec, name)}, the state's {getattr(seen, name)}")
    return spec


def run_offline(vector: Vector) -> dict[str, np.ndarray]:
    """Frame logits and their mean over each clip; x holds the frames of whole clips."""
    told = vector.meta["constructor"]
    spec = offline_spec(vector)
    network = _network(vector, spec)
    x = torch.from_numpy(vector.inputs["x"])
    x = x.reshape(-1, spec.segments, spec.in_channels, *x.shape[-2:])
    with torch.inference_mode():
        logits = network.frame_logits(x)
        per_frame = logits if told.get("before_softmax", True) else logits.softmax(-1)
        whole = per_frame.mean(1) if told.get("consensus_type", "avg") == "avg" else per_frame
    return {"frame_logits": logits.flatten(0, 1).numpy(), "y": whole.numpy()}


def run_online(vector: Vector) -> dict[str, np.ndarray]:
    """Logits after every frame and the caches after the last, frame by frame; the clip network must agree."""
    told = vector.meta["constructor"]
    spec = TsmSpec("mobilenetv2", "online", int(told.get("n_class", 1000)), width=float(told.get("width_mult", 1.0)))
    network = _network(vector, spec)
    step = OnlineTsm(network)  # type: ignore[arg-type]
    frames = torch.from_numpy(vector.inputs["frames"])  # [T, N, 3, H, W]
    t, n, _, height, width = frames.shape
    caches = step.zero_caches(height, width, n)
    given = [vector.inputs.get(f"cache{i}") for i in range(len(caches))]
    caches = tuple(c if g is None else torch.from_numpy(g) for c, g in zip(caches, given))
    logits = []
    with torch.inference_mode():
        for frame in frames:
            found, caches = step(frame, caches)
            logits.append(found)
        online = torch.stack(logits)  # [T, N, K]
        clip = network.frame_logits(frames.transpose(0, 1)).transpose(0, 1)
    if all(g is None for g in given) and not torch.allclose(clip, online, rtol=1e-4, atol=1e-5):
        raise ValueError(f"frame by frame differs from the clip by {float((clip - online).abs().max())}")
    return {"logits": online.numpy(), **{f"cache{i}": c.numpy() for i, c in enumerate(caches)}}
