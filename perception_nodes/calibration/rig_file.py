"""A vehicle's sensors in YAML: where each sits and, for cameras, what it sees with. For vehicles without TF.

    name: my_vehicle
    base_frame: base_link
    lidars:
      lidar:
        topic: /lidar/points
        base_from_lidar: {xyz: [0.94, 0.0, 1.84], rpy_deg: [0, 0, 0]}
        motion_compensated: false
    cameras:
      front:
        topic: /camera/front/image/compressed
        size: [1600, 900]
        intrinsics: {fx: 1266.4, fy: 1266.4, cx: 816.0, cy: 491.5}
        base_from_camera: {xyz: [1.70, 0.02, 1.51], facing_rpy_deg: [0, 0, 0]}

A pose is `xyz` (m) with one of `rpy_deg` (roll, pitch, yaw about the fixed axes), `quaternion_xyzw`, or
`facing_rpy_deg` (cameras: the angles of the view direction, x forward, turned into the optical frame here); or a
`matrix` of 4 x 4. There is no default pose: a sensor without one is an error. Unknown keys are refused by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from models.yaml_file import YamlError, read_yaml
from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.se3 import (
    BODY_FROM_OPTICAL,
    Matrix,
    from_euler,
    from_quaternion,
    is_rigid,
    to_quaternion,
)
from perception_nodes.calibration.tree import TransformTree
from perception_nodes.messages.camera_info import MODELS, CameraModel
from perception_nodes.messages.transforms import Transform

RIG_KEYS = ("name", "base_frame", "lidars", "cameras")
LIDAR_KEYS = ("frame", "topic", "base_from_lidar", "motion_compensated")
CAMERA_KEYS = ("frame", "topic", "base_from_camera", "size", "intrinsics", "distortion")
POSE_KEYS = ("xyz", "rpy_deg", "quaternion_xyzw", "facing_rpy_deg", "matrix")


@dataclass(frozen=True, eq=False)
class LidarMount:
    """A LiDAR: its frame, its topic and base_from_lidar float64 [4, 4]. motion_compensated: its driver corrects sweeps
    for the vehicle's motion, to their stamp."""

    name: str
    frame: str
    topic: str
    base_from_lidar: Matrix
    motion_compensated: bool = False


@dataclass(frozen=True, eq=False)
class CameraMount:
    """A camera: its topic, base_from_camera float64 [4, 4] (optical frame) and its intrinsics."""

    name: str
    topic: str
    base_from_camera: Matrix
    model: CameraModel

    @property
    def frame(self) -> str:
        return self.model.frame_id


@dataclass(frozen=True, eq=False)
class RigFile:
    """What a rig YAML says; `tree` is the same as TF."""

    name: str
    base_frame: str
    lidars: tuple[LidarMount, ...]
    cameras: tuple[CameraMount, ...]

    def transforms(self, stamp_ns: int = 0) -> list[Transform]:
        """base_frame <- sensor, for /tf_static."""
        mounts = [(m.frame, m.base_from_lidar) for m in self.lidars]
        mounts += [(m.frame, m.base_from_camera) for m in self.cameras]
        return [Transform(self.base_frame, frame, matrix, stamp_ns) for frame, matrix in mounts]

    def tree(self) -> TransformTree:
        return TransformTree(self.transforms())


def read_rig(path: str | Path) -> RigFile:
    """Read and check a rig YAML; raises CalibrationError naming file, sensor and key."""
    path = Path(path)
    try:
        content = read_yaml(path)
    except FileNotFoundError:
        raise CalibrationError(f"there is no rig at {path}; see config/rigs/ for one to start from") from None
    except OSError as err:
        raise CalibrationError(f"cannot read the rig {path}: {err}") from err
    except YamlError as err:
        raise CalibrationError(f"the rig {path}: {err}") from err
    try:
        return _rig(content, path)
    except CalibrationError as err:
        raise CalibrationError(f"the rig {path}: {err}") from None


def write_rig(rig: RigFile, path: str | Path) -> None:
    """Write a rig so that `read_rig` gives the same numbers; poses as xyz and quaternion."""
    lidars = {
        m.name: {
            "frame": m.frame,
            "topic": m.topic,
            "base_from_lidar": _pose_values(m.base_from_lidar),
            "motion_compensated": m.motion_compensated,
        }
        for m in rig.lidars
    }
    cameras: dict[str, Any] = {}
    for m in rig.cameras:
        k = m.model.k
        cameras[m.name] = {
            "frame": m.frame,
            "topic": m.topic,
            "size": [m.model.width, m.model.height],
            "intrinsics": {"fx": float(k[0, 0]), "fy": float(k[1, 1]), "cx": float(k[0, 2]), "cy": float(k[1, 2])},
            "base_from_camera": _pose_values(m.base_from_camera),
        }
        if m.model.distorted:
            cameras[m.name]["distortion"] = {"model": m.model.model, "coefficients": m.model.d.tolist()}
    content = {"name": rig.name, "base_frame": rig.base_frame, "lidars": lidars, "cameras": cameras}
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120)
    part = Path(f"{path}.partial")
    part.write_text(text, "utf-8")
    part.replace(path)


def _rig(content: Any, path: Path) -> RigFile:
    top = _table(content, "it", RIG_KEYS)
    base = _text(top.get("base_frame", "base_link"), "base_frame")
    lidars = tuple(_lidar(_name(n, "lidar"), row) for n, row in _table(top.get("lidars") or {}, "lidars").items())
    cameras = tuple(_camera(_name(n, "camera"), row) for n, row in _table(top.get("cameras") or {}, "cameras").items())
    if not lidars and not cameras:
        raise CalibrationError("it has neither lidars nor cameras")
    frames = [base, *(m.frame for m in lidars), *(m.frame for m in cameras)]
    for frame in frames:
        if frames.count(frame) > 1:
            raise CalibrationError(f"the frame {frame!r} is used twice")
    return RigFile(_text(top.get("name", path.stem), "name"), base, lidars, cameras)


def _lidar(name: str, row: Any) -> LidarMount:
    what = f"lidar {name!r}"
    row = _table(row, what, LIDAR_KEYS)
    frame = _text(row.get("frame", name), f"{what}: frame")
    topic = _text(row.get("topic", f"/{name}/points"), f"{what}: topic")
    compensated = row.get("motion_compensated", False)
    if not isinstance(compensated, bool):
        raise CalibrationError(f"{what}: motion_compensated is {compensated!r}; true or false was expected")
    return LidarMount(name, frame, topic, _pose(row, "base_from_lidar", what), compensated)


def _camera(name: str, row: Any) -> CameraMount:
    what = f"camera {name!r}"
    row = _table(row, what, CAMERA_KEYS)
    frame = _text(row.get("frame", f"camera_{name}"), f"{what}: frame")
    topic = _text(row.get("topic", f"/camera/{name}/image/compressed"), f"{what}: topic")
    pose = _pose(row, "base_from_camera", what)
    for key in ("size", "intrinsics"):
        if key not in row:
            raise CalibrationError(f"{what} has no {key}; add {key}: " + ("[width, height]" if key == "size" else "…"))
    width, height = _numbers(row["size"], 2, f"{what}: size")
    lens = _table(row["intrinsics"], f"{what}: intrinsics", ("fx", "fy", "cx", "cy"))
    if len(lens) < 4:
        raise CalibrationError(f"{what}: intrinsics need fx, fy, cx and cy, in pixels")
    fx, fy, cx, cy = _numbers([lens[key] for key in ("fx", "fy", "cx", "cy")], 4, f"{what}: intrinsics")
    if min(width, height) < 1 or width % 1 or height % 1 or min(fx, fy) <= 0:
        raise CalibrationError(f"{what}: size {width:g} x {height:g} with fx {fx:g}, fy {fy:g}; positive ones expected")
    model, d = _distortion(row.get("distortion"), what)
    k = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
    return CameraMount(name, topic, pose, CameraModel(int(width), int(height), k, d, model, frame))


def _distortion(row: Any, what: str) -> tuple[str, np.ndarray]:
    if row is None:
        return "plumb_bob", np.zeros(0)
    row = _table(row, f"{what}: distortion", ("model", "coefficients"))
    model = row.get("model", "plumb_bob")
    values = row.get("coefficients")
    counts = MODELS.get(model, ()) if isinstance(model, str) else ()
    if not isinstance(values, list) or len(values) not in counts:
        known = ", ".join(f"{name} ({', '.join(map(str, n))})" for name, n in MODELS.items() if name)
        raise CalibrationError(
            f"{what}: distortion model {_short(model)} with coefficients {_short(values)}; known are {known}"
        )
    return str(model), _numbers(values, len(values), f"{what}: distortion")


def _pose(row: dict, key: str, what: str) -> Matrix:
    if row.get(key) is None:
        raise CalibrationError(
            f"{what} has no extrinsics; add {key}: {{xyz: [x, y, z], rpy_deg: [roll, pitch, yaw]}} as measured on the"
            " vehicle (none is assumed)"
        )
    what = f"{what}: {key}"
    pose = _table(row[key], what, POSE_KEYS)
    if "matrix" in pose:
        rows = pose["matrix"]
        if len(pose) > 1 or not isinstance(rows, list) or len(rows) != 4:
            raise CalibrationError(f"{what}: a matrix stands alone and has 4 rows of 4 numbers")
        matrix = np.stack([_numbers(r, 4, f"{what}: matrix") for r in rows])
        if not is_rigid(matrix):
            raise CalibrationError(f"{what}: the matrix is not a rigid transform (rotation, metres, last row 0 0 0 1)")
        return matrix
    turns = [k for k in ("rpy_deg", "quaternion_xyzw", "facing_rpy_deg") if k in pose]
    if "xyz" not in pose or len(turns) != 1:
        raise CalibrationError(f"{what} needs xyz and one of rpy_deg, quaternion_xyzw, facing_rpy_deg")
    xyz = _numbers(pose["xyz"], 3, f"{what}: xyz")
    if turns == ["quaternion_xyzw"]:
        try:
            return from_quaternion(_numbers(pose["quaternion_xyzw"], 4, f"{what}: quaternion_xyzw"), xyz)
        except ValueError as err:
            raise CalibrationError(f"{what}: {err}") from err
    angles = np.radians(_numbers(pose[turns[0]], 3, f"{what}: {turns[0]}"))
    matrix = from_euler(float(angles[0]), float(angles[1]), float(angles[2]), xyz)
    return matrix @ BODY_FROM_OPTICAL if turns == ["facing_rpy_deg"] else matrix


def _pose_values(matrix: Matrix) -> dict:
    return {"xyz": matrix[:3, 3].tolist(), "quaternion_xyzw": to_quaternion(matrix).tolist()}


def _table(value: Any, what: str, keys: tuple[str, ...] | None = None) -> dict:
    if not isinstance(value, dict):
        raise CalibrationError(f"{what} is {_short(value)}; a table of keys and values was expected")
    unknown = [] if keys is None else [k for k in value if k not in keys]
    if unknown:
        raise CalibrationError(f"{what} has the unknown key {_short(unknown[0])}; known are {', '.join(keys or ())}")
    return value


def _name(value: Any, what: str) -> str:
    """A sensor's name: it becomes part of topics, frames and file names."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,63}", value):
        raise CalibrationError(
            f"the {what} name {str(value)[:80]!r} cannot be part of a topic: it must start with a letter and hold "
            "only letters, digits and _"
        )
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise CalibrationError(f"{what} is {_short(value)}; a text was expected")
    return value


def _numbers(value: Any, count: int, what: str) -> np.ndarray:
    good = isinstance(value, list) and len(value) == count
    good = good and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value)
    if not good or any(abs(v) > 1e300 for v in value) or not np.isfinite(np.array(value, np.float64)).all():
        raise CalibrationError(f"{what} is {_short(value)}; {count} finite numbers were expected")
    return np.array(value, np.float64)


def _short(value: Any) -> str:
    """A foreign value as it stands in a sentence."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
