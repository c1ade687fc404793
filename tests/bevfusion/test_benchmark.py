"""`benchmarks.bevfusion` writes the figures that are promised, and its yardsticks are right."""

import json

import numpy as np
import pytest
import torch

from benchmarks.bev_pooling import by_cumulative_sum
from benchmarks.bev_scene import draw_rows, frame_of
from benchmarks.bevfusion import dense_macs, main, session_of, shrunk
from models.bevfusion.build import PRESETS, build_network
from models.bevfusion.pool import associate, bev_pool
from models.bevfusion.pool.association import frustum_pixels
from models.official import save_model
from tests.bevfusion.small import config, facts


def test_the_cumulative_sum_gives_the_same_map():
    rng = np.random.default_rng(0)
    cells = rng.integers(-1, 6, (2 * 4 * 5 * 3, 3))
    cells[:, 2] = 0
    depth, context = torch.rand(2, 4, 5, 3), torch.randn(2, 5, 3, 6)
    expected = bev_pool(depth, context.view(-1, 6), associate(cells, 0, (1, 5, 5, 1), frustum_pixels(2, 4, 15)))
    found = by_cumulative_sum(depth, context, torch.from_numpy(cells), (5, 5, 1))
    torch.testing.assert_close(found.view(5, 5, 6).permute(2, 0, 1), expected[0], rtol=1e-4, atol=1e-4)


def test_multiply_adds_are_counted(tmp_path):
    known = facts("lidar", "map")
    session = session_of(build_network(known, seed=0), known, "torch", 1, "fp32")
    cells = 32 * 32
    decoder = cells * 9 * (16 * 8 + 8 * 8) + cells / 4 * 9 * (8 * 16 + 16 * 16) + cells * 8 * 8 + cells / 4 * 16 * 8 * 4
    head = 48 * 40 * (2 * 9 * 16 * 16 + 16 * 6)
    assert dense_macs(session, frame_of(0, (90, 160), tmp_path, 0)) == pytest.approx((decoder + head) / 1e9)


def test_a_smaller_range_keeps_the_network_and_its_cells():
    for preset in PRESETS.values():
        half = shrunk(preset(), 0.5)
        if "camera" in half:
            (low, high, step), *_ = half["camera"]["grid"]
            assert (high - low) / step % 16 < 1e-6 or 16 - (high - low) / step % 16 < 1e-6
        if "lidar" in half:
            assert half["lidar"]["point_range"][3] < preset()["lidar"]["point_range"][3]


def test_the_json_holds_the_promised_figures(tmp_path):
    known = facts("camera", "lidar", "object")
    save_model(build_network(known, seed=0), known, tmp_path / "small")
    out, picture = tmp_path / "out.json", tmp_path / "out.png"
    arguments = f"--model {tmp_path / 'small'} --json {out} --plot {picture} --cameras 2 --image-size 90 160 --rounds 2"
    more = ["--runtime", "torch", "--threads", "1", "--no-node", "--sweeps", str(tmp_path)]
    assert main([*arguments.split(), *more]) == 0
    found = json.loads(out.read_text())
    promised = {
        "runtime", "precision", "peak_gmacs_per_s", "stages_ms", "overhead_share", "message_to_message_ms_p50",
        "torch_over_runtime", "bev_pool", "peak_mb", "scaling",
    }  # fmt: skip
    assert promised <= set(found) and found["trained"] is False
    assert set(found["stages_ms"]) == {"images", "camera", "pool", "lidar", "bev", "heads"}
    assert 0 <= found["overhead_share"] < 1 and found["bev_pool"]["rel_err"] < 1e-3
    assert [len(found["scaling"][name]) for name in ("cameras", "points", "cells")] == [2, 3, 3]
    assert picture.stat().st_size > 1000 and draw_rows(found["scaling"]).shape == (300, 1200, 3)


@pytest.mark.slow  # a process of its own, which other work keeps waiting
@pytest.mark.ros
def test_the_node_is_measured_from_sweep_to_boxes_over_dds():
    pytest.importorskip("rclpy")
    from benchmarks.bevfusion_node import node_row

    points = np.random.default_rng(0).uniform((-12, -12, -2, 0), (12, 12, 1, 255), (2000, 4)).astype(np.float32)
    row = node_row("random:bevfusion-lite-tiny", points, 2, (90, 160), "torch", 1, moments=4, rate_hz=None)
    assert (row["frames"], row["dropped"], row["cameras"], row["points"]) == (4, 0, 2, 2000)
    assert row["latency_ms_p50"] >= row["network_ms"] > 0 and 0 <= row["overhead_share"] < 1


def test_a_config_is_never_changed_by_another():
    before = config("camera", "lidar", "object", "map")
    shrunk(before, 0.5)
    assert before == config("camera", "lidar", "object", "map")
