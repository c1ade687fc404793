"""How the scores of 3-D boxes are shown, and the scorer that a system declares for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perception_nodes.classes import BOX_CLASSES
from perception_nodes.evaluation.nuscenes_protocol import ERRORS, NUSCENES
from perception_nodes.evaluation.scorer import Recording, Scored, Scorer
from perception_nodes.evaluation.show import number

TEMPLATE = Path(__file__).with_name("detection3d.html.j2")
OUTPUT = "/perception/detections"


def detection3d_scorer(topic: str = OUTPUT, key: str = "detection3d") -> Scorer:
    """The scorer of a Detection3DArray topic against /ground_truth/boxes.

    Velocities and attributes are read from `<topic>/attributes` (messages.detections.attributes_values), if recorded.
    """

    def score(recording: Recording) -> Scored:
        from perception_nodes.evaluation.recorded_detections3d import evaluate_detections3d  # rosbags

        return evaluate_detections3d(recording, topic)

    return Scorer(key, topic, score, cards=cards, template=TEMPLATE, context=context, tables=tables)


def cards(metrics: dict) -> list[tuple[str, Any, str]]:
    """NDS and mAP: the official ones, or those of the classes that occur where some do not."""
    if "ap" not in metrics:
        return [("NDS", metrics["nds"], "no boxes in the ground truth")]
    part = f"{len(metrics['boxes']) - len(metrics['absent'])} of {len(metrics['boxes'])} classes occur"
    return [
        ("NDS", metrics["nds_present"], f"{metrics['frames']} frames with ground truth"),
        ("mAP", metrics["map_present"], part),
    ]


def context(metrics: dict) -> dict[str, Any]:
    """Variables of the template."""
    if "ap" not in metrics:
        return {"rows": []}
    official = [metrics["map"], metrics["nds"], *(metrics[f"m{e}"] for e in ERRORS)]
    present = [metrics["map_present"], metrics["nds_present"], *metrics["errors_present"].values()]
    names = ("all ten classes (official)", "classes present")
    return {
        "rows": class_rows(metrics),
        "summary": [{"name": n, "figures": v} for n, v in zip(names, (official, present))],
        "distances": [f"{d:g}" for d in NUSCENES.distances],
    }


def class_rows(metrics: dict) -> list[dict[str, Any]]:
    """One row a class that occurs: name, colour, boxes, AP, AP by distance with errors, points of its curve in SVG."""
    rows = []
    for info in BOX_CLASSES:
        if info.name not in metrics["ap_at"]:
            continue
        curve = metrics["precision_2m"][info.name]
        places = (f"{400 * i / (len(curve) - 1):.0f},{280 - 280 * p:.1f}" for i, p in enumerate(curve))
        rows.append(
            {
                "name": info.name,
                "rgb": "rgb({},{},{})".format(*info.rgb),
                "boxes": f"{metrics['boxes'][info.name]:,}",
                "ap": metrics["ap"][info.name],
                "figures": [*metrics["ap_at"][info.name].values(), *metrics["errors"][info.name].values()],
                "points": " ".join(places),
            }
        )
    return rows


def tables(metrics: dict) -> list[Any]:
    """AP and errors of each class, or a sentence where there is no ground truth."""
    from rich.table import Table

    if "ap" not in metrics:
        return ["3-D boxes: recorded, not scored (no ground truth)"]
    columns = ("class", "boxes", "AP", "ATE m", "ASE", "AOE rad", "AVE m/s", "AAE")
    table = Table(*columns, title=f"3-D boxes, nuScenes protocol, {metrics['frames']} frames")
    for name, errors in metrics["errors"].items():
        table.add_row(name, f"{metrics['boxes'][name]:,}", number(metrics["ap"][name]), *map(number, errors.values()))
    means = map(number, metrics["errors_present"].values())
    table.add_row("[bold]classes present", "", f"[bold]{number(metrics['map_present'])}", *means)
    official = f"NDS {number(metrics['nds_present'])} over the classes present; "
    official += f"over all ten: mAP {number(metrics['map'])}, NDS {number(metrics['nds'])}"
    vehicles = metrics["vehicles"]
    within = f"vehicles within 40 m with at least 5 points: AP at 2 m {number(vehicles['ap'])}, "
    within += f"recall {number(vehicles['recall'])} of {vehicles['boxes']:,}"
    return [table, official, within]
