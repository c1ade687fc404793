"""The networks that TSM is compared with, under the same interface."""

import numpy as np
import pytest
import torch

from models.facts import load_network
from models.tsm.builder import build_tsm
from models.tsm.flow import BOUND, STD, FlowStack, flow_of_clip
from models.tsm.inflate import TimeConv
from models.tsm.macs import macs_per_frame, parameters
from models.tsm.official import adapt
from models.tsm.presets import PRESETS
from models.tsm.spec import TsmSpec
from tests.tsm.lively import close
from tests.tsm.lively import exact as lively
from tests.tsm.lively import exact_clip as clip


@pytest.mark.parametrize("backbone", ["mobilenetv2", "efficientnet-lite0", "resnet18"])
@pytest.mark.parametrize("kernel", ["3x1x1", "3x3x3"])
def test_inflated_weights_say_of_equal_frames_what_the_2d_network_says(backbone, kernel):
    flat = lively(backbone, "none", 5, width=0.25, architecture="tsn")
    network = build_tsm(TsmSpec(backbone, "none", 5, width=0.25, architecture="tsm-i3d", inflate=kernel)).double()
    network.load_state_dict(adapt(flat.state_dict(), network))
    count = sum(isinstance(m, TimeConv) for m in network.modules())
    frame = clip(1, 1, 32, 32)
    t = 2 * count + 1  # the zeros around the clip do not reach the middle
    with torch.inference_mode():
        found = network.frame_logits(frame.expand(1, t, -1, -1, -1))
        assert count >= 8 and close(found[:, t // 2], flat.frame_logits(frame)[:, 0])


def test_inflated_networks_see_their_neighbours_in_both_formats():
    network = lively("efficientnet-lite0", "none", 5, width=0.25, architecture="tsm-i3d", inflate="3x3x3")
    x = clip(2, 4, 33, 31)
    later = x.clone()
    later[:, 3] += 1
    with torch.inference_mode():
        expected = network.frame_logits(x)
        assert expected.shape == (2, 4, 5) and not close(network.frame_logits(later)[:, 0], expected[:, 0], 1e-4)
        last = x.flatten(0, 1).contiguous(memory_format=torch.channels_last).unflatten(0, (2, 4))
        assert close(network.frame_logits(last), expected)


def test_two_streams_average_pictures_and_flow():
    network = lively("mobilenetv2", "none", 5, width=0.25, architecture="tsm-two-stream", in_channels=13)
    x = clip(2, 3, 32, 32, 13)
    with torch.inference_mode():
        expected = (network.rgb.frame_logits(x[:, :, :3]) + network.flow.frame_logits(x[:, :, 3:])) / 2
        assert torch.equal(network.frame_logits(x), expected)
    with pytest.raises(ValueError, match=r"expected \[N, T, 13, H, W\]"):
        network(x[:, :, :3])


def test_the_recurrent_network_remembers_and_does_not_look_ahead():
    network = lively("mobilenetv2", "none", 5, width=0.25, architecture="tsm-lstm", hidden=32)
    x = clip(1, 4, 32, 32)
    first, last = x.clone(), x.clone()
    first[:, 0] += 1
    last[:, 3] += 1
    with torch.inference_mode():
        found = network.frame_logits(x)
        assert not close(network.frame_logits(first)[:, 3], found[:, 3], 1e-4)
        assert close(network.frame_logits(last)[:, :3], found[:, :3])


def test_what_baselines_cost_beside_the_2d_network():
    def cost(architecture, **numbers):
        network = build_tsm(TsmSpec("mobilenetv2", "none", 27, architecture=architecture, **numbers))
        return parameters(network), macs_per_frame(network, 224, 224)

    flat, inflated = cost("tsn"), cost("tsm-i3d")
    assert inflated[0] > 1.3 * flat[0] and inflated[1] > 1.3 * flat[1]
    two, recurrent = cost("tsm-two-stream", in_channels=13), cost("tsm-lstm")
    assert 2.0 * flat[1] < two[1] < 2.3 * flat[1] and flat[1] < recurrent[1] < 1.1 * flat[1]


def test_flow_is_the_motion_of_the_picture():
    rng = np.random.default_rng(0)
    import cv2

    wide = cv2.GaussianBlur(rng.integers(0, 256, (96, 160, 3), dtype=np.uint8), (9, 9), 2.0)
    pictures = np.stack([wide[16:80, 20 + 3 * i : 20 + 3 * i + 96] for i in range(8)])  # the scene moves 3 px left
    flow = flow_of_clip(pictures)
    assert flow.shape == (8, 10, 64, 96) and not flow[0].any()
    scale = 2 * BOUND * STD
    for t in range(1, 8):
        steps = flow[t].reshape(5, 2, 64, 96)[:, :, 16:48, 24:72] * scale
        known = min(t, 5)
        assert not flow[t][: 2 * (5 - known)].any()
        assert np.median(steps[5 - known :, 0]) == pytest.approx(-3, abs=0.3)
        assert np.median(steps[5 - known :, 1]) == pytest.approx(0, abs=0.3)


def test_flow_forgets_at_a_reset():
    stack, picture = FlowStack(), np.full((32, 32, 3), 80, np.uint8)
    stack.push(picture)
    stack.push(np.roll(picture, 1, 1))
    stack.reset()
    assert not stack.push(picture).any()


@pytest.mark.parametrize("name", [n for n in PRESETS if "resnet50" not in n])
def test_every_preset_is_a_network_with_frame_logits(name):
    network, facts = load_network(f"random:{name}")
    assert not facts.trained and len(facts.classes) == network.spec.num_classes
    with torch.inference_mode():
        x = clip(1, 2, 32, 32, network.spec.in_channels).float()
        assert network.frame_logits(x).shape == (1, 2, network.spec.num_classes)
