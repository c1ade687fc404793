"""bevfusion_node over DDS, sweep in to boxes out: for `python -m benchmarks.bevfusion`.

Pictures (smooth noise, JPEG) and sweeps of one moment go to the node in a process of its own, the sweep last. Latency
is from the sending of the sweep to the arrival of the boxes. The rig YAML of the same cameras stands in for TF.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.bev_scene import FOCAL

START_NS = 1_700_000_000_000_000_000
DISTINCT = 4  # moments that are made; they are repeated with rising stamps
LIDAR_Z = 1.84  # m


def write_moments(
    folder: Path, points: NDArray[np.float32], cameras: int, size: tuple[int, int], moments: int, rate_hz: float
) -> tuple[Path, Path, dict[str, str]]:
    """(bag, rig YAML, stream -> topic). points float32 [N, 4]: x, y, z (m), intensity (0 to 255) · size: (height,
    width) of the pictures."""
    from perception_nodes.bags.typestore import make
    from perception_nodes.bags.writer import BagWriter
    from perception_nodes.calibration.rig_file import CameraMount, LidarMount, RigFile, write_rig
    from perception_nodes.calibration.se3 import BODY_FROM_OPTICAL, compose, from_euler
    from perception_nodes.messages.camera_info import CameraModel
    from perception_nodes.messages.image import compressed_image_values, encode_jpeg
    from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout

    height, width = size
    k = np.array([[FOCAL * width, 0, width / 2], [0, FOCAL * width, height / 2], [0, 0, 1]])
    mounts = []
    for i in range(cameras):
        turn = from_euler(0, 0, 2 * np.pi * i / cameras)[:3, :3] @ BODY_FROM_OPTICAL[:3, :3]
        model = CameraModel(width, height, k, np.zeros(5), "plumb_bob", f"camera_{i}")
        mounts.append(CameraMount(f"c{i}", f"/c{i}/image", compose(turn, (0, 0, LIDAR_Z - 0.3)), model))
    lidar = LidarMount("lidar", "lidar", "/lidar/points", compose(np.eye(3), (0, 0, LIDAR_Z)), True)
    rig = folder / "rig.yaml"
    write_rig(RigFile("benchmark", "base_link", (lidar,), tuple(mounts)), rig)
    rng = np.random.default_rng(0)
    jpegs = [
        encode_jpeg(cv2.resize(rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8), (width, height)))
        for _ in range(max(cameras, 1))
    ]
    clouds = [
        {"xyz": points[:, :3] + rng.normal(0, 0.02, (len(points), 3)).astype(np.float32), "intensity": points[:, 3]}
        for _ in range(DISTINCT)
    ]
    topics = {"points": "/lidar/points"} | {mount.name: f"/camera/{mount.name}/image/compressed" for mount in mounts}
    with BagWriter(folder / "moments") as bag:
        for i in range(moments):
            stamp = START_NS + round(i * 1e9 / rate_hz)
            for n, mount in enumerate(mounts):
                values = compressed_image_values(jpegs[(n + i) % len(jpegs)], f"camera_{n}", stamp)
                bag.write(topics[mount.name], make("sensor_msgs/msg/CompressedImage", **values), stamp)
            layout = point_cloud2_layout(clouds[i % DISTINCT])
            bag.write("/lidar/points", make_point_cloud2(layout, "lidar", stamp), stamp)
    return folder / "moments", rig, topics


def node_row(
    model: str,
    points: NDArray[np.float32],
    cameras: int,
    size: tuple[int, int],
    runtime: str,
    threads: int,
    moments: int = 20,
    rate_hz: float | None = 1.0,
) -> dict[str, Any]:
    """One row of figures.md's `node`; `overhead_share`: of the latency, what is not the network's step. rate_hz: low,
    so that the network's time is measured and not the queue; None: as fast as answers come, nothing is dropped."""
    from perception_nodes.nodes.environment import isolate_environment

    isolate_environment()
    from perception_nodes.nodes.measure import measure
    from perception_nodes.systems import bevfusion
    from perception_nodes.systems.run import SystemRun

    how = "as fast as answers come" if rate_hz is None else f"at {rate_hz:g} Hz"
    print(f"bevfusion_node with {cameras} cameras over DDS, {how} …", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        bag, rig, topics = write_moments(Path(folder), points, cameras, size, moments, rate_hz or 10.0)
        given = {
            "model.name": model, "model.runtime": runtime, "model.threads": threads, "calibration.rig": str(rig),
            "frames.fixed": [""], "input.intensity_scale": "255", "stream.queue": 3,
        }  # fmt: skip
        run = SystemRun(bevfusion.SYSTEM, topics, given)
        found = measure(bag, run, rate_hz, points=len(points), cameras=cameras, picture=(size[1], size[0])).as_dict()
    latency, network = found["latency_ms_p50"], found["network_ms"]
    share = None if not latency or network is None else round(1 - network / latency, 4)
    return {**found, "overhead_share": share}
