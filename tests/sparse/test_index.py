"""Kernel maps: the compiled and the numba builders agree with each other and with bisection; bad coordinates are
refused.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.sparse import Level, SparseTensor, build_maps, index, keys, native, voxelize
from models.sparse.kernel_map import KernelMap

from .clouds import cloud, sweep


def _without_extension(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(native, "library", lambda: None)


def _same(a: KernelMap, b: KernelMap) -> None:
    assert np.array_equal(a.starts, b.starts)
    assert np.array_equal(a.pairs, b.pairs)
    assert (a.inputs, a.outputs, a.centre) == (b.inputs, b.outputs, b.centre)


@given(st.lists(st.tuples(*[st.integers(-6, 6)] * 3, st.integers(0, 2)), max_size=150, unique=True))
@settings(deadline=None, max_examples=30)
def test_builders_agree(rows: list[tuple[int, int, int, int]]) -> None:
    packed = np.sort(keys.pack(np.array(rows, np.int32).reshape(-1, 4)))
    searched = index.search_map(packed, packed, (3, 3, 3), (1, 1, 1), centre=True)
    parents = np.unique(index.halve_keys(packed))
    fine = keys.pack(keys.unpack(parents, (2, 2, 2)))
    searched_down = index.search_map(packed, fine, (2, 2, 2), (1, 1, 1))
    with pytest.MonkeyPatch.context() as patch:
        for compiled in (True, False):
            if not compiled:
                _without_extension(patch)
            _same(index.submanifold_map(packed), searched)
            down_keys, down = index.down_map(packed)
            assert np.array_equal(down_keys, parents)
            _same(down, searched_down)
            assert down.parent is not None
            assert np.array_equal(down.parent[down.pairs[0]], down.pairs[1])


def test_maps_of_a_sweep_do_not_depend_on_threads_or_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    xyz = sweep(7)

    def arrays() -> dict[str, np.ndarray]:
        voxels = voxelize(xyz, 0.1)
        return build_maps(voxels.coords, points=xyz * np.float32(10), point_voxel=voxels.inverse).arrays()

    before = native.threads()
    try:
        native.set_threads(1)
        one = arrays()
        native.set_threads(3)
        three = arrays()
    finally:
        native.set_threads(before)
    _without_extension(monkeypatch)
    numba = arrays()
    for name, value in one.items():
        assert np.array_equal(value, three[name]), name
        if name.endswith("weights"):
            np.testing.assert_allclose(value, numba[name], atol=1e-6, err_msg=name)
        else:
            assert np.array_equal(value, numba[name]), name


def test_voxelize_finds_each_voxel_once() -> None:
    xyz = sweep(8, 4000)
    voxels = voxelize(xyz, 0.25)
    expected, first, inverse, counts = np.unique(
        np.floor(xyz * np.float32(4)).astype(np.int32),
        axis=0,
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    assert np.array_equal(voxels.coords[:, :3], expected)
    assert np.array_equal(voxels.inverse, inverse.ravel())
    assert np.array_equal(voxels.first, first)
    assert np.array_equal(voxels.counts, counts)


def test_rows_may_come_in_any_order() -> None:
    coords = cloud(9, voxels=200)
    found = Level(coords).submanifold(3)
    order = np.argsort(keys.pack(coords))
    sorted_map = Level(coords[order]).submanifold(3)
    pairs = {(k, *p) for k in range(27) for p in found.pairs[:, found.starts[k] : found.starts[k + 1]].T.tolist()}
    other = sorted_map.pairs
    expected = {
        (k, int(order[i]), int(order[o]))
        for k in range(27)
        for i, o in other[:, sorted_map.starts[k] : sorted_map.starts[k + 1]].T
    }
    assert pairs == expected
    for k in range(27):
        assert (np.diff(found.pairs[1, found.starts[k] : found.starts[k + 1]]) > 0).all()


@pytest.mark.parametrize(
    ("coords", "message"),
    [
        ([[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], "1 duplicate voxels, the first at .* = .0, 0, 0, 0."),
        ([[600_000, 0, 0, 0]], "crop the cloud or use larger voxels"),
        ([[0, 0, -40_000, 0]], "crop the cloud or use larger voxels"),
        ([[0, 0, 0, 128]], "batch indices span 128 to 128: expected 0 to 127"),
        ([[0, 0, 0, -1]], "batch indices"),
        ([[0, 0, 0]], r"shape \(1, 3\): expected \[N, 4\]"),
    ],
)
def test_coordinates_that_do_not_work_are_refused(coords: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Level(np.array(coords, np.int32))


def test_other_bad_input_is_refused() -> None:
    import torch

    with pytest.raises(TypeError, match="expected integers"):
        Level(np.zeros((1, 4), np.float32))
    with pytest.raises(ValueError, match="multiples"):
        Level(np.array([[1, 0, 0, 0]], np.int32), stride=2)
    with pytest.raises(ValueError, match="came from no such strided convolution"):
        Level(np.zeros((1, 4), np.int32), stride=2).up()
    with pytest.raises(ValueError, match="one row per voxel"):
        SparseTensor(torch.zeros(2, 3), np.zeros((1, 4), np.int32))
    with pytest.raises(ValueError, match="2 of 3 points are not finite"):
        voxelize(np.array([[0, 0, 0], [np.nan, 0, 0], [0, np.inf, 0]], np.float32), 0.1)
    with pytest.raises(ValueError, match="positive"):
        voxelize(np.zeros((1, 3), np.float32), 0)
    with pytest.raises(ValueError, match="crop the cloud"):
        voxelize(np.array([[1e6, 0, 0]], np.float32), 0.1)


def test_no_points_at_all() -> None:
    voxels = voxelize(np.zeros((0, 3), np.float32), 0.1)
    maps = build_maps(voxels.coords, points=np.zeros((0, 3), np.float32), point_voxel=voxels.inverse)
    assert [len(level) for level in maps.levels] == [0] * 5
    assert all(len(points) == 0 for points in maps.points.values())
