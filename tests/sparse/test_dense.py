"""Sparse convolution equals dense conv3d on the voxels that exist, values and gradients, in every engine."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.sparse import SparseTensor, conv3d, native

ENGINES = ["torch"] + (["cpu"] if native.library() is not None else [])


def _clouds() -> st.SearchStrategy:
    voxel = st.tuples(*[st.integers(-4, 5)] * 3, st.integers(0, 2))
    return st.lists(voxel, min_size=1, max_size=60, unique=True).map(lambda rows: np.array(rows, np.int32))


def _dense(coords: np.ndarray, feats: torch.Tensor, low: int, size: int) -> torch.Tensor:
    """[batch, C, x, y, z] with feats at coords (voxel units from `low`)."""
    out = feats.new_zeros(3, size, size, size, feats.shape[1])
    x, y, z, b = torch.from_numpy(coords.astype(np.int64)).T
    return out.index_put((b, x - low, y - low, z - low), feats).permute(0, 4, 1, 2, 3)


def _at(dense: torch.Tensor, coords: np.ndarray, low: int) -> torch.Tensor:
    x, y, z, b = torch.from_numpy(coords.astype(np.int64)).T
    return dense.permute(0, 2, 3, 4, 1)[b, x - low, y - low, z - low]


def _laid(kernel: torch.Tensor, size: int) -> torch.Tensor:
    """[K, Cin, Cout] -> conv3d's [Cout, Cin, x, y, z]: x runs fastest in odd kernels, z in even ones."""
    cube = kernel.view(size, size, size, *kernel.shape[1:])
    return cube.permute(4, 3, 2, 1, 0) if size % 2 else cube.permute(4, 3, 0, 1, 2)


def _gradients(out: torch.Tensor, at: list[torch.Tensor]) -> list[torch.Tensor]:
    weights = torch.linspace(-1, 1, out.numel()).view_as(out)
    return [out.detach(), *torch.autograd.grad((out * weights).sum(), at, retain_graph=True)]


def _agree(mine: torch.Tensor, dense: torch.Tensor, at: list[torch.Tensor]) -> None:
    for a, b in zip(_gradients(mine, at), _gradients(dense, at)):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
@given(coords=_clouds(), seed=st.integers(0, 99), size=st.sampled_from([3, 5]))
@settings(deadline=None, max_examples=12)
def test_submanifold(engine: str, coords: np.ndarray, seed: int, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERCEPTION_SPARSE_BACKEND", engine)
        torch.manual_seed(seed)
        feats = torch.randn(len(coords), 3, requires_grad=True)
        kernel = torch.randn(size**3, 3, 4, requires_grad=True)
        dense = torch.nn.functional.conv3d(_dense(coords, feats, -4, 10), _laid(kernel, size), padding=size // 2)
        mine = conv3d(SparseTensor(feats, coords), kernel, size).feats
        _agree(mine, _at(dense, coords, -4), [feats, kernel])


@pytest.mark.parametrize("engine", ENGINES)
@given(coords=_clouds(), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=12)
def test_down_and_back_up(engine: str, coords: np.ndarray, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERCEPTION_SPARSE_BACKEND", engine)
        torch.manual_seed(seed)
        feats = torch.randn(len(coords), 2, requires_grad=True)
        down, up = torch.randn(8, 2, 3, requires_grad=True), torch.randn(8, 3, 2, requires_grad=True)
        coarse = conv3d(SparseTensor(feats, coords), down, 2, 2)
        at = coarse.coords.numpy() // [2, 2, 2, 1]
        expected = torch.nn.functional.conv3d(_dense(coords, feats, -4, 10), _laid(down, 2), stride=2)
        _agree(coarse.feats, _at(expected, at, -2), [feats, down])
        fine = conv3d(coarse, up, 2, 2, transposed=True)
        assert torch.equal(fine.coords, torch.from_numpy(coords))
        volume = _dense(at, coarse.feats, -2, 5)
        back = torch.nn.functional.conv_transpose3d(volume, _laid(up, 2).transpose(0, 1), stride=2)
        _agree(fine.feats, _at(back, coords, -4), [feats, down, up])


@pytest.mark.parametrize("engine", ENGINES)
@given(coords=_clouds(), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=8)
def test_dilated_and_flat_kernels(engine: str, coords: np.ndarray, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERCEPTION_SPARSE_BACKEND", engine)
        torch.manual_seed(seed)
        feats = torch.randn(len(coords), 2, requires_grad=True)
        volume = _dense(coords, feats, -4, 10)
        kernel = torch.randn(27, 2, 2, requires_grad=True)
        dense = torch.nn.functional.conv3d(volume, _laid(kernel, 3), padding=2, dilation=2)
        _agree(
            conv3d(SparseTensor(feats, coords), kernel, 3, dilation=2).feats, _at(dense, coords, -4), [feats, kernel]
        )
        flat = torch.randn(3, 2, 2, requires_grad=True)  # kernel size (1, 1, 3): z
        dense = torch.nn.functional.conv3d(volume, flat.permute(2, 1, 0)[:, :, None, None], padding=(0, 0, 1))
        _agree(conv3d(SparseTensor(feats, coords), flat, (1, 1, 3)).feats, _at(dense, coords, -4), [feats, flat])
