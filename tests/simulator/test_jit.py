"""Compiled loops take arrays without counting references to them, and leave the caller's count alone."""

import sys

import numpy as np
from numba import njit

from perception_nodes.simulator.jit import UNCOUNTED

one = njit(**UNCOUNTED)(lambda values, i: values[i])


def sums(pair, out):
    for i in range(len(out)):
        out[i] = one(pair[0], i) + one(pair[1], i)
    return len(out)


def test_arrays_in_tuples_are_read_without_counting_references():
    lean = njit(**UNCOUNTED)(sums)
    pair, out = (np.arange(5.0), np.ones(5)), np.zeros(5)
    assert lean(pair, out) == 5
    assert np.array_equal(out, [1, 2, 3, 4, 5])
    (code,) = lean.inspect_llvm().values()
    assert "call void @NRT_incref" not in code
    before = sys.getrefcount(pair[0])
    for _ in range(3):
        lean(pair, out)
    after = sys.getrefcount(pair[0])
    assert after == before
