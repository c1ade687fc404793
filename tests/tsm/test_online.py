"""Frame by frame equals the clip; caches are explicit and checked."""

import pytest
import torch

from models.facts import ModelError
from models.tsm.online import OnlineTsm
from models.tsm.step import FlatStep
from models.tsm.steps import step_network
from models.tsm.window import WindowStep
from tests.tsm.lively import close
from tests.tsm.lively import exact as lively
from tests.tsm.lively import exact_clip as clip


def by_frames(step, x: torch.Tensor, caches=None) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """Logits [N, T, K] of a clip's frames one by one, and the last caches."""
    caches = step.zero_caches(*x.shape[-2:], batch=len(x)) if caches is None else caches
    found = []
    for t in range(x.shape[1]):
        logits, caches = step(x[:, t], caches)
        found.append(logits)
    return torch.stack(found, 1), caches


CASES = {
    "mobilenetv2": {"width": 0.5},
    "efficientnet-lite0": {"width": 0.5},
    "resnet18": {"width": 0.25},
    "resnet50": {"width": 0.25},
}


@pytest.mark.parametrize("place", ["blockres", "block"])
@pytest.mark.parametrize("backbone", CASES)
def test_frame_by_frame_equals_the_clip(backbone, place):
    network = lively(backbone, "online", 7, place=place, **CASES[backbone])
    x = clip(2, 6, 49, 70)  # odd sizes: caches have the sizes that the strides leave
    for number in (torch.float64, torch.float32):
        network, x = network.to(number), x.to(number)
        with torch.inference_mode():
            assert close(by_frames(OnlineTsm(network), x)[0], network.frame_logits(x), 1e-5)


@pytest.mark.parametrize("fold_div", [3, 8, 64])
def test_any_fold_streams(fold_div):
    network = lively("mobilenetv2", "online", 7, width=0.5, fold_div=fold_div)
    step = OnlineTsm(network)
    assert all(c for c, _, _ in step.cache_shapes(32, 32))
    with torch.inference_mode():
        x = clip(1, 5, 32, 32)
        assert close(by_frames(step, x)[0], network.frame_logits(x))


def test_the_recurrent_network_streams_too():
    for mode in ("none", "online"):
        network = lively("mobilenetv2", mode, 7, width=0.25, architecture="tsm-lstm", hidden=16)
        step = step_network(network)
        with torch.inference_mode():
            x = clip(2, 6, 32, 32)
            found, caches = by_frames(step, x)
            assert close(found, network.frame_logits(x))
        assert [tuple(c.shape) for c in caches[-2:]] == [(2, 16, 1, 1)] * 2


@pytest.mark.parametrize("architecture, channels", [("tsm", 3), ("tsm-i3d", 3), ("tsm-two-stream", 13)])
def test_networks_that_look_ahead_run_on_a_window(architecture, channels):
    mode = "offline" if architecture == "tsm" else "none"
    network = lively("mobilenetv2", mode, 7, width=0.25, segments=4, architecture=architecture, in_channels=channels)
    step = step_network(network)
    assert isinstance(step, WindowStep) and step.depth == 3
    with torch.inference_mode():
        x = clip(1, 6, 32, 32, channels)
        found, _ = by_frames(step, x)
        for t in (3, 5):
            assert close(found[:, t], network(x[:, t - 3 : t + 1]))


def test_a_network_without_shift_needs_no_cache():
    network = lively("mobilenetv2", "none", 7, width=0.25, architecture="tsn")
    step = OnlineTsm(network)
    assert step.depth == 0 and step.cache_shapes(32, 32) == [] and step.zero_caches(32, 32) == ()
    with torch.inference_mode():
        x = clip(1, 3, 32, 32)
        assert close(by_frames(step, x)[0], network.frame_logits(x))


def test_zeros_have_influence_for_exactly_as_many_frames_as_there_are_caches():
    network = lively("resnet18", "online", 5, width=0.25)
    step = OnlineTsm(network)
    x = clip(1, step.depth + 2, 32, 32)
    other = tuple(torch.randn_like(c) * 3 for c in step.zero_caches(32, 32))
    with torch.inference_mode():
        a, b = by_frames(step, x)[0], by_frames(step, x, other)[0]
    differs = [not torch.equal(a[:, t], b[:, t]) for t in range(x.shape[1])]
    assert differs == [True] * step.depth + [False] * 2


def test_every_row_of_a_batch_has_its_own_past():
    network = lively("mobilenetv2", "online", 5, width=0.25)
    step = OnlineTsm(network)
    x = clip(3, 4, 32, 32)
    with torch.inference_mode():
        together, caches = by_frames(step, x)
        for i in range(3):
            alone, own = by_frames(step, x[i : i + 1])
            assert close(alone[0], together[i])
            assert all(close(a[0], c[i]) for a, c in zip(own, caches))


def test_features_for_a_detector_come_with_the_same_caches():
    network = lively("mobilenetv2", "online", 5, width=0.5)
    step = OnlineTsm(network)
    x = clip(1, 3, 64, 96)
    with torch.inference_mode():
        caches, expected = step.zero_caches(64, 96), network.features(x)
        for t in range(3):
            features, kept = step.features(x[:, t], caches)
            _, caches = step(x[:, t], caches)
            assert all(torch.equal(a, b) for a, b in zip(kept, caches))
            assert all(close(f[0], e[t]) for f, e in zip(features, expected))
    assert [tuple(f.shape[2:]) for f in features] == [(8, 12), (4, 6), (2, 3)]


def test_gradients_reach_back_through_the_caches():
    network = lively("mobilenetv2", "online", 5, width=0.25)
    step = OnlineTsm(network)
    x = clip(1, 3, 32, 32).requires_grad_()
    logits, _ = by_frames(step, x)
    logits[:, 2].sum().backward()
    assert (x.grad[0].abs().sum((1, 2, 3)) > 0).all()


def test_networks_that_need_later_frames_are_refused():
    for numbers in ({"mode": "offline"}, {"mode": "none", "architecture": "tsm-i3d"}):
        with pytest.raises(ModelError, match="needs later frames or another step"):
            OnlineTsm(lively("mobilenetv2", width=0.25, **numbers))


def test_caches_and_frames_of_other_shapes_are_one_sentence():
    step = OnlineTsm(lively("mobilenetv2", "online", 5, width=0.25))
    caches = step.zero_caches(32, 32)
    for frame, given, said in (
        (torch.zeros(1, 3, 64, 64), caches, r"cache 0 has shape \(1, 1, 8, 8\), expected \(1, 1, 16, 16\)"),
        (torch.zeros(2, 3, 32, 32), caches, r"cache 0 has shape \(1, 1, 8, 8\), expected \(2, 1, 8, 8\)"),
        (torch.zeros(1, 3, 32, 32).double(), caches[1:], "found 9 caches, expected 10 for frames"),
        (torch.zeros(1, 1, 32, 32), caches, r"expected \[N, 3, H, W\]"),
        (torch.zeros(3, 32, 32), caches, r"expected \[N, 3, H, W\]"),
    ):
        with pytest.raises(ValueError, match=said):
            step(frame, given)


def test_the_flat_step_hands_on_tensors_only():
    step = OnlineTsm(lively("mobilenetv2", "online", 5, width=0.25))
    flat = FlatStep(step)
    inputs, outputs = flat.names()
    assert inputs[:2] == ["frame", "cache_in_0"] and outputs[0] == "logits" and len(inputs) == len(outputs) == 11
    with torch.inference_mode():
        found = flat(torch.zeros(1, 3, 32, 32).double(), *step.zero_caches(32, 32))
    assert len(found) == 11 and found[0].shape == (1, 5)
