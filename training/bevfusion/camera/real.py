"""How many annotated vehicles of real pictures the camera branch finds: PandaSet's and nuScenes', never trained on.

A vehicle's true box is the outline of its 3-D box in the picture, cut at the edges of the view. It counts where at
least LEAST_POINTS LiDAR returns lie on the object, half of the outline is in view and it is not too small
(perception_nodes.evaluation.detection2d). It is found where a free box of any vehicle class with a score of at least
MIN_SCORE overlaps it by an IoU of 0.5 or more, best scores first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.bevfusion.lite.build import SIZE
from models.bevfusion.lite.camera_heads import Boxes2D, CameraLite
from models.tsm.detector_boxes import pairwise_iou
from perception_nodes.datasets.errors import DatasetError
from perception_nodes.datasets.nuscenes import read_nuscenes_keyframe
from perception_nodes.datasets.pandaset import PandaSetSequence
from perception_nodes.evaluation.detection2d import too_small
from perception_nodes.simulator.rigs import CameraSpec
from perception_nodes.simulator.truth import Box
from training.bevfusion.camera.pictures import BOX_CLASS, BOX_NAMES, BoxRows, Picture
from training.bevfusion.camera.scores import answers
from training.common.outlines import outline_of

VEHICLES = ("car", "truck", "bus", "trailer", "construction_vehicle")
MIN_SCORE = 0.3
LEAST_POINTS = 5
RANGES = ((0.0, 20.0), (20.0, 40.0), (40.0, 60.0))  # m
EVERY = 5  # PandaSet's frames that are scored: one in so many


class Boxes3D(Protocol):
    """Upright boxes, as the data sets' readers give them: centre [B, 3] m, size [B, 3] (l, w, h) m, yaw [B] rad, points
    [B] LiDAR returns, category: B class names."""

    @property
    def centre(self) -> NDArray[np.float64]: ...

    @property
    def size(self) -> NDArray[np.float64]: ...

    @property
    def yaw(self) -> NDArray[np.float64]: ...

    @property
    def points(self) -> NDArray[np.int64]: ...

    @property
    def category(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, eq=False)
class View:
    """One real camera at one moment: rgb, k, pose of the optical frame in the boxes' frame, boxes."""

    name: str
    rgb: NDArray[np.uint8]
    k: NDArray[np.float64]
    world_from_camera: NDArray[np.float64]
    boxes: Boxes3D


def views(data: Path) -> Iterator[tuple[str, View]]:
    """(data set, view) of what is there below `data`."""
    try:
        sequence = PandaSetSequence(data / "pandaset_002")
        for number in sequence.numbers[::EVERY]:
            frame = sequence.frame(number)
            for name, camera in frame.cameras.items():
                where = f"{number:02d}/{name}"
                yield "pandaset", View(where, camera.rgb(), camera.k, camera.world_from_camera, frame.boxes)
    except DatasetError:
        pass
    try:
        keyframe = read_nuscenes_keyframe(data / "nuscenes_keyframe")
        _, boxes = keyframe.upright_boxes()
        for name, seen in keyframe.cameras.items():
            pose = seen.map_from_base @ seen.base_from_camera
            yield "nuscenes", View(name, seen.rgb(), seen.k, pose, boxes)
    except DatasetError:
        pass


def picture_of(view: View) -> Picture:
    """A view as the network takes it: scaled to the network's width, its lower part; its vehicles are the rows."""
    import cv2

    height, width = SIZE
    scale = width / view.rgb.shape[1]
    full = round(view.rgb.shape[0] * scale)
    rgb = cv2.resize(view.rgb, (width, full), interpolation=cv2.INTER_AREA)
    top = full - height
    if top < 0:
        rgb = np.concatenate([np.zeros((-top, width, 3), np.uint8), rgb])
    rgb = np.ascontiguousarray(rgb[-height:])
    k = view.k
    camera = CameraSpec(
        view.name, width, height, k[0, 0] * scale, k[1, 1] * scale, (k[0, 2] + 0.5) * scale - 0.5,
        (k[1, 2] + 0.5) * scale - 0.5 - top, view.world_from_camera,
    )  # fmt: skip
    rows = vehicle_rows(view.boxes, camera)
    nothing = np.zeros((height // 2, width // 2))
    depth, pixels = nothing.astype(np.float32), nothing.astype(np.uint8)
    return Picture(rgb, depth, pixels, rows, (camera.fx + camera.fy) / 2, view.name)


def vehicle_rows(boxes: Boxes3D, camera: CameraSpec) -> BoxRows:
    """Outlines of the vehicles that count, in the camera's picture; `camera.base_from_camera` is its pose in the frame
    of the boxes."""
    rows = []
    pose = camera.base_from_camera
    for i, category in enumerate(boxes.category):
        if category not in VEHICLES or boxes.points[i] < LEAST_POINTS:
            continue
        centre = tuple(float(v) for v in boxes.centre[i])
        size = tuple(float(v) for v in boxes.size[i])
        box = Box(category, i, centre, size, float(boxes.yaw[i]), (0.0, 0.0), 1.0, 0)  # type: ignore[arg-type]
        outline = outline_of(box, pose, camera)
        if outline is None:
            continue
        sizes = [(b[2:] - b[:2]).prod() for b in (outline.box, outline.whole)]
        if sizes[0] >= 0.5 * sizes[1] and not too_small(outline.box[None])[0]:
            rows.append((outline.box, BOX_CLASS[category], outline.distance, 1.0))
    return BoxRows.build(*(zip(*rows) if rows else [[]] * 4))


def matched(found: Boxes2D, true: NDArray[np.float32], min_score: float = MIN_SCORE) -> tuple[NDArray[np.bool_], int]:
    """(which true boxes [M, 4] are found, vehicles told that are none of them). Any vehicle class is right."""
    vehicle = np.isin(found.label.numpy(), [BOX_NAMES.index(name) for name in VEHICLES])
    kept = vehicle & (found.score.numpy() >= min_score)
    overlap = pairwise_iou(found.box.numpy()[kept].astype(float), true.astype(float))
    hit, extra = np.zeros(len(true), bool), 0
    for row in overlap[np.argsort(-found.score.numpy()[kept], kind="stable")]:
        free = np.where(hit, 0.0, row)
        if len(free) and free.max() >= 0.5:
            hit[free.argmax()] = True
        else:
            extra += 1
    return hit, extra


def real_scores(network: CameraLite, data: Path) -> dict[str, Any]:
    """Per data set: vehicle_recall50, the same by_distance, vehicles, pictures, told_besides (boxes per picture that
    match no vehicle that counts); {} where `data` holds none."""
    hits: dict[str, list[tuple[float, bool]]] = {}
    extra: dict[str, int] = {}
    pictures: dict[str, int] = {}
    for name, view in views(data):
        picture = picture_of(view)
        boxes, _, _ = answers(network, picture)
        hit, besides = matched(boxes, picture.rows.box)
        hits.setdefault(name, []).extend(zip(picture.rows.distance.tolist(), hit.tolist()))
        extra[name] = extra.get(name, 0) + besides
        pictures[name] = pictures.get(name, 0) + 1
    return {name: _summary(hits[name], pictures[name], extra[name]) for name in hits}


def _summary(hits: list[tuple[float, bool]], pictures: int, extra: int) -> dict[str, Any]:
    within = [hit for distance, hit in hits if distance < RANGES[-1][1]]
    by_distance = {}
    for low, high in RANGES:
        part = [hit for distance, hit in hits if low <= distance < high]
        by_distance[f"{low:.0f}-{high:.0f} m"] = {
            "recall50": round(float(np.mean(part)), 4) if part else "no data", "vehicles": len(part),
        }  # fmt: skip
    return {
        "vehicle_recall50": round(float(np.mean(within)), 4) if within else "no data",
        "vehicles": len(within),
        "by_distance": by_distance,
        "pictures": pictures,
        "told_besides": round(extra / max(pictures, 1), 2),
        "min_score": MIN_SCORE,
    }
