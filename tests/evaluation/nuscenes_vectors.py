"""Makes nuscenes_vectors.json: random boxes and what the official nuScenes devkit says of them.

The devkit needs numpy < 2, so run this in an environment of its own, from the repository's root:

    python -m venv /tmp/devkit && /tmp/devkit/bin/pip install nuscenes-devkit==1.2.0
    /tmp/devkit/bin/python tests/evaluation/nuscenes_vectors.py
"""

import json
import math
import random
from pathlib import Path

from nuscenes.eval.common.config import config_factory
from nuscenes.eval.common.data_classes import EvalBoxes
from nuscenes.eval.common.loaders import add_center_dist, filter_eval_boxes
from nuscenes.eval.detection.data_classes import DetectionBox
from nuscenes.eval.detection.evaluate import DetectionEval

SIZES = {  # length, width, height, m
    "car": (4.6, 1.9, 1.7), "truck": (7.0, 2.5, 2.8), "bus": (11.0, 2.9, 3.5), "trailer": (12.0, 2.9, 3.9),
    "construction_vehicle": (6.4, 2.9, 3.2), "pedestrian": (0.7, 0.7, 1.8), "motorcycle": (2.1, 0.8, 1.5),
    "bicycle": (1.7, 0.6, 1.3), "traffic_cone": (0.4, 0.4, 1.1), "barrier": (0.5, 2.5, 1.0),
}  # fmt: skip
ATTRIBUTES = {"pedestrian": ("pedestrian.moving", "pedestrian.standing"), "motorcycle": ("cycle.with_rider",
              "cycle.without_rider"), "bicycle": ("cycle.with_rider", "cycle.without_rider")}  # fmt: skip
VEHICLE = ("vehicle.moving", "vehicle.parked", "vehicle.stopped")
EGO = (411.3, 1180.9, 0.0)


def attributes(name):
    return ("",) if name in ("traffic_cone", "barrier") else ATTRIBUTES.get(name, VEHICLE)


def true_box(rng, name):
    far = rng.uniform(2, 58) * (1.0 if name not in ("traffic_cone", "barrier", "pedestrian") else 0.7)
    angle = rng.uniform(-math.pi, math.pi)
    return {
        "centre": [far * math.cos(angle), far * math.sin(angle), rng.uniform(0.3, 1.5)],
        "size": [v * rng.uniform(0.8, 1.2) for v in SIZES[name]],
        "yaw": rng.uniform(-math.pi, math.pi),
        "velocity": [rng.gauss(0, 3), rng.gauss(0, 3)] if rng.random() > 0.1 else None,
        "category": name,
        "points": rng.choice([0, 1, 3, 8, 40, 200]),
        "attribute": rng.choice(attributes(name)) if rng.random() > 0.1 else "",
    }


def found_box(rng, true, spread):
    name = true["category"] if rng.random() > 0.1 else rng.choice(list(SIZES))
    return {
        "centre": [v + rng.gauss(0, spread) for v in true["centre"]],
        "size": [v * rng.uniform(0.8, 1.25) for v in true["size"]],
        "yaw": true["yaw"] + rng.gauss(0, 0.3) + (math.pi if rng.random() < 0.1 else 0),
        "velocity": [v + rng.gauss(0, 0.8) for v in true["velocity"] or (0.0, 0.0)],
        "category": name,
        "score": round(min(max(rng.gauss(0.6, 0.2), 0.01), 0.99), 2),  # two places: many ties
        "attribute": rng.choice(attributes(name)),
    }


def rounded(value):
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return round(value, 3) if isinstance(value, float) else value


def frame(rng, names, count, spread):
    truth = [true_box(rng, rng.choice(names)) for _ in range(count)]
    found = [found_box(rng, t, spread) for t in truth if rng.random() > 0.2]
    found += [found_box(rng, true_box(rng, rng.choice(names)), 0.0) for _ in range(count // 3)]
    wheels = [t for t in truth if t["category"] in ("bicycle", "motorcycle")][:1]
    racks = [{"centre": t["centre"], "size": [4.0, 2.0, 3.0], "yaw": 0.4} for t in wheels]
    return {
        key: [{k: rounded(v) for k, v in row.items()} for row in rows]
        for key, rows in (("truth", truth), ("found", found), ("racks", racks))
    }


def rotation(yaw):
    return (math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2))


def placed(centre):
    return tuple(a + b for a, b in zip(centre, EGO))


def wlh(size):
    return (size[1], size[0], size[2])


def eval_box(token, row):
    return DetectionBox(
        sample_token=token,
        translation=placed(row["centre"]),
        size=wlh(row["size"]),
        rotation=rotation(row["yaw"]),
        velocity=tuple(row["velocity"] or (math.nan, math.nan)),
        num_pts=row.get("points", -1),
        detection_name=row["category"],
        detection_score=float(row.get("score", -1.0)),
        attribute_name=row["attribute"],
    )


class Tables:
    """Answers the few look-ups that the devkit's filters make in the data set's tables."""

    def __init__(self, frames):
        self.racks = [
            (i, {"category_name": "static_object.bicycle_rack", "translation": placed(r["centre"]),
                 "size": wlh(r["size"]), "rotation": rotation(r["yaw"])})
            for i, f in enumerate(frames) for r in f["racks"]
        ]  # fmt: skip

    def get(self, table, token):
        if table == "sample":
            anns = [k for k, (i, _) in enumerate(self.racks) if str(i) == token]
            return {"anns": anns, "data": {"LIDAR_TOP": "lidar"}}
        if table == "sample_annotation":
            return self.racks[token][1]
        return {"ego_pose_token": "pose"} if table == "sample_data" else {"translation": EGO}


def evaluated(frames):
    config, tables = config_factory("detection_cvpr_2019"), Tables(frames)
    kept = []
    for key in ("truth", "found"):
        boxes = EvalBoxes()
        for i, f in enumerate(frames):
            boxes.add_boxes(str(i), [eval_box(str(i), row) for row in f[key]])
        kept.append(filter_eval_boxes(tables, add_center_dist(tables, boxes), config.class_range))
    judge = DetectionEval.__new__(DetectionEval)  # its constructor wants the whole data set on disk
    judge.cfg, judge.verbose, (judge.gt_boxes, judge.pred_boxes) = config, False, kept
    metrics, _ = judge.evaluate()
    none = lambda value: None if math.isnan(value) else value  # noqa: E731
    return {
        "counted": [len(boxes.all) for boxes in kept],
        "map": metrics.mean_ap,
        "nds": metrics.nd_score,
        "ap": {n: {f"{d:g}": v for d, v in row.items()} for n, row in metrics._label_aps.items()},
        "errors": {n: {k: none(v) for k, v in row.items()} for n, row in metrics._label_tp_errors.items()},
        "means": metrics.tp_errors,
    }


def main():
    cases = []
    for name, seed, names, count, frames, spread in (
        ("all ten classes", 1, list(SIZES), 60, 5, 0.6),
        ("three classes, the others are absent", 2, ["car", "bicycle", "barrier"], 20, 3, 0.3),
        ("poor detections", 3, list(SIZES), 30, 2, 3.0),
    ):
        rng = random.Random(seed)
        made = [frame(rng, names, count, spread) for _ in range(frames)]
        cases.append({"name": name, "frames": made, "expected": evaluated(made)})
    content = {"devkit": "nuscenes-devkit 1.2.0, detection_cvpr_2019", "cases": cases}
    path = Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n")
    print(path, path.stat().st_size, [(c["expected"]["counted"], c["expected"]["nds"]) for c in cases])


if __name__ == "__main__":
    main()
