"""Every GAN vector of the reference implementations passes."""

import pytest

from tests.conftest import SHARED
from tests.parity.__main__ import SYSTEMS, check
from tests.parity.vectors import system_of

PREFIXES = ("ganc_", "spade_", "anycost_", "stylegan2", "msggan_", "diffaugment_")
VECTORS = sorted(p for p in (SHARED / "parity").glob("*.npz") if p.stem.startswith(PREFIXES))


@pytest.mark.parametrize("path", VECTORS, ids=lambda p: p.stem)
def test_vector(path):
    if system_of(path) not in SYSTEMS:
        pytest.skip(f"no implementation of {system_of(path)} yet")
    error, tolerance, result = check(path)
    assert result == "ok", f"{error:.2e} against {tolerance:.0e}: {result}"
