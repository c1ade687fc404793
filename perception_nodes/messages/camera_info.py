"""sensor_msgs/CameraInfo -> `CameraModel`: validated, rescaled to the picture at hand, distortion undone or refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import as_int, header_fields, read_header

# distortion model -> how many coefficients it may have
MODELS = {"": (0,), "plumb_bob": (0, 4, 5), "rational_polynomial": (0, 8, 12, 14), "equidistant": (0, 4)}
ASPECT_TOLERANCE = 0.02  # a picture resized with rounding may differ by this much in its aspect


@dataclass(frozen=True, eq=False)
class CameraModel:
    """A pinhole camera: width, height px · k float64 [3, 3] · d float64 [D] of `model` · frame_id optical frame."""

    width: int
    height: int
    k: NDArray[np.float64]
    d: NDArray[np.float64]
    model: str
    frame_id: str
    stamp_ns: int = 0

    @property
    def distorted(self) -> bool:
        """True where straight lines are not straight in the picture."""
        return bool(np.any(self.d))

    def for_picture(self, width: int, height: int) -> CameraModel:
        """The model rescaled to a picture of another size; raises MessageError where the aspect differs (a crop).

        Pixel (0, 0) is centred on 0, so the principal point moves as (c + 0.5) s - 0.5.
        """
        if (width, height) == (self.width, self.height):
            return self
        sx, sy = width / self.width, height / self.height
        if abs(sx / sy - 1.0) > ASPECT_TOLERANCE:
            raise MessageError(
                f"camera_info of {self.frame_id!r} is for {self.width} x {self.height}, the picture"
                f" is {width} x {height}:"
                " another aspect, so it was cropped, and camera_info must say how"
            )
        k = self.k.copy()
        k[0] *= sx
        k[1] *= sy
        k[0, 2] = (self.k[0, 2] + 0.5) * sx - 0.5
        k[1, 2] = (self.k[1, 2] + 0.5) * sy - 0.5
        return replace(self, width=width, height=height, k=k)

    def undistort(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The picture [H, W, 3] as a camera of the same `k` without distortion would see it."""
        if not self.distorted:
            return rgb
        import cv2

        maps = self.undistortion_maps()
        return cv2.remap(rgb, maps[0], maps[1], cv2.INTER_LINEAR)  # type: ignore[return-value]

    def undistortion_maps(self) -> tuple[NDArray, NDArray]:
        """The tables that `undistort` looks pixels up in (of cv2.remap): costly, the same while the model stays."""
        import cv2

        size = (self.width, self.height)
        if self.model == "equidistant":
            found = cv2.fisheye.initUndistortRectifyMap(self.k, self.d, np.eye(3), self.k, size, cv2.CV_16SC2)
        else:
            found = cv2.initUndistortRectifyMap(self.k, self.d, np.eye(3), self.k, size, cv2.CV_16SC2)
        return np.asarray(found[0]), np.asarray(found[1])

    def project(self, points: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Points [N, 3] in the optical frame -> pixels float64 [N, 2] and depths [N] (m; not ahead: <= 0, pixel NaN).

        Without distortion: meant for rectified pictures.
        """
        p = np.asarray(points, np.float64)
        depth = p[:, 2]
        uv = p @ self.k.T
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = uv[:, :2] / np.where(depth > 0, depth, np.nan)[:, None]
        return pixels, depth


def read_camera_info(msg: Any, rectified: bool = False) -> CameraModel:
    """Validated CameraInfo; raises MessageError (uncalibrated: zero K; wrong counts; unknown distortion).

    `rectified`: the pictures are already rectified (topic image_rect), so P's left 3 x 3 counts and D does not.
    """
    frame_id, stamp_ns = read_header(msg)
    width, height = as_int(getattr(msg, "width", None), "width"), as_int(getattr(msg, "height", None), "height")
    if width == 0 or height == 0:
        raise MessageError(f"camera_info of {frame_id!r} says {width} x {height} pixels: it is not filled in")
    k = _numbers(msg, "k", 9).reshape(3, 3)
    d = _numbers(msg, "d", None)
    model = str(getattr(msg, "distortion_model", ""))
    if rectified:
        k, d = _numbers(msg, "p", 12).reshape(3, 4)[:, :3].copy(), np.zeros(0)
    if k[0, 0] <= 0 or k[1, 1] <= 0 or not np.allclose(k[2], (0, 0, 1)):
        which = "P" if rectified else "K"
        raise MessageError(f"camera_info of {frame_id!r} is uncalibrated: {which} has fx {k[0, 0]:g}, fy {k[1, 1]:g}")
    if np.any(d) and (model not in MODELS or len(d) not in MODELS[model]):
        raise MessageError(
            f"camera_info of {frame_id!r} has {len(d)} coefficients of distortion model {model!r}; known are "
            + ", ".join(f"{name} ({', '.join(map(str, n))})" for name, n in MODELS.items() if name)
        )
    k, width, height = _window(msg, k, width, height)
    return CameraModel(width, height, k, d, model, frame_id, stamp_ns)


def camera_info_values(camera: CameraModel) -> dict:
    """sensor_msgs/CameraInfo as plain values: R identity, P = [K | 0]."""
    p = np.zeros((3, 4))
    p[:, :3] = camera.k
    return {
        "header": header_fields(camera.frame_id, camera.stamp_ns),
        "height": camera.height,
        "width": camera.width,
        "distortion_model": camera.model or "plumb_bob",
        "d": camera.d if len(camera.d) else np.zeros(5),
        "k": camera.k.reshape(-1),
        "r": np.eye(3).reshape(-1),
        "p": p.reshape(-1),
    }


def _numbers(msg: Any, name: str, count: int | None) -> NDArray[np.float64]:
    try:
        values = np.array(getattr(msg, name, None), np.float64).reshape(-1)
    except (TypeError, ValueError) as err:
        raise MessageError(f"camera_info's {name} is not a list of numbers") from err
    if (count is not None and len(values) != count) or len(values) > 64 or not np.isfinite(values).all():
        raise MessageError(f"camera_info's {name} should be {count or 'some'} finite numbers; it holds {len(values)}")
    return values


def _window(msg: Any, k: NDArray[np.float64], width: int, height: int) -> tuple[NDArray[np.float64], int, int]:
    """Region of interest and binning, which K does not contain (see the comments of sensor_msgs/CameraInfo)."""
    roi = getattr(msg, "roi", None)
    left, top = as_int(getattr(roi, "x_offset", 0), "roi.x_offset"), as_int(getattr(roi, "y_offset", 0), "roi.y_offset")
    w = as_int(getattr(roi, "width", 0), "roi.width") or width - left
    h = as_int(getattr(roi, "height", 0), "roi.height") or height - top
    bx = max(as_int(getattr(msg, "binning_x", 0), "binning_x", 0, 64), 1)
    by = max(as_int(getattr(msg, "binning_y", 0), "binning_y", 0, 64), 1)
    if left + w > width or top + h > height or w < bx or h < by:
        raise MessageError(f"camera_info's region {w} x {h} at ({left}, {top}) is not within {width} x {height}")
    if (left, top, w, h, bx, by) == (0, 0, width, height, 1, 1):
        return k, width, height
    out = k.copy()
    out[0, 2] -= left
    out[1, 2] -= top
    out[0] /= bx
    out[1] /= by
    return out, w // bx, h // by
