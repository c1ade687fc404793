"""Every BEVFusion vector in ../shared/parity is met."""

from pathlib import Path

import pytest

from tests.parity.__main__ import SYSTEMS, check
from tests.parity.vectors import system_of

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "parity"
VECTORS = [path for path in sorted(FOLDER.glob("bevf_*.npz")) if system_of(path) in SYSTEMS]


@pytest.mark.skipif(not VECTORS, reason="no parity vectors beside the checkout")
@pytest.mark.parametrize("path", VECTORS, ids=lambda p: p.stem)
def test_the_recorded_outputs_are_reproduced(path):
    error, tolerance, result = check(path)
    assert result == "ok", f"{result}: {error:.1e} (tolerance {tolerance:.0e})"
