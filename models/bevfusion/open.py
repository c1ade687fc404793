"""The session of any model of boxes and maps in the bird's-eye view, by its architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.bevfusion.lite.network import BevFusionLite
from models.bevfusion.lite.session import LiteSession
from models.bevfusion.network import BEVFusion
from models.bevfusion.session import BevFusionSession
from models.facts import ModelError, load_network


def open_bev(name_or_path: str | Path, **options: Any) -> BevFusionSession | LiteSession:
    """Session of a model by name, folder or `random:<preset>`; options as for the sessions. Raises ModelError."""
    network, facts = load_network(name_or_path)
    if isinstance(network, BevFusionLite):
        return LiteSession(network, facts, **options)
    if isinstance(network, BEVFusion):
        return BevFusionSession(network, facts, **options)
    raise ModelError(
        f"{facts.name} is a {facts.architecture}: expected a bevfusion or bevfusion-lite; `perception weights list`"
    )
