"""One cloud through a segmentation session: labels for every point, and the layouts of the outputs. No ROS."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import IGNORE, POINT_CLASSES, ClassInfo
from perception_nodes.messages.clock import json_values
from perception_nodes.messages.cloud_layout import CloudLayout, append_layout, point_cloud2_layout
from perception_nodes.messages.point_cloud import PointCloud
from perception_nodes.systems.system import is_trained


class Session(Protocol):
    """What a segmentation model must offer (models/spvcnn/session.py)."""

    def step(self, xyz: NDArray[np.float32], intensity: NDArray[np.float32]) -> Any:
        """xyz float32 [N, 3] m, intensity float32 [N] 0..1 -> label uint8 [N], score float32 [N]."""

    def reset(self) -> None:
        """Forgets the past."""


def classes_of(session: Any) -> tuple[ClassInfo, ...]:
    """The classes that a session's labels count, by its model's facts; the field's 19 where it has none."""
    rows = getattr(getattr(session, "facts", None), "classes", None)
    if not rows:
        return POINT_CLASSES
    return tuple(ClassInfo(str(row["name"]), tuple(int(v) for v in row["rgb"])) for row in rows)  # type: ignore[arg-type]


def class_table_text(session: Any) -> str:
    """The class table that travels with the labels, as JSON; `untrained` marks labels that mean nothing."""
    rows = [{"id": i, "name": c.name, "rgb": list(c.rgb)} for i, c in enumerate(classes_of(session))]
    content = {"classes": rows, "ignore": IGNORE, "untrained": not is_trained(session)}
    return str(json_values(content)["data"])


def palette(classes: tuple[ClassInfo, ...]) -> NDArray[np.uint32]:
    """0x00RRGGBB of every label, uint32 [256]; grey for labels without a class."""
    table = np.full(256, 0x606060, np.uint32)
    for i, info in enumerate(classes):
        table[i] = (info.rgb[0] << 16) | (info.rgb[1] << 8) | info.rgb[2]
    return table


def drop_table(names: list[str], classes: tuple[ClassInfo, ...] = POINT_CLASSES) -> NDArray[np.bool_]:
    """bool [256]: True at the labels of the named classes."""
    table = np.zeros(256, np.bool_)
    for i, info in enumerate(classes):
        table[i] = info.name in names
    return table


@dataclass(frozen=True, eq=False)
class Segmented:
    """Labels of one cloud, for every point of the message and in its order.

    label uint8 [total] (255: no class: not finite, or beyond `max_points`) · score float32 [total] 0..1.
    """

    cloud: PointCloud
    label: NDArray[np.uint8]
    score: NDArray[np.float32]


def segment(session: Session, cloud: PointCloud) -> Segmented:
    """Labels every point of a cloud, as seen from its sensor; points that are not finite never reach the network and
    get `IGNORE`."""
    xyz = cloud.xyz if cloud.sensor is None else cloud.xyz - cloud.sensor
    if len(cloud) and cloud.finite.all():  # the usual cloud: nothing is copied
        points = _step(session, xyz, cloud.intensity)
        label, score = points.label, points.score
    else:
        label, score = np.full(len(cloud), IGNORE, np.uint8), np.zeros(len(cloud), np.float32)
        if cloud.finite.any():
            points = _step(session, xyz[cloud.finite], cloud.intensity[cloud.finite])
            label[cloud.finite], score[cloud.finite] = points.label, points.score
    return Segmented(cloud, cloud.expand(label, IGNORE), cloud.expand(score, 0.0))


def _step(session: Session, xyz: NDArray[np.float32], intensity: NDArray[np.float32]) -> Any:
    if not np.isfinite(intensity).all():  # it would spread through the sparse convolutions; it counts as unknown
        intensity = np.nan_to_num(intensity, nan=0.0, posinf=0.0, neginf=0.0)
    return session.step(np.ascontiguousarray(xyz, np.float32), np.ascontiguousarray(intensity, np.float32))


def segmentation_layout(result: Segmented) -> CloudLayout:
    """The message's own points, fields and order, with `label` uint8 and `score` float32 behind."""
    return append_layout(result.cloud.source, label=result.label, score=result.score)


def visualization_layout(result: Segmented, colours: NDArray[np.uint32]) -> CloudLayout:
    """x, y, z and packed `rgb` (float32 whose bits are 0x00RRGGBB, as RViz and PCL expect); colours: see `palette`."""
    cloud = result.cloud
    used = result.label if cloud.rows is None else result.label[cloud.rows]
    return point_cloud2_layout({"xyz": cloud.xyz, "rgb": colours[used].view(np.float32)})


def filtered_layout(result: Segmented, drop: NDArray[np.bool_]) -> CloudLayout:
    """x, y, z, intensity and label of the finite points whose class is not dropped.

    Args:
        drop: bool [256], True for labels to leave out. Points without a class stay: unknown is not free space.
    """
    cloud = result.cloud
    used = result.label if cloud.rows is None else result.label[cloud.rows]
    keep = cloud.finite & ~drop[used]
    return point_cloud2_layout({"xyz": cloud.xyz[keep], "intensity": cloud.intensity[keep], "label": used[keep]})
