"""Fixtures that every test may use."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture
def shared() -> Path:
    """The folder of real data and parity vectors beside the project; a user's clone has none."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: real data and parity vectors are not part of the repository")
    return SHARED
