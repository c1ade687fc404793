"""The LiDAR's place over DDS: the same labels live and offline, and the height on /diagnostics."""

from dataclasses import replace

import numpy as np
import pytest

from perception_nodes.bags.reader import BagReader
from perception_nodes.nodes.replay import replay
from perception_nodes.systems.offline import offline
from perception_nodes.systems.run import find_runs
from tests.nodes.conftest import HeightSession
from tests.systems.test_sensor_place import write

pytestmark = pytest.mark.ros
OUTPUT = "/perception/segmentation"


def test_the_place_from_tf_static_counts_live_as_offline_and_stands_on_diagnostics(tmp_path):
    pytest.importorskip("rclpy")
    bag = write(tmp_path / "bag")
    with BagReader(bag) as reader:
        runs = [replace(run, open_session=lambda config: HeightSession()) for run in find_runs(reader, ("spvcnn",))]
    offline(bag, tmp_path / "off", runs)
    replay(bag, tmp_path / "live", runs, rate=0)
    labels = []
    for name in ("off", "live"):
        with BagReader(tmp_path / name) as reader:
            labels.append([bytes(m.raw) for m in reader.messages([OUTPUT])])
    assert labels[0] == labels[1] and len(labels[0]) == 3
    with BagReader(tmp_path / "live") as reader:
        arrays = [reader.decode(m.raw, m.type) for m in reader.messages(["/diagnostics"])]
    values = [{v.key: v.value for v in row.values} for a in arrays for row in a.status if row.name.endswith(": input")]
    heights = [float(row["sensor_height_m"]) for row in values if "sensor_height_m" in row]
    assert heights and np.allclose(heights, 1.64) and any("lidar, 1.64 m" in row.get("sensor", "") for row in values)
