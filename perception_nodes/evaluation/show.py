"""metrics.json on the terminal."""

from __future__ import annotations

import json
from pathlib import Path


def print_metrics(folder: Path) -> None:
    """Print the scores of a results folder as tables, and where the report is."""
    from rich.console import Console
    from rich.table import Table

    metrics = json.loads((folder / "metrics.json").read_text())
    segmentation, frames = metrics["segmentation"], metrics["frames"]
    console = Console()
    if "iou" in segmentation:
        table = Table("class", "IoU", "points", title=f"{segmentation['sweeps']} sweeps with ground truth")
        for name, value in segmentation["iou"].items():
            points = segmentation["points_by_class"][name]
            table.add_row(name, number(value), f"{points:,}")
        table.add_row("[bold]mean", f"[bold]{number(segmentation['miou'])}", f"{segmentation['points']:,}")
        table.add_row("mean of the ten classes common in streets", number(segmentation["miou10"]), "")
        console.print(table)
    console.print(f"frames: {frames['in']} in, {frames['out']} out, {frames['dropped']} dropped")
    latency = metrics["latency"]["pipeline_ms"]
    if isinstance(latency, dict):
        console.print(f"message to message: p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms")
    console.print(f"report: {folder / 'report.html'}")


def number(value: float | str) -> str:
    """A score with three places, or its words."""
    return value if isinstance(value, str) else f"{value:.3f}"
