"""The recorded outputs of the reference implementation, and the adapter on arguments that no recording has."""

import numpy as np
import pytest
import torch

from models.tsm.builder import build_tsm
from models.tsm.spec import TsmSpec
from tests.parity.__main__ import check
from tests.parity.tsm import run_offline, run_online
from tests.parity.vectors import Vector
from tests.tsm.lively import clip, enliven

NAMES = (
    "tsm_shift_t4_div3", "tsm_shift_t8_div8", "tsm_mobilenetv2_offline_t8_c27", "tsm_mobilenetv2_online_5frames_c27",
    "tsm_resnet50_blockres_t8_c174",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_recorded_outputs_are_met(name, shared):
    error, tolerance, result = check(shared / "parity" / f"{name}.npz")
    assert result == "ok" and error <= tolerance


@pytest.mark.parametrize(
    "backbone, numbers, told",
    [
        ("resnet18", {}, {}),
        ("resnet18", {"place": "block"}, {"shift_place": "block"}),
        ("resnet18", {"in_channels": 10}, {"modality": "Flow"}),
        ("mobilenetv2", {"fold_div": 4}, {"shift_div": 4, "dropout": 0}),
        ("mobilenetv2", {"mode": "none", "architecture": "tsn"}, {"is_shift": False}),
    ],
)
def test_the_adapter_builds_what_a_constructor_says(backbone, numbers, told):
    network = enliven(build_tsm(TsmSpec(backbone, num_classes=5, segments=3, **{"mode": "offline", **numbers})))
    x = clip(2, 3, 32, 32, network.spec.in_channels)
    state = network.state_dict()
    if told.get("dropout") == 0:
        state = {k.replace("new_fc", "base_model.classifier"): v for k, v in state.items()}
    constructor = {"num_class": 5, "num_segments": 3, "base_model": backbone, "is_shift": True, **told}
    vector = Vector("x", {"constructor": constructor}, {"x": x.flatten(0, 1).numpy()}, {}, arrays(state))
    found = run_offline(vector)
    with torch.inference_mode():
        expected = network.frame_logits(x).numpy()
    assert found["frame_logits"].shape == (6, 5) and np.array_equal(found["frame_logits"], expected.reshape(6, 5))
    np.testing.assert_allclose(found["y"], expected.mean(1), rtol=1e-5, atol=1e-6)


def test_the_online_adapter_takes_other_widths_and_batches():
    network = enliven(build_tsm(TsmSpec("mobilenetv2", "online", 4, width=0.5)))
    frames = clip(2, 3, 40, 56).transpose(0, 1)
    constructor = {"n_class": 4, "width_mult": 0.5}
    found = run_online(
        Vector("x", {"constructor": constructor}, {"frames": frames.numpy()}, {}, arrays(network.state_dict()))
    )
    assert found["logits"].shape == (3, 2, 4) and found["cache0"].shape == (2, 2, 10, 14)


def arrays(state: dict) -> dict:
    """A state dict as a vector holds it."""
    return {k: v.numpy() for k, v in state.items() if not k.endswith("num_batches_tracked")}
