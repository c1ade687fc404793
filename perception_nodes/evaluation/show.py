"""metrics.json on the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from perception_nodes.evaluation.scorer import Scorer


def print_metrics(folder: Path, scorers: Iterable[Scorer]) -> None:
    """Print the scores of a results folder as tables, and where the report is."""
    from rich.console import Console

    metrics = json.loads((folder / "metrics.json").read_text())
    frames = metrics["frames"]
    console = Console()
    for scorer in scorers:
        for table in scorer.tables(metrics[scorer.key]) if scorer.key in metrics else ():
            console.print(table)
    console.print(f"frames: {counts(frames)}")
    for node, count in frames.get("nodes", {}).items():
        console.print(f"  {node}: {counts(count)}", markup=False)
    for node, figures in metrics["latency"]["nodes"].items():
        latency = figures.get("pipeline_ms")
        if isinstance(latency, dict):
            console.print(f"{node}, message to message: p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms")
    console.print(f"report: {folder / 'report.html'}", markup=False)


def counts(frames: dict) -> str:
    """Messages in and answered, those apart by their state, and those dropped."""
    apart = "".join(f", {count} {state.replace('_', ' ')}" for state, count in frames.get("apart", {}).items())
    return f"{frames['in']} in, {frames['out']} answered{apart}, {frames['dropped']} dropped"


def number(value: float | str) -> str:
    """A score with three places, or its words."""
    return value if isinstance(value, str) else f"{value:.3f}"
