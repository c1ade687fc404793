"""sensor_msgs/Image and CompressedImage <-> `CameraImage` (RGB) by a table of encodings; others are refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_nodes.messages.cloud_fields import as_bytes
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import as_int, header_fields, read_header
from perception_nodes.messages.image_size import MAX_PIXELS, has_exif, picture_size

try:  # libjpeg-turbo with its warnings as errors, in 0.4 of OpenCV's time
    import simplejpeg as _simplejpeg
except ImportError:  # not on every ROS install
    _simplejpeg = None
simplejpeg: Any = _simplejpeg


@dataclass(frozen=True, eq=False)
class CameraImage:
    """A picture: rgb uint8 [H, W, 3] in `frame_id` (the camera's optical frame)."""

    rgb: NDArray[np.uint8]
    frame_id: str
    stamp_ns: int
    encoding: str

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.rgb.shape[1], self.rgb.shape[0]


@dataclass(frozen=True)
class Encoding:
    """One row of the table: numpy type, channels, OpenCV's conversion code to RGB (None: it is RGB)."""

    dtype: str
    channels: int
    to_rgb: int | None


# ROS names a Bayer pattern by its first row, OpenCV's short names by the second: rggb is "BG".
ENCODINGS: dict[str, Encoding] = {
    "rgb8": Encoding("u1", 3, None),
    "bgr8": Encoding("u1", 3, cv2.COLOR_BGR2RGB),
    "8uc3": Encoding("u1", 3, cv2.COLOR_BGR2RGB),
    "rgba8": Encoding("u1", 4, cv2.COLOR_RGBA2RGB),
    "bgra8": Encoding("u1", 4, cv2.COLOR_BGRA2RGB),
    "8uc4": Encoding("u1", 4, cv2.COLOR_BGRA2RGB),
    "rgb16": Encoding("u2", 3, None),
    "bgr16": Encoding("u2", 3, cv2.COLOR_BGR2RGB),
    "rgba16": Encoding("u2", 4, cv2.COLOR_RGBA2RGB),
    "bgra16": Encoding("u2", 4, cv2.COLOR_BGRA2RGB),
    "mono8": Encoding("u1", 1, cv2.COLOR_GRAY2RGB),
    "8uc1": Encoding("u1", 1, cv2.COLOR_GRAY2RGB),
    "mono16": Encoding("u2", 1, cv2.COLOR_GRAY2RGB),
    "16uc1": Encoding("u2", 1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb8": Encoding("u1", 1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": Encoding("u1", 1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": Encoding("u1", 1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": Encoding("u1", 1, cv2.COLOR_BayerGB2RGB),
    "bayer_rggb16": Encoding("u2", 1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr16": Encoding("u2", 1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg16": Encoding("u2", 1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg16": Encoding("u2", 1, cv2.COLOR_BayerGB2RGB),
    "yuv422": Encoding("u1", 2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": Encoding("u1", 2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": Encoding("u1", 2, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": Encoding("u1", 2, cv2.COLOR_YUV2RGB_YUY2),
}
RAW_DTYPES = {"8uc": "u1", "8sc": "i1", "16uc": "u2", "16sc": "i2", "32sc": "i4", "32fc": "f4", "64fc": "f8"}


def decode_image(msg: Any, least_width: int = 0) -> CameraImage:
    """Image or CompressedImage -> RGB; 16-bit values are reduced to 8 bits. Raises MessageError.

    least_width: see `decode_picture`.
    """
    if not hasattr(msg, "encoding"):
        return _decode_compressed(msg, least_width)
    frame_id, stamp_ns = read_header(msg)
    name, entry = _encoding(msg)
    pixels = _pixels(msg, np.dtype(entry.dtype), entry.channels)
    if entry.dtype == "u2":
        pixels = (pixels >> 8).astype(np.uint8)
    try:
        rgb = pixels if entry.to_rgb is None else cv2.cvtColor(np.ascontiguousarray(pixels), entry.to_rgb)
    except cv2.error as err:
        raise MessageError(f"an image of {pixels.shape[1]} x {pixels.shape[0]} pixels is not a valid {name!r}") from err
    return CameraImage(np.ascontiguousarray(rgb, np.uint8), frame_id, stamp_ns, name)


def image_array(msg: Any) -> NDArray:
    """An Image's own values, unconverted, [H, W] or [H, W, C]: depth (32FC1, 16UC1) and other measured quantities."""
    name = str(getattr(msg, "encoding", "")).lower()
    for prefix, code in RAW_DTYPES.items():
        if name.startswith(prefix) and name[len(prefix) :].isdigit() and 1 <= int(name[len(prefix) :]) <= 4:
            return _pixels(msg, np.dtype(code), int(name[len(prefix) :]))
    name, entry = _encoding(msg)
    return _pixels(msg, np.dtype(entry.dtype), entry.channels)


def encode_jpeg(rgb: NDArray[np.uint8], quality: int = 90) -> bytes:
    """JPEG file of RGB uint8 [H, W, 3]."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"an array of {rgb.shape} {rgb.dtype} cannot be written as JPEG")
    return data.tobytes()


def compressed_image_values(jpeg: bytes, frame_id: str, stamp_ns: int, kind: str = "jpeg") -> dict:
    """sensor_msgs/CompressedImage as plain values."""
    return {"header": header_fields(frame_id, stamp_ns), "format": kind, "data": np.frombuffer(jpeg, np.uint8)}


def image_values(rgb: NDArray[np.uint8], frame_id: str, stamp_ns: int) -> dict:
    """sensor_msgs/Image (rgb8) as plain values."""
    height, width, _ = rgb.shape
    return {
        "header": header_fields(frame_id, stamp_ns),
        "height": height,
        "width": width,
        "encoding": "rgb8",
        "is_bigendian": 0,
        "step": width * 3,
        "data": np.ascontiguousarray(rgb).reshape(-1),
    }


def decode_picture(data: bytes, least_width: int = 0) -> NDArray[np.uint8]:
    """RGB uint8 [H, W, 3] of a JPEG or PNG file's bytes.

    Args:
        least_width: px; of a JPEG at least twice as wide, libjpeg computes a smaller picture (a whole number of
            eighths of each side) that is not narrower, in less time; 0: the whole one. Needs simplejpeg.

    Raises:
        MessageError: the picture is truncated, corrupt or too large. A JPEG that was cut and closed with an end marker
            is refused where simplejpeg is installed; OpenCV alone accepts it.
    """
    width, height = picture_size(data)
    if data[:2] == b"\xff\xd8" and simplejpeg is not None:
        rgb = _decode_jpeg(data, width, height, least_width)
        if rgb is not None:
            return rgb
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None or bgr.dtype != np.uint8:
        raise MessageError(f"a picture of {len(data)} bytes, {width} x {height}, is corrupt")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def _decode_jpeg(data: bytes, width: int, height: int, least_width: int) -> NDArray[np.uint8] | None:
    """RGB of a whole JPEG; None for a sound one that OpenCV has to read (CMYK, pictures to be turned by Exif)."""
    try:
        if simplejpeg.decode_jpeg_header(data)[2] in ("CMYK", "YCCK"):
            return None
        smaller = 0 < 2 * least_width <= width
        least = {"min_width": least_width, "min_height": -(-height * least_width // width)} if smaller else {}
        rgb = simplejpeg.decode_jpeg(data, "RGB", **least)
    except ValueError as err:
        reason = " ".join(str(err).split())
        raise MessageError(f"a JPEG of {len(data)} bytes, {width} x {height}, is corrupt: {reason}") from None
    return None if has_exif(data) else rgb


def _decode_compressed(msg: Any, least_width: int) -> CameraImage:
    frame_id, stamp_ns = read_header(msg)
    kind = getattr(msg, "format", None)
    if not isinstance(kind, str):
        raise MessageError(f"{type(msg).__name__} is neither an Image nor a CompressedImage")
    if "compressedDepth" in kind:
        raise MessageError(f"the format {kind!r} holds depth, not a picture; jpeg or png was expected")
    data = as_bytes(getattr(msg, "data", None), "data").tobytes()
    return CameraImage(decode_picture(data, least_width), frame_id, stamp_ns, kind)


def _encoding(msg: Any) -> tuple[str, Encoding]:
    name = getattr(msg, "encoding", None)
    if not isinstance(name, str) or name.lower() not in ENCODINGS:
        raise MessageError(f"the encoding {name!r} is not supported; known are {', '.join(ENCODINGS)}")
    return name.lower(), ENCODINGS[name.lower()]


def _pixels(msg: Any, dtype: np.dtype, channels: int) -> NDArray:
    """[H, W] or [H, W, C] view of the message's bytes after checking sizes; values in this machine's byte order."""
    height, width = as_int(getattr(msg, "height", None), "height"), as_int(getattr(msg, "width", None), "width")
    step = as_int(getattr(msg, "step", None), "step")
    big = as_int(int(getattr(msg, "is_bigendian", 0) in (1, True)), "is_bigendian")
    data = as_bytes(getattr(msg, "data", None), "data")
    if not 0 < height * width <= MAX_PIXELS:
        raise MessageError(f"an image of {width} x {height} pixels; expected 1 to {MAX_PIXELS} pixels")
    row = width * channels * dtype.itemsize
    if step < row:
        raise MessageError(f"step is {step}; {width} pixels of {channels * dtype.itemsize} bytes need {row}")
    if len(data) != step * height:
        raise MessageError(f"data holds {len(data)} bytes; step {step} x height {height} = {step * height}")
    order = dtype.newbyteorder(">" if big else "<")
    shape = (height, width, channels) if channels > 1 else (height, width)
    strides = (step, channels * dtype.itemsize, dtype.itemsize)[: len(shape)]
    return np.ndarray(shape, order, data, 0, strides).astype(dtype.newbyteorder("="), copy=False)
