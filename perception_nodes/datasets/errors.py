"""The one exception of a data set that is not what it should be."""

from __future__ import annotations

from pathlib import Path


class DatasetError(RuntimeError):
    """What was found, what the official layout has, what to give instead."""


def listing(folder: Path, limit: int = 6) -> str:
    """The first names in a folder, for error texts."""
    try:
        names = sorted(p.name for p in folder.iterdir())
    except OSError:
        return "nothing readable"
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more if names else "nothing"
