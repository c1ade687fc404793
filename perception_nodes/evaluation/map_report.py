"""How the scores of map layers are shown, and the scorer that a system declares for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception_nodes.classes import MAP_CLASSES
from perception_nodes.evaluation.scorer import Recording, Scored, Scorer
from perception_nodes.evaluation.show import number

TEMPLATE = Path(__file__).with_name("map.html.j2")


def map_scorer(topic: str = "/perception/map", key: str = "map", first: str = MAP_CLASSES[0].name) -> Scorer:
    """The scorer of OccupancyGrid topics <topic>/<class> against the map of the ground truth.

    first: the class by whose topic the evaluator sees that map layers were recorded.
    """

    def score(recording: Recording) -> Scored:
        from perception_nodes.evaluation.recorded_map import evaluate_map  # rosbags

        return evaluate_map(recording, topic)

    return Scorer(key, f"{topic}/{first}", score, cards=cards, template=TEMPLATE, context=context, tables=tables)


def cards(metrics: dict) -> list[tuple[str, Any, str]]:
    """The mean IoU."""
    return [("map mIoU", metrics["miou"], f"{metrics['frames']} frames with a true map")]


def context(metrics: dict) -> dict[str, Any]:
    """Variables of the template."""
    rows = []
    for info in MAP_CLASSES if "iou" in metrics else ():
        row = {"name": info.name, "rgb": "rgb({},{},{})".format(*info.rgb), "iou": metrics["iou"].get(info.name)}
        if info.name in metrics["iou_at"]:
            places = metrics.get("recall_precision", {}).get(info.name, [])
            row |= {
                "threshold": metrics["threshold"][info.name],
                "half": metrics["iou_at"][info.name]["0.50"],
                "points": [(round(400 * recall), round(280 - 280 * precision)) for recall, precision in places],
            }
        rows.append(row)
    return {"rows": rows}


def tables(metrics: dict) -> list[Any]:
    """IoU of each class, or a sentence where there is no true map."""
    from rich.table import Table

    if "iou" not in metrics:
        return ["map: recorded, not scored (no map in the ground truth)"]
    table = Table("map class", "IoU", "threshold", title=f"map, {metrics['frames']} frames")
    for name, value in metrics["iou"].items():
        table.add_row(name, number(value), f"{metrics['threshold'][name]:.2f}" if name in metrics["threshold"] else "")
    table.add_row("[bold]mean", f"[bold]{number(metrics['miou'])}", "")
    return [table]
