"""A network written down as a list of layers, run in one call: the same bytes, memory shared, misuse refused."""

import numpy as np
import pytest

from models.sparse import build_maps, fused, native, voxelize
from models.sparse.program import Frame, Program

from .clouds import sweep

pytestmark = pytest.mark.skipif(native.library() is None, reason="the extension was not built")


def _weights(seed: int, volume: int, inputs: int, outputs: int, precision: str) -> fused.Packed:
    rng = np.random.default_rng(seed)
    kernel = rng.normal(0, 0.2, (volume, inputs, outputs)).astype(np.float32)
    return fused.pack([kernel], rng.normal(0, 0.1, outputs).astype(np.float32), precision)


class Small:
    """A U of two levels with a point branch at the coarser one: every kind of map and of layer."""

    def __init__(self, precision: str = "fp32"):
        p = self.precision = precision
        self.stem = _weights(0, 27, 5, 24, "fp32")
        self.down, self.same = _weights(1, 8, 24, 40, p), _weights(2, 27, 40, 40, p)
        self.points, self.up, self.head = _weights(3, 1, 24, 40, p), _weights(4, 8, 40, 24, p), _weights(5, 1, 24, 7, p)

    def __call__(self, x: fused.Rows, maps):
        fine, p = maps.levels[0], self.precision
        x = fused.convolve(self.stem, [(x, fine.submanifold(3))], len(fine), out_precision=p)
        coarse, found = fine.down()
        y = fused.convolve(self.down, [(x, found)], len(coarse))
        y = fused.convolve(self.same, [(y, coarse.submanifold(3))], len(coarse), residual=y)
        z = fused.convolve(self.points, [(x, None)], len(maps.points[2]), out_precision="fp32")
        fused.interpolate(y, maps.points[2], onto=z)
        y = fused.point_mean(z, maps.points[2], p)
        _, back = coarse.up()
        y = fused.convolve(self.up, [(y, back)], len(fine), residual=x, residual_after_relu=True)
        return fused.convolve(self.head, [(y, None)], len(fine), relu=False, out_precision="fp32").array()


def _program(network: Small) -> Program:
    return Program(network, channels=5, classes=7, points=(2,), depth=1)


@pytest.mark.parametrize("precision", fused.PRECISIONS)
def test_one_call_gives_the_bytes_of_layer_by_layer_at_any_thread_count(precision: str) -> None:
    network, frame = Small(precision), Frame()
    program = _program(network)
    for seed, points in ((0, 6000), (1, 300), (2, 9000)):  # memory is used again, and grows
        coords = voxelize(sweep(seed, points), 0.3).coords
        rows = np.arange(len(coords), dtype=np.int32)
        maps = build_maps(coords, 1, points=coords[:, :3], point_voxel=rows, point_strides=(2,))
        feats = np.random.default_rng(seed).normal(size=(len(coords), 5)).astype(np.float32)
        expected = network(fused.Rows.of(feats), maps)
        for threads in (1, 2, 5):
            frame.index(program, maps.levels[0].keys, threads)
            assert frame.compute(program, feats, threads).tobytes() == expected.tobytes()


def test_rows_whose_lives_do_not_overlap_share_memory() -> None:
    program = _program(Small())
    registers = program._arrays[1]
    assert len({r.slot for r in registers}) < len(registers)


def test_misuse_is_refused() -> None:
    frame, program = Frame(), _program(Small())
    frame.index(program, np.arange(5) + (1 << 40))
    with pytest.raises(ValueError, match=r"expected \(5, 5\)"):
        frame.compute(program, np.zeros((4, 5), np.float32))
    with pytest.raises(ValueError, match="3\\^3 kernels"):
        Program(lambda x, maps: maps.levels[0].submanifold(5), 5, 7)
    with pytest.raises(ValueError, match="expected float32 rows"):
        Program(lambda x, maps: None, 5, 7)


def test_no_voxels_at_all() -> None:
    frame, program = Frame(), _program(Small())
    frame.index(program, np.empty(0, np.int64))
    assert frame.compute(program, np.empty((0, 5), np.float32)).shape == (0, 7)
