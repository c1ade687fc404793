"""Scores of event networks on held-out clips: accuracy, per event, mirrored pairs; and what the networks cost."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.facts import ModelFacts
from models.tsm.inflate import TimeConv
from models.tsm.network import VideoNetwork
from perception_nodes.classes import EVENTS
from training.video.cache import MIRRORED, backward_ids
from training.video.clips import EventClips


def per_frame(network: VideoNetwork, facts: ModelFacts) -> bool:
    """Whether the last frame's logits are the clip's answer (causal networks, and those that were taught so), not the
    mean over the frames."""
    taught = (facts.image or {}).get("taught")
    return network.spec.mode == "online" or network.spec.architecture == "tsm-lstm" or taught == "frame"


def network_input(clips: NDArray[np.uint8], facts: ModelFacts, flow: bool) -> Tensor:
    """uint8 [N, T, H, W, 3] -> float32 [N, T, C, H, W], normalised; with optical flow C = 13."""
    image = facts.image or {}
    mean, std = np.float32(image["mean"]) * 255, np.float32(image["std"]) * 255
    x = torch.from_numpy((clips.astype(np.float32) - mean) / std)
    if flow:
        from models.tsm.flow import flow_of_clip

        stacks = np.stack([flow_of_clip(c) for c in clips]).transpose(0, 1, 3, 4, 2)
        x = torch.cat([x, torch.from_numpy(stacks)], -1)
    return x.permute(0, 1, 4, 2, 3)


@torch.inference_mode()
def clip_logits(network: VideoNetwork, clips: NDArray[np.uint8], facts: ModelFacts) -> NDArray[np.float32]:
    """float32 [N, K] of clips uint8 [N, T, H, W, 3]: the answer at each clip's last frame."""
    logits = network.frame_logits(network_input(clips, facts, network.spec.in_channels > 3))
    return (logits[:, -1] if per_frame(network, facts) else logits.mean(1)).numpy()


def seen(clips: EventClips, end: int, way: str) -> NDArray[np.uint8]:
    """The clip uint8 [T, H, W, 3] whose last frame is `end`. way: "forward" · "still", the last frame alone, so that
    nothing moves · "backward", the frames after it played backwards."""
    clip = clips.backward(end).clip if way == "backward" else clips.at(end).clip
    return np.repeat(clip[-1:], len(clip), axis=0) if way == "still" else clip


def all_logits(
    network: VideoNetwork, facts: ModelFacts, clips: EventClips, ends: NDArray[np.int64], show: Any, batch: int = 2,
    way: str = "forward",
) -> NDArray[np.float32]:  # fmt: skip
    """float32 [len(ends), K] of the clips as they are `seen`."""
    out = []
    for i in range(0, len(ends), batch):
        part = np.stack([seen(clips, int(end), way) for end in ends[i : i + batch]])
        out.append(clip_logits(network, part, facts))
        show(len(part))
    return np.concatenate(out)


def score(logits: NDArray[np.float32], labels: NDArray[np.int64], under_way: list[tuple[str, ...]]) -> dict[str, Any]:
    """Scores of logits [N, K] against labels int64 [N]; under_way: all events of each clip's last frame.

    top1 · top1_any: the answer is one of the events under way (or "none" where there is none) · mean_class: mean of
    the events' own shares · per_event · mirrored_top1: share right among the clips of mirrored events where the
    answer is the better of the pair's two logits (0.5 is chance), mean over the six events · mirrored: by pair · n.
    """
    answer = logits.argmax(1)
    events = {
        name: {"right": round(float((answer[labels == k] == k).mean()), 4), "clips": int((labels == k).sum())}
        for k, name in enumerate(EVENTS)
        if (labels == k).any()
    }
    either = [EVENTS[a] in row or (a == 0 and not row) for a, row in zip(answer, under_way)]
    pairs = mirrored(logits, labels)
    scores: dict[str, Any] = {
        "top1": round(float((answer == labels).mean()), 4),
        "top1_any": round(float(np.mean(either)), 4),
        "mean_class": round(float(np.mean([e["right"] for e in events.values()])), 4),
        "per_event": events,
        "mirrored": pairs,
        "clips": len(labels),
    }
    if pairs:
        scores["mirrored_top1"] = round(float(np.mean(list(pairs.values()))), 4)
    return scores


def mirrored(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> dict[str, float]:
    """By pair of mirrored events: share right where only the pair's two logits are compared, mean of both sides."""
    pairs = {}
    for names in MIRRORED:
        ids = [EVENTS.index(n) for n in names]
        found = [float((logits[labels == i][:, ids].argmax(1) == j).mean()) for j, i in enumerate(ids) if i in labels]
        if len(found) == 2:
            pairs["/".join(names)] = round(float(np.mean(found)), 4)
    return pairs


def both_ways(
    forward: NDArray[np.float32], backward: NDArray[np.float32], labels: NDArray[np.int64]
) -> dict[str, float]:
    """By pair of mirrored events: share right where the same last frames are reached from before (logits `forward`
    [N, K], labels int64 [N]) and from after (`backward`), and only the logits of the label and of its backward partner
    are compared. A network that answers from the last frame alone gets 0.5, whatever it has learned."""
    partner = backward_ids()[labels]
    rows = np.arange(len(labels))
    right = (forward[rows, labels] > forward[rows, partner]).astype(float)
    right += backward[rows, partner] > backward[rows, labels]
    ids = {"/".join(names): [EVENTS.index(n) for n in names] for names in MIRRORED}
    which = {pair: np.isin(labels, pair_ids) for pair, pair_ids in ids.items()}
    return {pair: round(float(right[rows].mean() / 2), 4) for pair, rows in which.items() if rows.any()}


def spread(values: NDArray[Any], drive: NDArray[np.int64], draws: int = 2000) -> tuple[float, float]:
    """90 % interval of the mean of `values` [N] by drawing whole drives (int64 [N]) again and again: whether an answer
    was right, or how much better one network's was than another's (1, 0 or -1)."""
    rng = np.random.default_rng(0)
    _, group = np.unique(drive, return_inverse=True)
    total, count = np.bincount(group, values), np.bincount(group)
    pick = rng.integers(len(count), size=(draws, len(count)))
    low, high = np.quantile(total[pick].sum(1) / count[pick].sum(1), [0.05, 0.95])
    return round(float(low), 4), round(float(high), 4)


def confusion(answer: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 [K, K]: rows truth, columns answers."""
    return np.bincount(labels * len(EVENTS) + answer, minlength=len(EVENTS) ** 2).reshape(len(EVENTS), -1)


@torch.inference_mode()
def cost(network: VideoNetwork, facts: ModelFacts, segments: int, repeats: int = 5) -> dict[str, float]:
    """params, macs_per_frame (convolutions and linear layers; an LSTM's too), clip_ms: CPU time of one clip on one
    thread (least of `repeats`), and for networks that stream frame_ms: of one frame."""
    size = facts.image["size"] if facts.image else [224, 224]
    x = torch.zeros(1, segments, network.spec.in_channels, *size)
    macs = _macs(network, x)
    found = {
        "params": sum(p.numel() for p in network.parameters()),
        "macs_per_frame": round(macs / segments),
        "clip_ms": _least(lambda: network.frame_logits(x), repeats),
    }
    if network.spec.mode == "online" or network.spec.architecture in ("tsn", "tsm-lstm"):
        from models.tsm.steps import step_network

        step = step_network(network)
        caches = step.zero_caches(*size)
        found["frame_ms"] = _least(lambda: step(x[:, 0], caches), repeats)
    return found


def _least(call: Any, repeats: int) -> float:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    call()
    spent = []
    for _ in range(repeats):
        begun = time.process_time()
        call()
        spent.append(time.process_time() - begun)
    torch.set_num_threads(threads)
    return round(1000 * min(spent), 2)


def _macs(network: nn.Module, x: Tensor) -> int:
    total = 0

    def count(module: nn.Module, inputs: tuple, output: Any) -> None:
        nonlocal total
        if isinstance(module, nn.LSTM):
            weights = sum(p.numel() for n, p in module.named_parameters() if "weight" in n)
            total += inputs[0].shape[0] * inputs[0].shape[1] * weights
        else:
            channels = output.shape[-1 if isinstance(module, nn.Linear) else 1]
            total += module.weight.numel() * (output.numel() // channels)

    kinds = (nn.Conv2d, nn.Conv3d, nn.Linear, nn.LSTM, TimeConv)
    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, kinds)]
    network.frame_logits(x)  # type: ignore[operator]
    for hook in hooks:
        hook.remove()
    return total
