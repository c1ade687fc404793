"""The fused engine runs the networks as the modules do, byte by byte alike at any number of threads."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from models.sparse import Level, SparseTensor, native
from models.spvcnn.build import build_network, preset_facts
from models.spvcnn.inference import Predictor
from models.spvcnn.quantise import Quantiser
from models.spvcnn.session import SegmentationSession
from tests.sparse.clouds import sweep

ROOT = Path(__file__).resolve().parents[2]
compiled = pytest.mark.skipif(native.library() is None, reason="the extension was not built")


def voxels(points: int = 6000):
    xyz = sweep(0)[:points].astype(np.float32)
    found = Quantiser(0.1, None)(xyz, np.zeros(len(xyz), np.float32))
    return found.coords.copy()


def lively(name: str) -> torch.nn.Module:
    """A network whose batch norms have something to fold."""
    network = build_network(preset_facts(name), seed=3)
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.running_mean.normal_(0, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0, 0.1, generator=generator)
    return network


@compiled
@pytest.mark.parametrize("precision, tolerance", [("fp32", 1e-5), ("int16", 4e-3), ("int8", 0.1)])
@pytest.mark.parametrize("name", ["spvcnn-lite", "minkunet-lite", "spvcnn-cr0.5"])
def test_logits_are_those_of_the_modules(name, precision, tolerance):
    network, coords = lively(name), voxels()
    feats = np.random.default_rng(0).normal(size=(len(coords), network.in_channels)).astype(np.float32)
    with torch.inference_mode():
        expected = network(SparseTensor(torch.from_numpy(feats), coords)).numpy()
    found = Predictor(network, precision, 2)(feats, coords)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < tolerance * np.abs(expected).max()
    assert (found.argmax(1) == expected.argmax(1)).mean() > {"fp32": 0.9999, "int16": 0.99, "int8": 0.9}[precision]


@compiled
@pytest.mark.parametrize("precision", ["fp32", "int16", "int8"])
@pytest.mark.parametrize("name", ["spvcnn-lite", "minkunet-lite"])
def test_one_call_gives_the_bytes_of_layer_by_layer(name, precision):
    network, level = lively(name), Level(voxels())
    feats = np.random.default_rng(0).normal(size=(len(level), network.in_channels)).astype(np.float32)
    predictor = Predictor(network, precision, 2)
    expected = predictor.run(feats, predictor.maps(level))
    assert predictor(feats, level.coords).tobytes() == expected.tobytes()
    fewer = predictor(feats[:500], level.coords[:500])  # memory that has grown is used again
    assert fewer.tobytes() == predictor.run(feats[:500], predictor.maps(Level(level.coords[:500]))).tobytes()


@compiled
@pytest.mark.parametrize("name", ["random:spvcnn-lite", "random:minkunet-cr0.5"])
def test_a_step_in_one_call_equals_the_step_in_parts(name):
    """Voxels, features and labels in C against numba; bad points and bad intensities among them."""
    rng = np.random.default_rng(0)
    xyz, intensity = sweep(2)[:5000].astype(np.float32), rng.random(5000).astype(np.float32)
    xyz[7, 1], xyz[8, 0], intensity[9] = np.nan, 1e9, np.inf
    session = SegmentationSession.from_weights(name, "fp32", 2)
    one = session.step(xyz, intensity)
    assert set(session.seconds) == {"voxelise", "maps", "features", "network", "labels"}
    session._frame = None
    parts = session.step(xyz, intensity)
    assert one.label[7] == one.label[8] == 255 and one.score[7] == one.score[8] == 0
    assert (one.label == parts.label).mean() > 0.999
    np.testing.assert_allclose(one.score, parts.score, atol=1e-3)


@compiled
@pytest.mark.parametrize("precision", ["fp32", "int16", "int8"])
def test_threads_never_change_a_bit(precision):
    network, coords = lively("spvcnn-lite"), voxels()
    feats = np.random.default_rng(0).normal(size=(len(coords), network.in_channels)).astype(np.float32)
    one, two = (Predictor(network, precision, threads)(feats, coords) for threads in (1, 2))
    assert one.tobytes() == two.tobytes()


def test_precisions_by_name():
    network = lively("minkunet-lite")
    names = {"fp32": "fp32", "int16": "int16", "bf16": "int16", "int8": "int8", "auto": "int8"}
    names = names if native.library() is not None else dict.fromkeys(names, "fp32")
    if native.library() is not None and native.level() == 0:
        names["auto"] = "fp32"
    for asked, given in names.items():
        assert Predictor(network, asked, 1).precision == given
        assert given in Predictor(network, asked, 1).engine


def test_without_the_extension_labels_are_the_same(tmp_path):
    """The numba and torch path, in a process of its own because the choice is made once."""
    xyz = sweep(1)[:3000].astype(np.float32)
    np.save(tmp_path / "xyz.npy", xyz)
    program = (
        "import numpy as np, sys\n"
        "from models.spvcnn.session import SegmentationSession\n"
        "s = SegmentationSession.from_weights('random:spvcnn-lite', 'fp32', 1)\n"
        "assert s.engine.startswith('plain torch'), s.engine\n"
        f"xyz = np.load({str(tmp_path / 'xyz.npy')!r})\n"
        f"np.save({str(tmp_path / 'label.npy')!r}, s.step(xyz, np.full(len(xyz), 0.3, np.float32)).label)\n"
    )
    environment = dict(os.environ, PERCEPTION_SPARSE_ENGINE="numba", OMP_NUM_THREADS="1")
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, env=environment, timeout=120)
    session = SegmentationSession.from_weights("random:spvcnn-lite", "fp32", 1)
    found = session.step(xyz, np.full(len(xyz), 0.3, np.float32))
    assert (found.label == np.load(tmp_path / "label.npy")).mean() > 0.999


MEMORY = """
import numpy as np
from models.spvcnn.session import SegmentationSession
rng = np.random.default_rng(0)
n = 120_000
turn, reach = rng.uniform(0, 6.283, n), 2 + 60 * rng.random(n) ** 2
xyz = np.stack([reach * np.cos(turn), reach * np.sin(turn), rng.uniform(-2, 3, n)], 1).astype(np.float32)
session = SegmentationSession.from_weights("random:spvcnn-lite", threads=2)
for _ in range(5):
    session.step(xyz, rng.random(n).astype(np.float32))
# Not ru_maxrss: that holds what the process was forked from too.
print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
def test_a_session_on_120_000_points_stays_below_1500_mb():
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    command = [sys.executable, "-c", MEMORY]
    done = subprocess.run(command, check=True, cwd=ROOT, env=environment, timeout=180, capture_output=True, text=True)
    assert int(done.stdout) < 1500
