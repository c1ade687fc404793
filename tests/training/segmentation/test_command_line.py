"""The training program as it is typed: on real generated sweeps, stopped and resumed, in one process and in two."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training.common.checkpoints import averaged_weights
from training.segmentation.trainer import main

ROOT = Path(__file__).resolve().parents[3]
TINY = """
batch: 2
first_batch: 2
capacity: 8
validation_worlds: 0
sensors: 1
moments: 3
bf16: false
"""
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def config(tmp_path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def run(launcher: list[str], config: Path, out: Path, minutes: float, *more: str) -> list[dict]:
    """Trains for `minutes`; the lines of its log."""
    command = [*launcher, "--arch", "spvcnn", "--config", str(config), "--out", str(out), "--minutes", str(minutes)]
    command += ["--workers", "1", "--device", "cpu", "--report-every", "0", *more]
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_stopped_run_goes_on_where_it_was(config, tmp_path):
    alone = [sys.executable, "-m", "training.segmentation"]
    run(alone, config, tmp_path / "first", 0.1)
    _, before = averaged_weights(tmp_path / "first" / "spvcnn-lite.checkpoint.safetensors")
    run(alone, config, tmp_path / "second", 0.2, "--resume", str(tmp_path / "first"))
    state, after = averaged_weights(tmp_path / "second" / "spvcnn-lite.checkpoint.safetensors")
    assert after["steps"] > before["steps"] > 0 and after["elapsed"] > before["elapsed"]
    assert after["sweeps"] > before["sweeps"]  # new worlds, not the first ones again
    assert all(bool(torch.isfinite(v).all()) for v in state.values() if v.is_floating_point())


@pytest.mark.slow
def test_two_processes_train_one_network(config, tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    log = run([*launcher, "-m", "training.segmentation"], config, tmp_path / "both", 0.1)
    ends = [line for line in log if "ended" in line]
    assert len(ends) == 1 and ends[0]["steps"] > 0  # the first process alone writes
    _, notes = averaged_weights(tmp_path / "both" / "spvcnn-lite.checkpoint.safetensors")
    assert notes["processes"] == 2


def test_what_is_wrong_is_one_sentence(config, tmp_path, capsys):
    config.write_text("batches: 3\n")
    assert main(["--config", str(config), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 2
    assert "unknown keys batches; known: steps," in capsys.readouterr().err
    config.write_text(TINY)
    absent = ["--resume", str(tmp_path / "absent"), "--arch", "spvcnn"]
    assert main(["--config", str(config), "--out", str(tmp_path / "out"), "--device", "cpu", *absent]) == 2
    assert "expected the --out folder of an earlier run" in capsys.readouterr().err
