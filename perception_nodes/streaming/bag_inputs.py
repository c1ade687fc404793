"""Which topics of a bag feed which node: clouds and cameras by type and name. No ROS."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from perception_nodes.bags.errors import BagError
from perception_nodes.bags.reader import BagReader
from perception_nodes.streaming.offline import CLOUD, POINTS, points_topic

PICTURES = ("sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image")
NODES = ("spvcnn", "tsm")
_OURS = ("/ground_truth/", "/perception/")


@dataclass(frozen=True)
class BagInputs:
    """points: the clouds' topic, "" for none · cameras: name -> topic of its pictures, empty for none."""

    points: str = ""
    cameras: dict[str, str] = field(default_factory=dict)


def find_inputs(
    reader: BagReader, nodes: Sequence[str] = (), points: str = POINTS, cameras: Sequence[str] = ()
) -> BagInputs:
    """The inputs of the nodes asked for (none: of all that the bag has input for).

    Args:
        nodes: of NODES. points: see `points_topic`. cameras: names; none: "front" where it is there, else the first.

    Raises:
        BagError: an unknown node, an input that the bag lacks (with what it holds), or nothing for any node.
    """
    for node in nodes:
        if node not in NODES:
            raise BagError(f"no node {node!r}; choose from {', '.join(NODES)}")
    found = camera_topics(reader)
    if not nodes:
        has_clouds = any(not name.startswith(_OURS) for name in reader.topics_of(CLOUD))
        nodes = ["spvcnn"] * (has_clouds or not found) + ["tsm"] * bool(found)
    return BagInputs(
        points_topic(reader, points) if "spvcnn" in nodes else "",
        _chosen(reader, found, cameras) if "tsm" in nodes else {},
    )


def camera_topics(reader: BagReader) -> dict[str, str]:
    """Name -> topic of every camera of a bag, by topic; of a camera sent twice the compressed pictures."""
    found: dict[str, str] = {}
    for kind in PICTURES:
        for topic in reader.topics_of(kind):
            if not topic.startswith(_OURS) and "/debug/" not in topic:
                found.setdefault(camera_name(topic), topic)
    return dict(sorted(found.items(), key=lambda row: row[1]))


def camera_name(topic: str) -> str:
    """/camera/front/image/compressed -> front; /cam2/image_raw -> cam2; /image -> camera."""
    parts = [p for p in topic.split("/") if p and not re.fullmatch(r"camera|compressed|image\w*", p)]
    name = re.sub(r"\W", "_", "_".join(parts))
    return name if re.match(r"[A-Za-z]", name) else f"camera{'_' * bool(name)}{name}"


def _chosen(reader: BagReader, found: dict[str, str], wanted: Sequence[str]) -> dict[str, str]:
    if not found:
        held = ", ".join(f"{t.name} ({t.type})" for t in reader.topics().values()) or "no topic at all"
        raise BagError(f"the bag {reader.path} has no pictures (CompressedImage or Image); it holds {held}")
    for name in wanted:
        if name not in found:
            raise BagError(f"the bag {reader.path} has no camera {name!r}; its cameras are {', '.join(found)}")
    names = list(wanted) or ["front" if "front" in found else next(iter(found))]
    return {name: found[name] for name in names}
