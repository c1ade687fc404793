"""The only place that imports OpenVINO."""

from __future__ import annotations

import sys
from typing import Any


def import_openvino() -> Any:
    """The module `openvino`, without its analytics.

    OpenVINO reports its import to a server through the package openvino_telemetry; where that package cannot be
    imported it uses a stub of its own that sends nothing. So it is made unimportable before the first import.

    Raises:
        ImportError: OpenVINO is not installed.
    """
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    import openvino

    return openvino
