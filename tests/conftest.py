"""Fixtures that every test may use."""

import importlib.util
import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"

# No test depends on which runtime is the fastest here: where one asks for `auto`, it is this one, also in the processes
# that a test starts.
os.environ["PERCEPTION_RUNTIME"] = "openvino" if importlib.util.find_spec("openvino") else "torch"


@pytest.fixture
def shared() -> Path:
    """The folder of real data and parity vectors beside the project; a user's clone has none."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: real data and parity vectors are not part of the repository")
    return SHARED
