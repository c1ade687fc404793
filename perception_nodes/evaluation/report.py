"""report.html: the pictures and the scores of a results folder, one self-contained page (styles and charts inline)."""

from __future__ import annotations

from pathlib import Path

from perception_nodes.classes import POINT_CLASSES, event_colour
from perception_nodes.evaluation.segmentation import NO_DATA

TEMPLATE = Path(__file__).with_name("report.html.j2")


def write(folder: Path, metrics: dict, pictures: list[tuple[str, str]], replay: dict) -> Path:
    """Write folder/report.html from metrics.json's dict and (file, caption) pairs; returns its path."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text())
    page = template.render(
        title=folder.name,
        metrics=metrics,
        pictures=pictures,
        replay=replay,
        classes=class_rows(metrics.get("segmentation", {})),
        ranges=table(metrics.get("segmentation", {}).get("by_range", {})),
        beams=table(metrics.get("segmentation", {}).get("by_beams", {})),
        confusion=confusion_cells(metrics.get("segmentation", {})),
        events=metrics.get("events", {}),
        event_rows=event_rows(metrics.get("events", {})),
        nodes=metrics.get("latency", {}).get("nodes", {}),
        no_data=NO_DATA,
    )
    path = folder / "report.html"
    path.write_text(page)
    return path


def class_rows(segmentation: dict) -> list[dict]:
    """One row a class: name, colour, IoU (or "no data") and ground-truth points."""
    points = segmentation.get("points_by_class", {})
    return [
        {"name": c.name, "rgb": "rgb({},{},{})".format(*c.rgb), "iou": value, "points": points.get(c.name, 0)}
        for c in POINT_CLASSES
        if (value := segmentation.get("iou", {}).get(c.name)) is not None
    ]


def event_rows(events: dict) -> list[dict]:
    """One row an event that occurred or was named: name, colour and its figures."""
    return [
        {"name": name, "rgb": "rgb({},{},{})".format(*event_colour(name)), **row}
        for name, row in events.get("by_event", {}).items()
        if row["frames"] or isinstance(row["precision"], float)
    ]


def table(parts: dict) -> list[dict]:
    """One row a part (a range, a beam pattern): name, miou, points, iou by class."""
    return [{"name": name, **part} for name, part in parts.items()]


def confusion_cells(segmentation: dict) -> list[dict]:
    """Rows of the confusion matrix as shares of their ground truth, classes without points left out."""
    matrix = segmentation.get("confusion")
    if not matrix:
        return []
    columns = matrix["columns"]
    rows = []
    for name, counts in zip(columns, matrix["counts"]):
        total = sum(counts)
        if total:
            cells = [{"share": n / total, "title": f"{name} seen as {c}: {n:,}"} for c, n in zip(columns, counts)]
            rows.append({"name": name, "cells": cells})
    return rows
