"""The end of every CARD.md: limits, and how its figures were made."""

from __future__ import annotations

from typing import Any


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
