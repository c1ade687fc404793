"""Where every sensor sits and what every camera sees with, from whatever gives it: /tf_static, /tf, CameraInfo, a rig.

One object, without ROS, for live nodes, offline runs and converters. A missing transform or camera is an error that
names it and says how to provide it; the identity is never assumed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import numpy as np

from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.rig_file import RigFile
from perception_nodes.calibration.se3 import Matrix
from perception_nodes.calibration.tree import TransformTree
from perception_nodes.messages.calibration_cdr import read_serialized_camera_info, read_serialized_transforms
from perception_nodes.messages.camera_info import CameraModel, read_camera_info
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.transforms import Transform, read_transforms

MAX_CAMERAS = 64
TF_STATIC, TF, INFO = "tf_static", "tf", "/camera_info"


def feeds_of(cameras: Iterable[str]) -> tuple[str, ...]:
    """Names of what can feed a source: TF_STATIC, TF, and a CameraInfo for each camera."""
    return (TF_STATIC, TF, *(f"{camera}{INFO}" for camera in cameras))


class CalibrationSource:
    """Transforms between frames and models of cameras. Thread-safe.

    Topics never replace the values of a rig YAML, because the user gave them on purpose.

    Args:
        rig: read with `read_rig`, or None.
    """

    def __init__(self, rig: RigFile | None = None) -> None:
        self._lock = threading.Lock()
        self._tree = TransformTree()
        self._cameras: dict[str, CameraModel] = {}
        self._refused: dict[str, str] = {}  # camera -> why its last CameraInfo cannot be used
        self._camera_changes = 0
        self._of_rig: frozenset[str] = frozenset()
        self._rig_cameras: frozenset[str] = frozenset()
        self._rig_lidars: frozenset[str] = frozenset()
        if rig is not None:
            self._read_rig(rig)

    # --- what comes -----------------------------------------------------------------------------------------------

    def add_tf_static(self, message: Any) -> None:
        """A TFMessage of /tf_static (a decoded message, or its serialised bytes).

        Raises:
            MessageError: it cannot be read; nothing has changed.
            CalibrationError: one of its transforms is refused; the others are taken.
        """
        self._add(message, moving=False)

    def add_tf(self, message: Any) -> None:
        """A TFMessage of /tf; see `add_tf_static`."""
        self._add(message, moving=True)

    def add_camera_info(self, camera: str, message: Any, rectified: bool = False) -> None:
        """A CameraInfo (a decoded message, or its serialised bytes).

        Args:
            camera: the name under which `camera` will be asked for.
            rectified: the camera's pictures are rectified already (topic image_rect): P counts, and D does not.

        Raises:
            MessageError: it cannot be used. The camera then has no model: a wrong one is not used.
        """
        raw = isinstance(message, (bytes, bytearray, memoryview))
        try:
            read = read_serialized_camera_info if raw else read_camera_info
            model = read(bytes(message) if raw else message, rectified)
        except MessageError as error:
            with self._lock:
                if camera not in self._rig_cameras:
                    self._camera_changes += self._cameras.pop(camera, None) is not None
                    if camera in self._refused or len(self._refused) < MAX_CAMERAS:
                        self._refused[camera] = str(error)
            raise
        with self._lock:
            if camera in self._rig_cameras:
                return
            old = self._cameras.get(camera)
            if old is None and len(self._cameras) >= MAX_CAMERAS:
                raise MessageError(f"camera_info of {camera!r}: there are {MAX_CAMERAS} cameras already")
            self._refused.pop(camera, None)
            self._cameras[camera] = model
            self._camera_changes += old is None or not _equal(old, model)

    def take(self, feed: str, raw: bytes, rectified: bool = False) -> None:
        """A serialised message of a feed: TF_STATIC, TF, or "<camera>/camera_info" (see `feeds_of`).

        Raises: see `add_tf_static` and `add_camera_info`.
        """
        if feed == TF_STATIC:
            self.add_tf_static(raw)
        elif feed == TF:
            self.add_tf(raw)
        else:
            self.add_camera_info(feed.removesuffix(INFO), raw, rectified)

    def time_jumped(self) -> None:
        """Time went back (a bag looped): forgets /tf; /tf_static, CameraInfo and the rig stay."""
        with self._lock:
            self._tree.time_jumped()

    # --- answers --------------------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """Increases only when a fixed transform, a camera's model or the structure of the tree changes.

        Results computed from `lookup` and `camera` are valid until it changes, except where `is_moving` is true.
        """
        with self._lock:
            return self._tree.changes + self._camera_changes

    def lookup(self, target: str, source: str, stamp_ns: int | None = None) -> Matrix:
        """target_from_source float64 [4, 4]: takes points in the source frame to points in the target frame.

        Args:
            stamp_ns: the time for links of /tf, which are interpolated; None: the newest.

        Raises:
            CalibrationError: names the frame or link that is missing, or the time that is not covered.
        """
        with self._lock:
            return self._tree.lookup(_frame(target), _frame(source), stamp_ns)

    def frames_below(self, frame: str) -> list[str]:
        """All frames that hang below one, sorted; [] for an unknown frame."""
        with self._lock:
            return self._tree.below(_frame(frame))

    @property
    def lidar_frames(self) -> frozenset[str]:
        """The frames of the rig's LiDARs."""
        return self._rig_lidars

    def is_moving(self, target: str, source: str) -> bool:
        """True where the lookup depends on the stamp. Raises: see `lookup`."""
        with self._lock:
            return self._tree.is_moving(_frame(target), _frame(source))

    def camera(self, name: str, image_size: tuple[int, int], frame_id: str = "") -> CameraModel:
        """The camera's model, rescaled to its picture.

        Args:
            image_size: (width, height) of the picture, px.
            frame_id: the picture's own frame, used where the CameraInfo names none.

        Raises:
            CalibrationError: there is no model, it was refused, it is for a picture of another aspect, or it has no
                frame.
        """
        with self._lock:
            model, refused = self._cameras.get(name), self._refused.get(name)
        if model is None:
            if refused is not None:
                raise CalibrationError(f"camera {name!r} has no calibration: {refused}")
            raise CalibrationError(
                f"camera {name!r} has no calibration: no CameraInfo has come; publish it beside the camera's images, or"
                f" give a rig YAML with cameras.{name} (size, intrinsics, base_from_camera)"
            )
        try:
            model = model.for_picture(*image_size)
        except MessageError as error:
            raise CalibrationError(f"camera {name!r}: {error}") from None
        frame = _frame(model.frame_id or frame_id)
        if not frame:
            raise CalibrationError(
                f"camera {name!r} has no frame: neither its CameraInfo nor its images have a header.frame_id"
            )
        return model if frame == model.frame_id else _with_frame(model, frame)

    def cameras(self) -> dict[str, CameraModel]:
        """The models that there are, by camera, for pictures of their own size."""
        with self._lock:
            return dict(self._cameras)

    def missing(self, target: str, sources: Iterable[str] = (), cameras: Iterable[str] = ()) -> dict[str, str]:
        """Frame or camera -> what it lacks, of those asked for; for diagnostics."""
        found = {}
        for source in sources:
            try:
                self.lookup(target, source)
            except CalibrationError as error:
                found[source] = str(error)
        for name in cameras:
            with self._lock:
                model = self._cameras.get(name)
            try:
                model = self.camera(name, (model.width, model.height) if model else (1, 1), target)
                self.lookup(target, model.frame_id)
            except CalibrationError as error:
                found[name] = str(error)
        return found

    # --- inside ---------------------------------------------------------------------------------------------------

    def _read_rig(self, rig: RigFile) -> None:
        for transform in rig.transforms():
            self._tree.add(transform)
        for mount in rig.cameras:
            self._cameras[mount.name] = mount.model
        self._of_rig = frozenset(transform.child for transform in rig.transforms())
        self._rig_cameras = frozenset(self._cameras)
        self._rig_lidars = frozenset(mount.frame for mount in rig.lidars)
        self._camera_changes += 1

    def _add(self, message: Any, moving: bool) -> None:
        problems: list[CalibrationError] = []
        transforms = _transforms(message)
        with self._lock:
            for transform in transforms:
                if transform.child in self._of_rig:
                    continue
                try:
                    self._tree.add(transform, moving)
                except CalibrationError as error:
                    problems.append(error)
        if problems:
            raise problems[0]


def _transforms(message: Any) -> list[Transform]:
    if isinstance(message, (bytes, bytearray, memoryview)):
        return read_serialized_transforms(bytes(message))
    return read_transforms(message)


def _frame(name: str) -> str:
    """Frames of tf 1 begin with a slash."""
    return name.lstrip("/")


def _with_frame(model: CameraModel, frame_id: str) -> CameraModel:
    return CameraModel(model.width, model.height, model.k, model.d, model.model, frame_id, model.stamp_ns)


def _equal(a: CameraModel, b: CameraModel) -> bool:
    """True where two models say the same; their stamps do not count."""
    same = (a.width, a.height, a.model, a.frame_id) == (b.width, b.height, b.model, b.frame_id)
    return same and np.array_equal(a.k, b.k) and np.array_equal(a.d, b.d)
