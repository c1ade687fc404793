"""What every CARD.md has: how the model was trained; its limits, and how its figures were made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.facts import ModelFacts


def training_section(facts: ModelFacts, training: Mapping[str, Any]) -> list[str]:
    """Lines of the section on the training, with an empty one at the end. training: as in metrics.json."""
    rows = [f"- {key.replace('_', ' ')}: {value}" for key, value in training.items()]
    return ["## Training", "", f"Data: {facts.training_data}", "", *rows, ""]


def ending(limits: str, metrics: dict[str, Any], engine: str = "") -> str:
    """Markdown to the end of the card.

    limits: lines that begin with "- " · metrics: as in metrics.json · engine: what ran the network, "": not told.
    """
    with_engine = f", with {engine}" if engine else ""
    lines = [
        "## Limits",
        "",
        limits,
        "",
        "## How these figures were made",
        "",
        f"    {metrics['command']}",
        "",
        f"on {metrics['date']}{with_engine}.",
    ]
    return "\n".join(lines) + "\n"
