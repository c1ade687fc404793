"""3-D boxes: `Detections3D` <-> vision_msgs/Detection3DArray.

Detection3D has no place for velocity, visibility and point counts; they travel beside it as JSON (`attributes_values`)
in boxes' order, with the same stamp in the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perception_nodes.calibration.se3 import Matrix, apply, from_euler, yaw_of
from perception_nodes.messages.clock import json_values, read_json
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import header_fields, read_header
from perception_nodes.messages.transforms import pose_values, read_pose, xyz_values


@dataclass(frozen=True, eq=False)
class Detections3D:
    """B upright boxes in `frame_id`.

    centre float64 [B, 3] m, geometric centre · size float64 [B, 3] length, width, height m · yaw float64 [B] rad,
    counter-clockwise from +x · velocity float64 [B, 2] m/s (NaN: unknown) · category: B class names · score float64
    [B] · track: B ids, "" where there is none · points int64 [B], -1 unknown · visibility float64 [B] 0..1, NaN
    unknown · attribute: B names of nuScenes' attributes (`vehicle.parked`, ...), "" where unknown.
    """

    centre: NDArray[np.float64]
    size: NDArray[np.float64]
    yaw: NDArray[np.float64]
    velocity: NDArray[np.float64]
    category: tuple[str, ...]
    score: NDArray[np.float64]
    track: tuple[str, ...]
    points: NDArray[np.int64]
    visibility: NDArray[np.float64]
    frame_id: str
    stamp_ns: int
    attribute: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.category)

    @staticmethod
    def build(
        frame_id: str,
        stamp_ns: int,
        centre: ArrayLike,
        size: ArrayLike,
        yaw: ArrayLike,
        category: Sequence[str],
        velocity: ArrayLike | None = None,
        score: ArrayLike | None = None,
        track: Sequence[object] | None = None,
        points: ArrayLike | None = None,
        visibility: ArrayLike | None = None,
        attribute: Sequence[str] | None = None,
    ) -> Detections3D:
        """From lists or arrays; what is not given is unknown (score: 1). Raises ValueError naming a wrong shape."""
        n = len(category)

        def column(name: str, value: ArrayLike | None, shape: tuple[int, ...], default: float, dtype: Any) -> NDArray:
            if value is None:
                return np.full((n, *shape), default, dtype)
            out: NDArray = np.asarray(value, dtype)
            if out.size == 0 and n == 0:
                return np.zeros((0, *shape), dtype)
            if out.shape != (n, *shape):
                raise ValueError(f"{name} has shape {out.shape}; {n} boxes need {(n, *shape)}")
            return out

        names = [""] * n if track is None else [str(t) for t in track]
        if len(names) != n:
            raise ValueError(f"{len(names)} tracks for {n} boxes")
        if attribute is not None and len(attribute) != n:
            raise ValueError(f"{len(attribute)} attributes for {n} boxes")
        return Detections3D(
            column("centre", centre, (3,), 0.0, np.float64),
            column("size", size, (3,), 0.0, np.float64),
            column("yaw", yaw, (), 0.0, np.float64),
            column("velocity", velocity, (2,), np.nan, np.float64),
            tuple(category),
            column("score", score, (), 1.0, np.float64),
            tuple(names),
            column("points", points, (), -1, np.int64),
            column("visibility", visibility, (), np.nan, np.float64),
            frame_id,
            stamp_ns,
            ("",) * n if attribute is None else tuple(attribute),
        )

    def renamed(self, category: Sequence[str]) -> Detections3D:
        """The same boxes under other class names."""
        return replace(self, category=tuple(category))

    def select(self, keep: NDArray[np.bool_]) -> Detections3D:
        """The boxes where `keep` bool [B] holds."""
        chosen = np.flatnonzero(keep)
        return Detections3D(
            self.centre[chosen],
            self.size[chosen],
            self.yaw[chosen],
            self.velocity[chosen],
            tuple(self.category[i] for i in chosen),
            self.score[chosen],
            tuple(self.track[i] for i in chosen),
            self.points[chosen],
            self.visibility[chosen],
            self.frame_id,
            self.stamp_ns,
            tuple(self.attribute[i] for i in chosen),
        )

    def moved(self, frame_id: str, frame_from_own: Matrix) -> Detections3D:
        """The same boxes in another frame. They stay upright: of the rotation, only the turn about z reaches yaw and
        velocity."""
        turn = yaw_of(frame_from_own)
        yaw = self.yaw + turn
        c, s = np.cos(turn), np.sin(turn)
        return replace(
            self,
            centre=apply(frame_from_own, self.centre),
            yaw=np.arctan2(np.sin(yaw), np.cos(yaw)),
            velocity=self.velocity @ np.array([[c, s], [-s, c]]),
            frame_id=frame_id,
        )

    def pose(self, i: int) -> Matrix:
        """frame_from_box of box i, float64 [4, 4]; the box's x axis is its heading."""
        return from_euler(0.0, 0.0, float(self.yaw[i]), self.centre[i])

    def corners(self) -> NDArray[np.float64]:
        """[B, 8, 3]: bottom rectangle (front left, front right, rear right, rear left), then the top one."""
        signs = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)], np.float64)
        flat = np.concatenate([np.c_[signs, -np.ones(4)], np.c_[signs, np.ones(4)]])  # [8, 3]
        local = flat[None] * self.size[:, None] / 2  # [B, 8, 3]
        c, s = np.cos(self.yaw)[:, None], np.sin(self.yaw)[:, None]
        turned = np.stack([local[..., 0] * c - local[..., 1] * s, local[..., 0] * s + local[..., 1] * c], -1)
        return np.concatenate([turned, local[..., 2:]], -1) + self.centre[:, None]


def detections3d_values(boxes: Detections3D) -> dict:
    """vision_msgs/Detection3DArray as plain values; class_id is the class name, id the track."""
    header = header_fields(boxes.frame_id, boxes.stamp_ns)
    detections = []
    for i in range(len(boxes)):
        pose = pose_values(boxes.pose(i))
        hypothesis = {"class_id": boxes.category[i], "score": float(boxes.score[i])}
        detections.append(
            {
                "header": header,
                "results": [{"hypothesis": hypothesis, "pose": {"pose": pose}}],
                "bbox": {"center": pose, "size": xyz_values(boxes.size[i])},
                "id": boxes.track[i],
            }
        )
    return {"header": header, "detections": detections}


def attributes_values(boxes: Detections3D, more: Mapping[str, Any] = MappingProxyType({})) -> dict:
    """std_msgs/String with JSON: velocity, points and visibility of the boxes, null where unknown; nuScenes' attributes
    where there are any; `more`: keys beside them."""

    def known(values: NDArray) -> list:
        return [None if not np.isfinite(v).all() else np.round(v, 4).tolist() for v in values]

    points = [None if p < 0 else int(p) for p in boxes.points]
    content = {
        **more,
        "stamp_ns": boxes.stamp_ns,
        "velocity": known(boxes.velocity),
        "visibility": known(boxes.visibility),
        "points": points,
    }
    if any(boxes.attribute):
        content["attribute"] = list(boxes.attribute)
    return json_values(content)


def read_detections3d(msg: Any, attributes: Any = None) -> Detections3D:
    """Detection3DArray (and the String of its attributes) -> boxes; the best hypothesis counts. Raises MessageError."""
    frame_id, stamp_ns = read_header(msg)
    rows = getattr(msg, "detections", None)
    if not isinstance(rows, (list, tuple)):
        raise MessageError(f"{type(msg).__name__} is not a Detection3DArray")
    centre, size, yaw, category, score, track = [], [], [], [], [], []
    for i, row in enumerate(rows):
        try:
            best = max(row.results, key=lambda r: r.hypothesis.score)
            pose = read_pose(row.bbox.center, f"detection {i}")
            size.append((float(row.bbox.size.x), float(row.bbox.size.y), float(row.bbox.size.z)))
            category.append(str(best.hypothesis.class_id))
            score.append(float(best.hypothesis.score))
        except MessageError:
            raise
        except (AttributeError, TypeError, ValueError) as err:
            raise MessageError(f"detection {i}: {err}") from err
        centre.append(pose[:3, 3])
        yaw.append(yaw_of(pose))
        track.append(str(getattr(row, "id", "")))
    extra = _read_attributes(attributes, len(rows), stamp_ns)
    try:
        return Detections3D.build(frame_id, stamp_ns, centre, size, yaw, category, score=score, track=track, **extra)
    except ValueError as err:
        raise MessageError(f"the boxes' attributes do not fit: {err}") from err


def _read_attributes(msg: Any, count: int, stamp_ns: int) -> dict:
    if msg is None:
        return {}
    content = read_json(msg)
    if not isinstance(content, dict) or content.get("stamp_ns") != stamp_ns:
        raise MessageError(f"the boxes' attributes are not of the boxes' stamp {stamp_ns}")
    unknown = {"velocity": [np.nan, np.nan], "visibility": np.nan, "points": -1}
    out: dict[str, list] = {}
    for key, default in unknown.items():
        values = content.get(key)
        if not isinstance(values, list) or len(values) != count:
            raise MessageError(f"the boxes' attribute {key!r} should be a list of {count} values")
        out[key] = [default if v is None else v for v in values]
    names = content.get("attribute", [""] * count)
    if not isinstance(names, list) or len(names) != count or not all(isinstance(n, str) for n in names):
        raise MessageError(f"the boxes' attribute 'attribute' should be a list of {count} texts")
    try:
        numbers = {k: np.asarray(v, np.int64 if k == "points" else np.float64) for k, v in out.items()}
    except (TypeError, ValueError, OverflowError) as err:
        raise MessageError(f"the boxes' attributes are no numbers: {err}") from err
    return {**numbers, "attribute": names}
