"""The style part of a report, in cards and on the terminal."""

from __future__ import annotations

from typing import Any


def cards(metrics: dict) -> list[tuple[str, Any, str]]:
    """At the top of the report."""
    return [(f"pictures, {style}", str(count), "restyled") for style, count in metrics["pictures"].items()]


def tables(metrics: dict) -> list[str]:
    """For the terminal."""
    return [f"style {style}: {count} pictures" for style, count in metrics["pictures"].items()]
