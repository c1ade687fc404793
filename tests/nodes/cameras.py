"""Pictures and a video session whose answers are known by hand, for the tests of camera nodes."""

import time
from types import SimpleNamespace

import cv2
import numpy as np

from perception_nodes.bags.typestore import make
from perception_nodes.bags.writer import BagWriter
from perception_nodes.classes import EVENTS
from perception_nodes.messages.image import compressed_image_values, encode_jpeg, image_values

START_NS = 1_700_000_000_000_000_000


def grey(level: int, size=(48, 64)) -> np.ndarray:
    """A picture whose brightness says its class: level 5 is EVENTS[5]."""
    return np.full((*size, 3), 20 * level + 5, np.uint8)


class LevelSession:
    """The event is the picture's brightness over 20; the score says how many pictures are remembered.

    warm_after: pictures before the caches are warm. period: only every so many-th picture is a step, its answer is held
    in between.
    """

    engine = "by hand"

    def __init__(
        self,
        delay_s: float = 0.0,
        error: Exception | None = None,
        trained: bool = True,
        warm_after: int = 0,
        period: int = 1,
    ) -> None:
        self.delay_s, self.error, self.warm_after, self.period = delay_s, error, warm_after, period
        self.last: dict[str, SimpleNamespace] = {}
        self.remembered: dict[str, int] = {}
        self.resets: list[str | None] = []
        self.facts = SimpleNamespace(trained=trained)
        self.warmed_up = False

    def step(self, frames, stamps_ns=None):
        assert all(f.dtype == np.uint8 and f.ndim == 3 and f.flags.c_contiguous for f in frames.values())
        if self.delay_s and self.warmed_up:
            time.sleep(self.delay_s)
        if self.error is not None and self.warmed_up:
            raise self.error
        self.warmed_up = True
        found = {}
        for camera, rgb in frames.items():
            count = self.remembered[camera] = self.remembered.get(camera, 0) + 1
            if (count - 1) % self.period:
                found[camera] = SimpleNamespace(**{**vars(self.last[camera]), "held": True})
                continue
            label = min(int(rgb.mean()) // 20, len(EVENTS) - 1)
            scores = np.full(len(EVENTS), (1 - 0.5 - count / 1000) / (len(EVENTS) - 1), np.float32)
            scores[label] = 0.5 + count / 1000
            found[camera] = SimpleNamespace(scores=scores, label=label, warm=count > self.warm_after, held=False)
            self.last[camera] = found[camera]
        return found

    def reset(self, camera=None):
        self.resets.append(camera)
        for name in list(self.remembered) if camera is None else [camera]:
            self.remembered.pop(name, None)


def jpeg(stamp_s: float, level: int = 3, size=(48, 64), **changes):
    """A CompressedImage (rclpy)."""
    from sensor_msgs.msg import CompressedImage

    from perception_nodes.messages.assign import fill

    values = compressed_image_values(encode_jpeg(grey(level, size)), "camera_front", round(stamp_s * 1e9))
    message = fill(CompressedImage(), values)
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def raw(stamp_s: float, level: int = 3, **changes):
    """An Image (rclpy)."""
    from sensor_msgs.msg import Image

    from perception_nodes.messages.assign import fill

    message = fill(Image(), image_values(grey(level), "camera_front", round(stamp_s * 1e9)))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def write_camera_bag(path, frames=6, hz=10.0, cameras=("front",), level=lambda i: i % 5, skip=()):
    """A bag of compressed pictures; `skip` holds (camera, number) of pictures that are not there."""
    with BagWriter(path) as bag:
        for i in range(frames):
            stamp = START_NS + round(i * 1e9 / hz)
            for camera in cameras:
                if (camera, i) not in skip:
                    values = compressed_image_values(encode_jpeg(grey(level(i))), f"camera_{camera}", stamp)
                    bag.write(f"/camera/{camera}/image/compressed", make(COMPRESSED, **values), stamp)
    return path


COMPRESSED = "sensor_msgs/msg/CompressedImage"


def write_video(path, frames=8, fps=10.0, size=(64, 48), codec="mp4v"):
    """A video file whose frames get brighter."""
    out = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, size)
    assert out.isOpened()
    for i in range(frames):
        out.write(np.full((size[1], size[0], 3), 20 * (i % 12), np.uint8))
    out.release()
    return path
