"""The sensor topics of a bag: clouds and cameras by type and name. No ROS."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader

CLOUD = "sensor_msgs/msg/PointCloud2"
PICTURES = ("sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image")
# In this order three cameras in a row look ahead and three behind, left on the left.
AROUND = ("front_left", "front", "front_right", "back_left", "back", "back_right")
_OURS = ("/ground_truth/", "/perception/")


def points_topic(reader: BagReader, wanted: str) -> str:
    """The topic of the clouds: `wanted`, or the bag's only PointCloud2 topic outside /ground_truth and /perception.

    Raises:
        BagError: no such topic, or several.
    """
    clouds = reader.require(CLOUD)
    if wanted in clouds:
        return wanted
    others = [name for name in clouds if not name.startswith(_OURS)]
    if len(others) == 1:
        return others[0]
    raise BagError(
        f"the bag {reader.path} has no points on {wanted}; its PointCloud2 topics are {', '.join(clouds)}: "
        "name one of them with --points TOPIC"
    )


def has_clouds(reader: BagReader) -> bool:
    """True where a bag holds PointCloud2 topics that are not ours."""
    return any(not name.startswith(_OURS) for name in reader.topics_of(CLOUD))


def camera_topics(reader: BagReader) -> dict[str, str]:
    """Name -> topic of every camera of a bag, by topic; of a camera sent twice the compressed pictures."""
    found: dict[str, str] = {}
    for kind in PICTURES:
        for topic in reader.topics_of(kind):
            if not topic.startswith(_OURS) and "/debug/" not in topic:
                found.setdefault(camera_name(topic), topic)
    return dict(sorted(found.items(), key=lambda row: row[1]))


def around(names: Iterable[str]) -> list[str]:
    """Names of cameras in the order of AROUND, others behind them."""
    held = list(names)
    return [name for name in AROUND if name in held] + [name for name in held if name not in AROUND]


def camera_name(topic: str) -> str:
    """/camera/front/image/compressed -> front; /cam2/image_raw -> cam2; /image -> camera."""
    parts = [p for p in topic.split("/") if p and not re.fullmatch(r"camera|compressed|image\w*", p)]
    name = re.sub(r"\W", "_", "_".join(parts))
    return name if re.match(r"[A-Za-z]", name) else f"camera{'_' * bool(name)}{name}"


def chosen_cameras(reader: BagReader, wanted: Sequence[str] = (), every: bool = False) -> dict[str, str]:
    """Name -> topic of the cameras asked for; none: of all (`every`), or of "front", or of the first where that is
    missing.

    Raises:
        BagError: no camera at all, or not the one asked for.
    """
    found = camera_topics(reader)
    if not found:
        held = ", ".join(f"{t.name} ({t.type})" for t in reader.topics().values()) or "no topic at all"
        raise BagError(f"the bag {reader.path} has no pictures (CompressedImage or Image); it holds {held}")
    for name in wanted:
        if name not in found:
            raise BagError(f"the bag {reader.path} has no camera {name!r}; its cameras are {', '.join(found)}")
    if every and not wanted:
        return found
    names = list(wanted) or ["front" if "front" in found else next(iter(found))]
    return {name: found[name] for name in names}
