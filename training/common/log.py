"""What a training writes while it runs: lines of JSON in metrics.jsonl, and one line with a bar on standard output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class MetricsLog:
    """Appends lines to `<out>/metrics.jsonl`; writes nothing at all on processes other than the first.

    Use it as a context manager: leaving it closes the file.
    """

    def __init__(self, out: Path, first: bool = True):
        self._file = (out / "metrics.jsonl").open("a", buffering=1) if first else None

    def write(self, **values: Any) -> None:
        """One line of JSON."""
        if self._file is not None:
            self._file.write(json.dumps(values) + "\n")

    def say(self, text: str) -> None:
        """One line on standard output."""
        if self._file is not None:
            print(text, flush=True)

    def show(self, progress: float, text: str) -> None:
        """One line on standard output: a bar for `progress` 0..1, then `text`."""
        done = int(24 * min(progress, 1.0))
        self.say(f"[{'#' * done + '.' * (24 - done)}] {text}")

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


class Smoothed:
    """Running means of named values, each with a weight of 0.95 for the past. NaN is left out."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def add(self, values: dict[str, float]) -> None:
        """Takes the values of one step."""
        for name, value in values.items():
            if value == value:
                self.values[name] = 0.95 * self.values.get(name, value) + 0.05 * value
