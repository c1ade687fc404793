"""The engine is chosen at run time and says why; the compiled one trains like plain torch at any thread count."""

import numpy as np
import pytest
import torch

from models.sparse import (
    SparseTensor,
    backend,
    build_maps,
    conv3d,
    cpu_backend,
    devoxelize,
    fused,
    native,
    torch_backend,
    voxelize,
)

from .clouds import cloud, sweep

needs_extension = pytest.mark.skipif(native.library() is None, reason=native.absence() or "-")


def _step(threads: int, engine: str, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Loss and gradients of a small U with a point branch."""
    monkeypatch.setenv("PERCEPTION_SPARSE_BACKEND", engine)
    before = native.threads()
    native.set_threads(threads)
    torch.manual_seed(0)
    xyz = sweep(1, 4000)
    voxels = voxelize(xyz, 0.2)
    maps = build_maps(
        voxels.coords, depth=1, points=xyz * np.float32(5), point_voxel=voxels.inverse, point_strides=(1,)
    )
    kernels = [torch.randn(shape) * 0.2 for shape in ((27, 4, 24), (8, 24, 32), (27, 32, 32), (8, 32, 20))]
    for kernel in kernels:
        kernel.requires_grad_()
    feats = torch.randn(len(voxels.coords), 4, requires_grad=True)
    x = conv3d(SparseTensor(feats, level=maps.levels[0]), kernels[0], 3)
    y = conv3d(conv3d(x, kernels[1], 2, 2), kernels[2], 3)
    y = conv3d(y, kernels[3], 2, 2, transposed=True)
    loss = devoxelize(y, maps.points[1]).square().mean()
    loss.backward()
    native.set_threads(before)
    return [loss.detach(), feats.grad, *(k.grad for k in kernels)]


@needs_extension
def test_training_step_equals_plain_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for a, b in zip(_step(2, "cpu", monkeypatch), _step(1, "torch", monkeypatch)):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))


@needs_extension
def test_training_step_is_the_same_bits_at_any_thread_count(monkeypatch: pytest.MonkeyPatch) -> None:
    for a, b in zip(_step(1, "cpu", monkeypatch), _step(3, "cpu", monkeypatch)):
        assert torch.equal(a, b)


@needs_extension
@pytest.mark.parametrize("channels", [5, 32])
def test_means_of_points_equal_plain_torch(channels: int) -> None:
    from models.sparse import cpu_backend, torch_backend

    torch.manual_seed(0)
    feats = torch.randn(400, channels, requires_grad=True)
    voxel = torch.randint(-1, 60, (400,), dtype=torch.int32)  # points without a voxel and, later, voxels without points
    pull = torch.randn(70, channels)
    found = []
    for engine in (cpu_backend, torch_backend):
        mean = engine.scatter_mean(feats, voxel, 70)
        (gradient,) = torch.autograd.grad((mean * pull).sum(), feats)
        found.append((mean.detach(), gradient))
    for a, b in zip(*found):
        torch.testing.assert_close(a, b)


@needs_extension
def test_rows_that_no_pair_reaches_are_zero() -> None:
    from models.sparse.kernel_map import KernelMap

    far = np.array([[3], [700]], np.int32)  # one pair for a thousand rows: most tiles have none
    weights = fused.pack([np.ones((1, 4, 16), np.float32)])
    x = fused.Rows.of(np.ones((4, 4), np.float32))
    got = fused.convolve(weights, [(x, KernelMap(far, np.array([0, 1]), 4, 1000))], 1000, relu=False).array()
    assert (got[700] == 4).all() and got.sum() == 4 * 16


def test_choice_and_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERCEPTION_SPARSE_BACKEND", raising=False)
    assert backend.choose("cuda") == ("torch", "tensors are on cuda")
    assert backend.choose("cpu", "float64")[0] == "torch"
    monkeypatch.setenv("PERCEPTION_SPARSE_BACKEND", "torch")
    assert backend.choose() == ("torch", "forced by PERCEPTION_SPARSE_BACKEND")
    monkeypatch.setenv("PERCEPTION_SPARSE_BACKEND", "gpu")
    with pytest.raises(ValueError, match="expected one of cpu, torch, torchsparse"):
        backend.choose()


def test_without_the_extension_everything_still_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = build_maps(cloud(3), depth=0)
    x = np.random.default_rng(0).normal(size=(len(maps.levels[0]), 8)).astype(np.float32)
    kernel = np.random.default_rng(1).normal(size=(27, 8, 8)).astype(np.float32)

    def run() -> np.ndarray:
        weights = fused.pack([kernel], precision="fp32")
        return fused.convolve(weights, [(fused.Rows.of(x), maps.levels[0].submanifold(3))], len(x)).array()

    expected = run()
    monkeypatch.setattr(native, "library", lambda: None)
    monkeypatch.setattr(native, "absence", lambda: "no compiler")
    assert backend.choose() == ("torch", "no compiler")
    assert "numba" in backend.describe()
    np.testing.assert_allclose(run(), expected, rtol=1e-4, atol=1e-4)
    assert fused.pack([kernel], precision="int16").precision == "fp32"


@needs_extension
def test_instruction_set_can_be_forced_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERCEPTION_SPARSE_ISA", "plain")
    assert "instruction set: plain (forced by PERCEPTION_SPARSE_ISA=plain)" in backend.describe()
    monkeypatch.setenv("PERCEPTION_SPARSE_ISA", "mmx")
    with pytest.raises(ValueError, match="expected one of plain, avx2"):
        backend.describe()
    best = native.library().sparse_best_level()
    if best < len(native.LEVELS) - 1:
        monkeypatch.setenv("PERCEPTION_SPARSE_ISA", native.LEVELS[-1])
        with pytest.raises(ValueError, match="this processor offers at most"):
            native.level()


def test_missing_torchsparse_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    if backend.importlib.util.find_spec("torchsparse") is not None:
        pytest.skip("torchsparse is installed here")
    monkeypatch.setenv("PERCEPTION_SPARSE_BACKEND", "torchsparse")
    with pytest.raises(RuntimeError, match="torchsparse is not installed"):
        backend.choose()


def test_torchsparse_conventions() -> None:
    """1.4: (x, y, z, batch) at full resolution; 2.1: (batch, x, y, z) divided by the stride."""
    from models.sparse.torchsparse_backend import from_package, to_package

    coords = np.array([[8, 12, 4, 1], [0, 16, 20, 0]], np.int32)
    assert np.array_equal(to_package(coords, (4, 4, 4), (1, 4)), coords)
    assert to_package(coords, (4, 4, 4), (2, 1)).tolist() == [[1, 2, 3, 1], [0, 0, 4, 5]]
    for version in ((1, 4), (2, 0), (2, 1)):
        assert np.array_equal(from_package(to_package(coords, (4, 4, 4), version), (4, 4, 4), version), coords)


def test_memory_is_used_again_only_when_nothing_refers_to_it() -> None:
    from models.sparse.buffers import SMALLEST, aligned

    first = aligned((SMALLEST,), np.uint8)
    first[:] = 7
    view, address = first[100:200], first.ctypes.data
    assert address % 64 == 0
    del first
    other = aligned((SMALLEST,), np.uint8)
    other[:] = 9
    assert (view == 7).all() and other.ctypes.data != address
    del view
    again = aligned((SMALLEST,), np.uint8)
    assert again.ctypes.data == address


@needs_extension
def test_the_mean_of_no_points_is_zero_in_every_voxel():
    """torch gives an empty tensor the address NULL, which the kernel once read as "every row is its own voxel"."""
    for voxels in (1, 130, 5000):
        for engine in (cpu_backend, torch_backend):
            mean = engine.scatter_mean(torch.zeros(0, 16), torch.zeros(0, dtype=torch.int32), voxels)
            assert mean.shape == (voxels, 16) and not mean.any()


@pytest.mark.parametrize(
    ("voxel", "said"),
    [
        (torch.tensor([0, 1, 2]), "int64"),
        (torch.tensor([0, 1], dtype=torch.int32), "expected torch.int32"),
        (torch.tensor([0, 3, 1], dtype=torch.int32), "expected -1 to 2"),
        (torch.tensor([0, -2, 1], dtype=torch.int32), "expected -1 to 2"),
    ],
)
@needs_extension
def test_voxel_rows_of_another_type_or_range_are_refused(voxel, said):
    with pytest.raises(ValueError, match=said):
        cpu_backend.scatter_mean(torch.ones(3, 16), voxel, 3)
