"""A copy of a bag with restyled sensors: everything else, stamps and calibration included, is the original's bytes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from models.gan.range_session import RangeStyleSession
from models.gan.session import StyleSession
from models.gan.styles import lidar_model, style_model
from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.bags.typestore import make, to_bytes
from perception_nodes.bags.writer import BagWriter
from perception_nodes.messages.errors import MessageError
from perception_nodes.messages.image import compressed_image_values, encode_jpeg, image_values
from perception_nodes.messages.image_cdr import RAW, decode_serialized_image
from perception_nodes.streaming.bag_inputs import CLOUD, camera_topics
from perception_nodes.systems.gan.restyle_cloud import CloudStyler

JPEG_QUALITY = 95
OURS = ("/perception/", "/ground_truth/")


@dataclass(frozen=True)
class Restyling:
    """What became of a bag. pictures, clouds, damaged: how many were restyled, and passed on as they are because they
    cannot be decoded · style_ms, cloud_ms: of the style alone, one entry a picture or cloud."""

    pictures: int
    clouds: int
    damaged: int
    style_ms: tuple[float, ...]
    cloud_ms: tuple[float, ...]


def restyle_bag(
    bag: Path,
    out: Path,
    style: str,
    strength: float = 1.0,
    threads: int = 2,
    *,
    start: float = 0.0,
    duration: float | None = None,
    topics: Collection[str] | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Restyling:
    """Writes a part of a bag with its cameras in a style, and its LiDARs where the style changes them.

    topics: of sensors to restyle, None: all of them; the others stay as they are. progress: gets the number of messages
    written.

    Messages keep their type: Image becomes rgb8, CompressedImage a JPEG. strength above 1 counts as 1 for LiDARs.

    Raises BagError (nothing to restyle, not readable, not writable) and ModelError.
    """
    with BagReader(bag) as reader:
        cameras, weather = set(camera_topics(reader).values()), lidar_model(style)
        clouds = set(lidar_topics(reader)) if weather is not None else set()
        if not cameras and not clouds:
            raise BagError(nothing_to_restyle(reader))
        if topics is not None:
            cameras, clouds = cameras & set(topics), clouds & set(topics)
        styler = None if weather is None else _cloud_styler(weather, strength)
        session = StyleSession.from_weights(style_model(style), strength=strength, threads=threads)
        times: dict[str, list[float]] = {"pictures": [], "clouds": []}
        damaged = 0
        with BagWriter(out) as writer:
            for count, (topic, kind, stamp, raw) in enumerate(_part(reader, start, duration), 1):
                try:
                    if topic in cameras:
                        raw = _restyled(session, raw, kind)
                        times["pictures"].append(1e3 * session.seconds)
                    elif topic in clouds and styler is not None:
                        raw = styler(topic, raw)
                        times["clouds"].append(1e3 * styler.session.seconds)
                except MessageError:
                    damaged += 1  # the systems meet it as they meet the original
                writer.write(topic, raw, stamp, kind)
                progress(count)
    pictures, sweeps = tuple(times["pictures"]), tuple(times["clouds"])
    return Restyling(len(pictures), len(sweeps), damaged, pictures, sweeps)


def lidar_topics(reader: BagReader) -> list[str]:
    """The LiDARs' topics of a bag: PointCloud2 that is no answer and no ground truth."""
    return [name for name in reader.topics_of(CLOUD) if not name.startswith(OURS)]


def nothing_to_restyle(reader: BagReader) -> str:
    """The sentence for a bag without cameras or LiDARs that a style changes."""
    held = ", ".join(sorted(reader.topics())) or "none"
    return f"the bag {reader.path} has no camera to restyle; its topics are {held}"


def _cloud_styler(model: str, strength: float) -> CloudStyler:
    return CloudStyler(RangeStyleSession.from_weights(model, strength=min(strength, 1.0)))


def copy_part(bag: Path, out: Path, start: float, duration: float | None) -> None:
    """Writes a part of a bag as it is. Raises BagError."""
    with BagReader(bag) as reader, BagWriter(out) as writer:
        for topic, kind, stamp, raw in _part(reader, start, duration):
            writer.write(topic, raw, stamp, kind)


def _part(reader: BagReader, start: float, duration: float | None):
    """Messages of a part; latched transforms and class tables of before the start come first."""
    known = [topic.name for topic in reader.topics().values() if topic.known]
    latched = [name for name in known if name == "/tf_static" or name.endswith("/classes")]
    if start > 0:
        for message in reader.messages(latched, 0.0, start):
            yield message.topic, message.type, reader.start_ns + round(start * 1e9), message.raw
    for message in reader.messages(known, start, duration):
        yield message.topic, message.type, message.stamp_ns, message.raw


def _restyled(session: StyleSession, raw: bytes, kind: str) -> bytes:
    image = decode_serialized_image(raw, kind)
    rgb = session.step(image.rgb)
    if kind == RAW:
        return to_bytes(make(kind, **image_values(rgb, image.frame_id, image.stamp_ns)))
    jpeg = encode_jpeg(rgb, JPEG_QUALITY)
    return to_bytes(make(kind, **compressed_image_values(jpeg, image.frame_id, image.stamp_ns)))
