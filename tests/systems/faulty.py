"""Bags of a LiDAR and two cameras in which random things go wrong, the same for the same seed."""

import numpy as np

from perception_nodes.bags.typestore import make, to_bytes
from perception_nodes.bags.writer import BagWriter
from perception_nodes.messages.image import compressed_image_values, encode_jpeg
from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout
from tests.nodes.bags import START_NS, points
from tests.nodes.cameras import COMPRESSED, grey

CLOUD = "sensor_msgs/msg/PointCloud2"
LIDAR = "/lidar/points"
CAMERAS = {name: f"/camera/{name}/image/compressed" for name in ("front", "left")}
TYPES = {LIDAR: CLOUD, **dict.fromkeys(CAMERAS.values(), COMPRESSED)}


def cloud(rng, number, stamp_ns):
    columns = points(number, int(rng.integers(0, 60)))
    if rng.random() < 0.1 and len(columns["xyz"]):
        columns["xyz"][0] = np.nan
    return to_bytes(make_point_cloud2(point_cloud2_layout(columns), "lidar", stamp_ns))


def picture(rng, number, stamp_ns, camera):
    values = compressed_image_values(encode_jpeg(grey(number % 5, (24, 32))), f"camera_{camera}", stamp_ns)
    return to_bytes(make(COMPRESSED, **values))


def spoilt(rng, raw):
    """The bytes of a message that is malformed in one of many ways."""
    way = int(rng.integers(0, 5))
    if way == 0:
        return raw[: int(rng.integers(0, len(raw)))]
    if way == 1:
        return bytes(rng.integers(0, 256, int(rng.integers(0, 80)), np.uint8))
    if way == 2:  # nanoseconds that are none
        return raw[:8] + b"\xff\xff\xff\xff" + raw[12:]
    at = int(rng.integers(12, len(raw)))
    if way == 3:
        return raw[:at] + bytes([int(rng.integers(0, 256))]) + raw[at + 1 :]
    return raw[:12] + b"\xff" * 8 + raw[20:]


def timeline(rng, topic, frames):
    """(time of recording, stamp) of one topic's messages, in seconds: gaps, jumps, duplicates, latecomers."""
    period = 0.1 if topic == LIDAR else float(rng.choice([0.05, 0.1, 0.2]))
    rows, offset = [], 0.0
    lost_from, lost_for = float(rng.uniform(0, 6)), float(rng.choice([0.0, 0.3, 1.5]))
    for i in range(round(frames * 0.1 / period)):
        at = i * period
        if lost_from < at < lost_from + lost_for:
            continue
        what = rng.random()
        if what < 0.03:
            offset += float(rng.choice([-4.0, -1.5, -0.25, 2.0]))
        stamp = at + offset + float(rng.normal(0, 0.003))
        if what > 0.97:
            continue  # lost
        rows.append((at, stamp))
        if 0.03 < what < 0.07:
            rows.append((at + 0.001, stamp))  # a duplicate
        elif 0.07 < what < 0.1:
            rows.append((at + 0.001, stamp - 0.6 * period))  # a latecomer
    return rows


def write_faulty_bag(path, seed, frames=20):
    """Writes the bag of a seed. The first message of each topic is whole: a player passes over a topic otherwise."""
    rng = np.random.default_rng(seed)
    rows = []
    for topic in TYPES:
        camera = next((name for name, t in CAMERAS.items() if t == topic), "")
        for number, (at, stamp) in enumerate(timeline(rng, topic, frames)):
            stamp_ns = START_NS + round(stamp * 1e9)
            raw = cloud(rng, number, stamp_ns) if topic == LIDAR else picture(rng, number, stamp_ns, camera)
            if number and rng.random() < 0.06:
                raw = spoilt(rng, raw)
            rows.append((START_NS + round((at + rng.uniform(0, 0.02)) * 1e9), topic, raw))
    with BagWriter(path) as bag:
        for at_ns, topic, raw in sorted(rows, key=lambda row: row[:2]):
            bag.write(topic, raw, at_ns, TYPES[topic])
    return path
