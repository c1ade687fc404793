"""How the scores of labels are shown: on the report's page and on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception_nodes.classes import POINT_CLASSES
from perception_nodes.evaluation.segmentation import common_words
from perception_nodes.evaluation.show import number

TEMPLATE = Path(__file__).with_name("segmentation.html.j2")


def cards(metrics: dict) -> list[tuple[str, Any, str]]:
    """The mean IoU."""
    return [("mIoU", metrics["miou"], f"{metrics['sweeps']} sweeps with ground truth")]


def context(metrics: dict) -> dict[str, Any]:
    """Variables of the template."""
    return {
        "common": common_words(metrics) if "miou10" in metrics else "",
        "classes": class_rows(metrics),
        "ranges": parts(metrics.get("by_range", {})),
        "beams": parts(metrics.get("by_beams", {})),
        "confusion": confusion_cells(metrics),
    }


def tables(metrics: dict) -> list[Any]:
    """IoU of each class."""
    from rich.markup import escape
    from rich.table import Table

    if "iou" not in metrics:
        return []
    table = Table("class", "IoU", "points", title=f"{metrics['sweeps']} sweeps with ground truth")
    for name, value in metrics["iou"].items():
        table.add_row(escape(name), number(value), f"{metrics['points_by_class'][name]:,}")
    table.add_row("[bold]mean", f"[bold]{number(metrics['miou'])}", f"{metrics['points']:,}")
    table.add_row(f"mean of {common_words(metrics)}", number(metrics["miou10"]), "")
    return [table]


def class_rows(segmentation: dict) -> list[dict]:
    """One row a class: name, colour, IoU (or "no data") and ground-truth points."""
    points = segmentation.get("points_by_class", {})
    return [
        {"name": c.name, "rgb": "rgb({},{},{})".format(*c.rgb), "iou": value, "points": points.get(c.name, 0)}
        for c in POINT_CLASSES
        if (value := segmentation.get("iou", {}).get(c.name)) is not None
    ]


def parts(found: dict) -> list[dict]:
    """One row a part (a range, a beam pattern): name, miou, points, iou by class."""
    return [{"name": name, **part} for name, part in found.items()]


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
