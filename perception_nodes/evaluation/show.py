"""metrics.json on the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def print_metrics(folder: Path) -> None:
    """Print the scores of a results folder as tables, and where the report is."""
    from rich.console import Console
    from rich.table import Table

    metrics = json.loads((folder / "metrics.json").read_text())
    segmentation, frames = metrics.get("segmentation", {}), metrics["frames"]
    console = Console()
    if "iou" in segmentation:
        table = Table("class", "IoU", "points", title=f"{segmentation['sweeps']} sweeps with ground truth")
        for name, value in segmentation["iou"].items():
            points = segmentation["points_by_class"][name]
            table.add_row(name, number(value), f"{points:,}")
        table.add_row("[bold]mean", f"[bold]{number(segmentation['miou'])}", f"{segmentation['points']:,}")
        table.add_row("mean of the ten classes common in streets", number(segmentation["miou10"]), "")
        console.print(table)
    if "by_event" in metrics.get("events", {}):
        console.print(event_table(metrics["events"]))
    elif "events" in metrics:
        console.print("events: named, not scored (no ground truth)")
    console.print(f"frames: {frames['in']} in, {frames['out']} out, {frames['dropped']} dropped")
    for node, count in frames.get("nodes", {}).items():
        console.print(f"  {node}: {count['in']} in, {count['out']} out, {count['dropped']} dropped")
    for node, figures in metrics["latency"]["nodes"].items():
        latency = figures.get("pipeline_ms")
        if isinstance(latency, dict):
            console.print(f"{node}, message to message: p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms")
    console.print(f"report: {folder / 'report.html'}")


def event_table(events: dict) -> Any:
    """Recall, precision, average precision and spans of each event."""
    from rich.table import Table

    title = f"events of camera {events['camera']}, {events['frames']} pictures with ground truth"
    table = Table("event", "pictures", "recall", "precision", "AP", "spans hit", "latency, s", title=title)
    for name, row in events["by_event"].items():
        if row["frames"] or row["precision"] != "no data":
            hit = f"{row['spans_hit']} of {row['spans']}" if row["spans"] else ""
            shares = (number(row[key]) for key in ("recall", "precision", "ap"))
            table.add_row(name, f"{row['frames']:,}", *shares, hit, number(row["latency_s"]) if row["spans"] else "")
    spans = events["spans"]
    hits = f"{spans['hit']} of {spans['count']}"
    table.add_row("[bold]top-1", "", f"[bold]{number(events['top1'])}", "", number(events["map"]), hits, "")
    return table


def number(value: float | str) -> str:
    """A score with three places, or its words."""
    return value if isinstance(value, str) else f"{value:.3f}"
