"""A camera's picture of the moment of a sweep with the sweep's labels on it, by the bag's calibration; what is missing
is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagMessage, BagReader
from perception_nodes.calibration.errors import CalibrationError
from perception_nodes.calibration.rig_file import RigFile
from perception_nodes.calibration.se3 import Matrix, apply
from perception_nodes.messages.camera_info import CameraModel
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.header import header_stamp_ns
from perception_nodes.messages.image import CameraImage, decode_image
from perception_nodes.streaming.bag_calibration import bag_calibration
from perception_nodes.streaming.bag_inputs import camera_topics
from perception_nodes.viewer.camera_overlay import draw_points

MAX_APART_S = 0.25  # between the sweep's stamp and the picture's
SEARCH_S = 0.5  # of the bag, to each side of the sweep


class OverlayError(ValueError):
    """Why there is no overlay: what is missing, and how to give it."""


class View(NamedTuple):
    """A picture and how to draw on it: rgb uint8 [H, W, 3] without distortion · camera for it · camera_from_frame
    float64 [4, 4] from the frame that was asked for · apart_ns: the picture's stamp minus the one asked for."""

    rgb: NDArray[np.uint8]
    camera: CameraModel
    camera_from_frame: Matrix
    apart_ns: int


class CameraOverlay:
    """Draws labelled sweeps on one camera's pictures.

    Args:
        bag: with the pictures and their calibration.
        camera: its name; "": "front" where it is there, else the first.
        rig: see `bag_calibration`.

    Raises:
        OverlayError: the bag has no pictures, or none of this camera.
    """

    def __init__(self, bag: BagReader, camera: str = "", rig: RigFile | None = None) -> None:
        topics = camera_topics(bag)
        self.camera = camera or ("front" if "front" in topics else next(iter(topics), ""))
        if self.camera not in topics:
            have = ", ".join(topics) or "none"
            raise OverlayError(f"no pictures of a camera {self.camera!r} in {bag.path} (its cameras: {have})")
        self._bag, self._topic = bag, topics[self.camera]
        self._calibration = bag_calibration(bag, topics, rig)
        self._recorded_after_ns = self._delay()

    def draw(
        self, stamp_ns: int, frame_id: str, xyz: NDArray[np.float32], colours: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], int]:
        """The picture nearest to a sweep, undistorted, with the sweep's points on it.

        Args:
            stamp_ns, frame_id: the sweep's. xyz: float32 [N, 3] m in that frame. colours: uint8 [N, 3].

        Returns:
            (picture uint8 [H, W, 3], its stamp minus the sweep's in ns).

        Raises:
            OverlayError: no picture near the sweep, one that cannot be decoded, or calibration that is missing.
        """
        view = self.view(stamp_ns, frame_id)
        pixels, depth = view.camera.project(apply(view.camera_from_frame, np.asarray(xyz, np.float64)))
        return draw_points(view.rgb, pixels, depth, colours), view.apart_ns

    def view(self, stamp_ns: int, frame_id: str) -> View:
        """The picture nearest to a stamp, with the camera's place in a frame. Raises: see `draw`."""
        image = self._image(stamp_ns)
        try:
            camera = self._calibration.camera(self.camera, image.size, image.frame_id)
            camera_from_frame = self._calibration.lookup(camera.frame_id, frame_id)
            rgb = camera.undistort(image.rgb)
        except (CalibrationError, MessageError) as error:
            raise OverlayError(str(error)) from None
        return View(rgb, camera, camera_from_frame, image.stamp_ns - stamp_ns)

    def _image(self, stamp_ns: int) -> CameraImage:
        """The picture nearest to a stamp."""
        begin = (stamp_ns + self._recorded_after_ns - self._bag.start_ns) * 1e-9 - SEARCH_S
        stamped = [(abs(header_stamp_ns(m.raw) - stamp_ns), m) for m in self._messages(max(begin, 0.0), 2 * SEARCH_S)]
        apart, message = min(stamped, key=lambda row: row[0], default=(None, None))
        if message is None or apart is None or apart > MAX_APART_S * 1e9:
            raise OverlayError(f"no picture of the camera {self.camera!r} within {MAX_APART_S:g} s of the sweep")
        try:
            return decode_image(self._bag.decode(message.raw, message.type))
        except (BagError, MessageError) as error:
            raise OverlayError(f"the picture of the camera {self.camera!r}: {error}") from None

    def _messages(self, start: float, duration: float | None) -> Iterator[BagMessage]:
        """Stored pictures whose header can be read."""
        for message in self._bag.messages([self._topic], start, duration):
            try:
                header_stamp_ns(message.raw)
            except MessageError:
                continue
            yield message

    def _delay(self) -> int:
        """Nanoseconds from a picture's stamp to the time at which it was recorded, by the first one."""
        first = next(self._messages(0.0, None), None)
        return 0 if first is None else first.stamp_ns - header_stamp_ns(first.raw)
