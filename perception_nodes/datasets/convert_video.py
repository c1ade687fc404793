"""Video files and folders of pictures -> bags of one camera. A conversion that fails leaves nothing behind."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.datasets.convert import JPEG_QUALITY, START_NS, Converted
from perception_nodes.datasets.errors import DatasetError, listing
from perception_nodes.datasets.progress import progress
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.image import compressed_image_values, decode_picture, encode_jpeg
from perception_nodes.messages.image import image_values as rgb_values

ENCODINGS = ("jpeg", "png", "rgb8", "bgr8", "mono8")
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".tif", ".tiff", ".webp")
VIDEO_HINT = "a video file that OpenCV reads (mp4, avi, mkv, mov, webm, …)"


@dataclass(frozen=True)
class PictureOut:
    """How pictures are written.

    camera: its name in topic and frame · encoding: one of ENCODINGS · topic: "" for /camera/<camera>/image/compressed
    (jpeg, png) or /camera/<camera>/image · width: wider pictures are reduced to it, px (None: as they are) · quality of
    JPEG, 1 to 100.
    """

    camera: str = "front"
    encoding: str = "jpeg"
    topic: str = ""
    width: int | None = None
    quality: int = JPEG_QUALITY

    def __post_init__(self) -> None:
        if self.encoding not in ENCODINGS:
            raise DatasetError(f"unknown encoding {self.encoding!r}; choose one of {', '.join(ENCODINGS)}")
        if not re.fullmatch(r"[A-Za-z]\w*", self.camera):
            raise DatasetError(f"a camera named {self.camera!r} cannot be part of a topic: letters, digits and _ only")
        if self.width is not None and self.width < 8:
            raise DatasetError(f"a width of {self.width} px; expected at least 8")

    @property
    def compressed(self) -> bool:
        """True for CompressedImage."""
        return self.encoding in ("jpeg", "png")

    @property
    def topic_name(self) -> str:
        """Where the pictures go."""
        return self.topic or f"/camera/{self.camera}/image" + ("/compressed" if self.compressed else "")

    def write(self, bag: BagWriter, rgb: NDArray[np.uint8], stamp_ns: int, jpeg: bytes | None = None) -> None:
        """One picture; `jpeg`: its file, kept as it is where nothing has to be changed."""
        frame = f"camera_{self.camera}"
        small = _reduced(rgb, self.width)
        if self.compressed:
            data = jpeg if jpeg is not None and self.encoding == "jpeg" and small is rgb else self._encoded(small)
            values = compressed_image_values(data, frame, stamp_ns, self.encoding)
            bag.write(self.topic_name, make("sensor_msgs/msg/CompressedImage", **values), stamp_ns)
        else:
            values = self._raw(small, frame, stamp_ns)
            bag.write(self.topic_name, make("sensor_msgs/msg/Image", **values), stamp_ns)

    def _encoded(self, rgb: NDArray[np.uint8]) -> bytes:
        if self.encoding == "jpeg":
            return encode_jpeg(rgb, self.quality)
        import cv2

        return bytes(cv2.imencode(".png", np.ascontiguousarray(rgb[..., ::-1]))[1])

    def _raw(self, rgb: NDArray[np.uint8], frame: str, stamp_ns: int) -> dict[str, Any]:
        values = rgb_values(rgb, frame, stamp_ns)
        if self.encoding == "bgr8":
            values |= {"encoding": "bgr8", "data": np.ascontiguousarray(rgb[..., ::-1]).reshape(-1)}
        elif self.encoding == "mono8":
            import cv2

            grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
            values |= {"encoding": "mono8", "step": rgb.shape[1], "data": grey.reshape(-1)}
        return values


def convert_video(
    src: str | Path,
    out: str | Path,
    pictures: PictureOut | None = None,
    fps: float | None = None,
    storage: str = "mcap",
    overwrite: bool = False,
) -> Converted:
    """A video file -> a bag of one camera, stamped with the file's own times from a fixed beginning.

    fps: frames are left out to come down to so many a second (None: all are kept). Raises DatasetError (no file, no
    video, nothing in it) or BagError, one sentence each.
    """
    target = pictures or PictureOut()
    if fps is not None and not 0 < fps <= 1000:
        raise DatasetError(f"{fps:g} frames a second; expected more than 0 and at most 1000")
    path = Path(src)
    video = _open(path)
    try:
        total = max(0, int(video.get(7)))  # CAP_PROP_FRAME_COUNT
        own_fps = float(video.get(5)) or 25.0  # CAP_PROP_FPS
        count, seen, due = 0, 0, 0.0
        with BagWriter(out, storage, None, overwrite) as bag:
            bag.note("source", f"video {path.name}, {own_fps:.3f} frames a second")
            for seconds, rgb in progress(_frames(video, own_fps), total, path.name):
                seen += 1
                if fps is not None and seconds < due - 0.5 / own_fps:
                    continue
                if fps is not None:
                    due = max(due, seconds - 1.0 / fps) + 1.0 / fps
                target.write(bag, rgb, START_NS + round(seconds * 1e9))
                count += 1
            if not count:
                raise DatasetError(f"not one frame of {path} could be decoded; expected {VIDEO_HINT}")
    finally:
        video.release()
    remarks = [f"{count} of {seen} frames kept, {fps:g} a second"] if fps is not None and count < seen else []
    if seen < total:
        remarks.append(f"the file speaks of {total} frames, {seen} could be decoded: it may be cut short")
    return Converted(Path(out), 0, count, 0, 0, tuple(remarks))


def convert_images(
    src: str | Path,
    out: str | Path,
    pictures: PictureOut | None = None,
    fps: float = 10.0,
    storage: str = "mcap",
    overwrite: bool = False,
) -> Converted:
    """A folder of pictures, in the order of the numbers in their names -> a bag of one camera at `fps`.

    JPEG files are kept byte for byte where nothing has to be changed. Raises DatasetError (no folder, no picture in it,
    one that cannot be decoded: named) or BagError, one sentence each.
    """
    target, folder = pictures or PictureOut(), Path(src)
    if not 0 < fps <= 1000:
        raise DatasetError(f"{fps:g} pictures a second; expected more than 0 and at most 1000")
    files = _picture_files(folder)
    sizes = set()
    with BagWriter(out, storage, None, overwrite) as bag:
        bag.note("source", f"pictures of {folder.name}; stamps assumed: {fps:g} a second")
        for i, file in enumerate(progress(files, len(files), folder.name)):
            rgb, jpeg = _read(file)
            sizes.add(rgb.shape[:2])
            target.write(bag, rgb, START_NS + round(i * 1e9 / fps), jpeg)
    remarks = [f"stamps are assumed: {fps:g} pictures a second"]
    if len(sizes) > 1:
        remarks.append(f"the pictures have {len(sizes)} sizes: a streaming network starts anew at each change")
    return Converted(Path(out), 0, len(files), 0, 0, tuple(remarks))


def _open(path: Path) -> Any:
    if path.is_dir():
        raise DatasetError(f"{path} is a folder; for pictures type: perception convert images {path} OUT")
    if not path.is_file():
        raise DatasetError(f"there is no file {path}; expected {VIDEO_HINT}")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # what is wrong is said here, once
    import cv2

    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    cv2.utils.logging.setLogLevel(level)
    if not video.isOpened():
        video.release()
        size = path.stat().st_size
        raise DatasetError(
            f"{path} ({size} bytes) is not a video that can be read, or is cut short; expected {VIDEO_HINT}"
        )
    return video


def _frames(video: Any, fps: float) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """(seconds from the beginning, RGB) of each frame; times that do not rise are replaced by the frame rate's."""
    import cv2

    last = -1.0
    while True:
        done, bgr = video.read()
        if not done:
            return
        seconds = float(video.get(cv2.CAP_PROP_POS_MSEC)) / 1e3
        if not seconds > last:
            seconds = 0.0 if last < 0 else last + 1.0 / fps
        last = seconds
        yield seconds, cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)  # type: ignore[misc]


def _picture_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        what = "a file; for a video type: perception convert video" if folder.is_file() else "not there"
        raise DatasetError(f"{folder} is {what}; expected a folder of pictures ({', '.join(PICTURES)})")
    files = [f for f in folder.iterdir() if f.suffix.lower() in PICTURES and f.is_file()]
    if not files:
        raise DatasetError(
            f"no picture in {folder}: it holds {listing(folder)}; expected files ending in {', '.join(PICTURES)}"
        )
    return sorted(files, key=lambda f: ([int(n) for n in re.findall(r"\d+", f.stem)], f.name))


def _read(file: Path) -> tuple[NDArray[np.uint8], bytes | None]:
    """RGB of a picture file, and its bytes where it is a JPEG."""
    import cv2

    try:
        data = file.read_bytes()
        if file.suffix.lower() in (".jpg", ".jpeg", ".png"):
            return decode_picture(data), data if file.suffix.lower() != ".png" else None
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except (OSError, MessageError) as err:
        raise DatasetError(f"cannot read the picture {file}: {err}") from err
    if bgr is None or bgr.dtype != np.uint8:
        raise DatasetError(f"cannot read the picture {file}: {len(data)} bytes that are no {file.suffix} file")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), None  # type: ignore[return-value]


def _reduced(rgb: NDArray[np.uint8], width: int | None) -> NDArray[np.uint8]:
    if width is None or rgb.shape[1] <= width:
        return rgb
    import cv2

    height = max(1, round(rgb.shape[0] * width / rgb.shape[1]))
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
