"""How the scores of events are shown: on the report's page and on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception_nodes.classes import event_colour
from perception_nodes.evaluation.show import number

TEMPLATE = Path(__file__).with_name("events.html.j2")


def cards(metrics: dict) -> list[tuple[str, Any, str]]:
    """The share of pictures whose event is right."""
    return [("events, top-1", metrics["top1"], f"{metrics['frames']} pictures with ground truth")]


def context(metrics: dict) -> dict[str, Any]:
    """Variables of the template."""
    return {"event_rows": event_rows(metrics)}


def tables(metrics: dict) -> list[Any]:
    """The scores of each event, or a sentence where there is no ground truth."""
    return [event_table(metrics)] if "by_event" in metrics else ["events: named, not scored (no ground truth)"]


def event_rows(events: dict) -> list[dict]:
    """One row an event that occurred or was named: name, colour and its figures."""
    return [
        {"name": name, "rgb": "rgb({},{},{})".format(*event_colour(name)), **row}
        for name, row in events.get("by_event", {}).items()
        if row["frames"] or isinstance(row["precision"], float)
    ]


def event_table(events: dict) -> Any:
    """Recall, precision, average precision and spans of each event."""
    from rich.markup import escape
    from rich.table import Table

    title = f"events of camera {escape(events['camera'])}, {events['frames']} pictures with ground truth"
    table = Table("event", "pictures", "recall", "precision", "AP", "spans hit", "latency, s", title=title)
    for name, row in events["by_event"].items():
        if row["frames"] or row["precision"] != "no data":
            hit = f"{row['spans_hit']} of {row['spans']}" if row["spans"] else ""
            shares = (number(row[key]) for key in ("recall", "precision", "ap"))
            table.add_row(
                escape(name), f"{row['frames']:,}", *shares, hit, number(row["latency_s"]) if row["spans"] else ""
            )
    spans = events["spans"]
    hits = f"{spans['hit']} of {spans['count']}"
    table.add_row("[bold]top-1", "", f"[bold]{number(events['top1'])}", "", number(events["map"]), hits, "")
    return table
