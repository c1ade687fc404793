"""The fused engine: equal to plain torch, at any instruction set, thread count and precision it offers."""

import numpy as np
import pytest
import torch

from models.sparse import build_maps, fused, native
from models.sparse.torch_backend import convolve as reference

from .clouds import cloud, sweep

LEVELS = [
    name
    for i, name in enumerate(native.LEVELS)
    if native.library() is not None and i <= native.library().sparse_best_level()
] or ["none"]


@pytest.fixture(params=LEVELS)
def isa(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param != "none":
        monkeypatch.setenv("PERCEPTION_SPARSE_ISA", request.param)
    return request.param


def _rows(seed: int, rows: int, channels: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, channels)).astype(np.float32)


def _input(values: np.ndarray, precision: str) -> fused.Rows:
    """Rows of an array; quantised ones through the engine: an identity convolution."""
    if precision == "fp32":
        return fused.Rows.of(values)
    weights = fused.pack([np.eye(values.shape[1], dtype=np.float32)[None]])
    rows = fused.Rows.of(values)
    return fused.convolve(weights, [(rows, None)], len(values), relu=precision == "int8", out_precision=precision)


def _features(seed: int, rows: int, channels: int, precision: str) -> np.ndarray:
    """What rows of this precision can hold: int8 has no negative values."""
    values = _rows(seed, rows, channels)
    return np.maximum(values, 0) if precision == "int8" else values


TOLERANCE = {"fp32": 2e-6, "int16": 1.5e-3, "int8": 3e-2}


def _close(got: fused.Rows, expected: np.ndarray, precision: str) -> None:
    scale = abs(expected).max() if expected.size else 1.0
    assert abs(got.array() - expected).max(initial=0) <= TOLERANCE[precision] * scale


@pytest.mark.parametrize("precision", fused.PRECISIONS)
@pytest.mark.parametrize("channels", [(4, 16), (16, 48), (33, 19), (16, 80), (20, 112)])
@pytest.mark.parametrize("layer", ["same", "down", "up"])
def test_layers_equal_plain_torch(isa: str, precision: str, channels: tuple[int, int], layer: str) -> None:
    maps = build_maps(cloud(5, voxels=700, extent=12), depth=1)
    found = {"same": maps.levels[0].submanifold(3), "down": maps.levels[0].down()[1], "up": maps.levels[1].up()[1]}[
        layer
    ]
    x = _features(0, found.inputs, channels[0], precision)
    kernel = _rows(1, found.volume * channels[0], channels[1]) * np.float32(0.1)
    kernel, bias = kernel.reshape(found.volume, *channels), _rows(2, 1, channels[1])[0]
    expected = reference(torch.from_numpy(x), torch.from_numpy(kernel), found).numpy() + bias
    weights = fused.pack([kernel], bias, precision)
    got = fused.convolve(weights, [(_input(x, precision), found)], found.outputs)
    _close(got, np.maximum(expected, 0), precision)


@pytest.mark.parametrize("precision", fused.PRECISIONS)
@pytest.mark.parametrize("after", [False, True])
def test_terms_and_residual(isa: str, precision: str, after: bool) -> None:
    level = build_maps(cloud(6, voxels=300, extent=8), depth=0).levels[0]
    found, n = level.submanifold(3), len(level)
    a, b, c, rest = (_features(s, n, width, precision) for s, width in ((0, 16), (1, 20), (2, 7), (3, 24)))
    kernels = [
        _rows(4, 27 * 16, 24).reshape(27, 16, 24),
        _rows(5, 27 * 20, 24).reshape(27, 20, 24),
        _rows(6, 7, 24)[None],
    ]
    total = sum(
        reference(torch.from_numpy(x), torch.from_numpy(k), found).numpy()
        for x, k in ((a, kernels[0]), (b, kernels[1]))
    )
    total = total + c @ kernels[2][0]
    expected = np.maximum(total, 0) + rest if after else np.maximum(total + rest, 0)
    weights = fused.pack(kernels, precision=precision)
    inputs = [(_input(a, precision), found), (_input(b, precision), found), (_input(c, precision), None)]
    got = fused.convolve(weights, inputs, n, residual=_input(rest, precision), residual_after_relu=after)
    _close(got, expected, precision)


@pytest.mark.parametrize("precision", fused.PRECISIONS)
def test_threads_never_change_a_bit(precision: str) -> None:
    from models.sparse import voxelize

    level = build_maps(voxelize(sweep(3), 0.1).coords, depth=0).levels[0]
    found = level.submanifold(3)
    weights = fused.pack([_rows(0, 27 * 16, 32).reshape(27, 16, 32)], precision=precision)
    x = _input(_features(1, len(level), 16, precision), precision)
    results = [fused.convolve(weights, [(x, found)], len(level), threads=t).array() for t in (1, 2, 3, 8)]
    assert all(np.array_equal(results[0], r) for r in results[1:])


@pytest.mark.parametrize("precision", fused.PRECISIONS)
def test_largest_values_do_not_overflow(isa: str, precision: str) -> None:
    """Every activation and weight at its extreme, all of one sign: 32-bit sums must hold."""
    weights = fused.pack([np.full((1, 256, 16), 3.0, np.float32)], precision=precision)
    x = _input(np.full((5, 256), 1000.0, np.float32), precision)
    np.testing.assert_allclose(
        fused.convolve(weights, [(x, None)], 5).array(), 256 * 3000.0, rtol=1e-2 if precision == "int8" else 1e-3
    )


@pytest.mark.parametrize("voxels", [0, 1])
def test_nothing_and_a_single_voxel(isa: str, voxels: int) -> None:
    maps = build_maps(np.array([[-5, 3, -1, 0]], np.int32)[:voxels], depth=1)
    found = maps.levels[0].submanifold(3)
    kernel = _rows(0, 27 * 4, 8).reshape(27, 4, 8)
    x = _rows(1, voxels, 4)
    got = fused.convolve(fused.pack([kernel]), [(fused.Rows.of(x), found)], voxels, relu=False)
    np.testing.assert_allclose(got.array(), x @ kernel[13], rtol=1e-5, atol=1e-6)
    down = fused.convolve(fused.pack([kernel[:8]]), [(fused.Rows.of(x), maps.levels[0].down()[1])], voxels, relu=False)
    np.testing.assert_allclose(down.array(), x @ kernel[7], rtol=1e-5, atol=1e-6)  # odd in x, y and z: slot 7


@pytest.mark.parametrize("precision", fused.PRECISIONS)
def test_points_and_voxels(isa: str, precision: str) -> None:
    from models.sparse import SparseTensor, devoxelize, point_to_voxel, voxelize

    xyz = sweep(4, 3000)
    voxels = voxelize(xyz, 0.4)
    maps = build_maps(
        voxels.coords, points=xyz / np.float32(0.4), point_voxel=voxels.inverse, depth=2, point_strides=(1, 4)
    )
    for stride, level in ((1, maps.levels[0]), (4, maps.levels[2])):
        feats = _features(0, len(level), 24, precision)
        expected = devoxelize(SparseTensor(torch.from_numpy(feats), level=level), maps.points[stride]).numpy()
        x = _input(feats, precision)
        _close(fused.interpolate(x, maps.points[stride], threads=2), expected, precision)
        onto = fused.Rows.of(expected)
        _close(fused.interpolate(x, maps.points[stride], onto), 2 * expected, precision)
        at_points = _features(1, len(xyz), 24, precision)
        mean = point_to_voxel(torch.from_numpy(at_points), maps.points[stride], level).feats.numpy()
        _close(fused.point_mean(fused.Rows.of(at_points), maps.points[stride], precision, threads=2), mean, precision)


def test_batch_norm_is_folded() -> None:
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm1d(8)
    norm.running_mean.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    torch.nn.init.uniform_(norm.weight)
    torch.nn.init.uniform_(norm.bias)
    layer = torch.nn.Linear(5, 8)
    x = torch.randn(11, 5)
    kernel, bias = fused.fold(layer.weight.t(), norm.eval(), layer.bias)
    got = fused.convolve(fused.pack([kernel], bias), [(fused.Rows.of(x.numpy()), None)], 11)
    _close(got, torch.relu(norm(layer(x))).detach().numpy(), "fp32")


def test_what_does_not_fit_is_refused() -> None:
    level = build_maps(cloud(0), depth=0).levels[0]
    x = fused.Rows.of(_rows(0, len(level), 4))
    weights = fused.pack([np.zeros((27, 4, 8), np.float32)])
    with pytest.raises(ValueError, match="channels"):
        fused.convolve(weights, [(fused.Rows.of(_rows(0, len(level), 5)), level.submanifold(3))], len(level))
    with pytest.raises(ValueError, match="offsets"):
        fused.convolve(weights, [(x, None)], len(level))
    with pytest.raises(ValueError, match="rows"):
        fused.convolve(weights, [(x, level.submanifold(3))], len(level) + 1)
    with pytest.raises(ValueError, match="no negative values"):
        fused.convolve(weights, [(x, level.submanifold(3))], len(level), relu=False, out_precision="int8")
    with pytest.raises(ValueError, match="precision"):
        fused.pack([np.zeros((1, 4, 8), np.float32)], precision="fp8")
