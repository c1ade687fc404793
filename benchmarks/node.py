"""Message-in to message-out over DDS: `python -m benchmarks.node --json OUT`.

Simulated sweeps of a 32-beam (34 k points) and a 64-beam sensor (120 k points) are played at 10 Hz to `spvcnn_node` in
a process of its own. Latency is from the sending of a cloud to the arrival of its labels; what of it is not the network
is transport, decoding and encoding.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from perception_nodes.systems import spvcnn
from perception_nodes.systems.spvcnn.declaration import PRECISIONS

RATE_HZ = 10.0
SENSORS = {34_000: "nuscenes", 120_000: "kitti"}
DISTINCT = 8  # sweeps made; they are repeated with rising stamps


def write_bag(path: Path, rig: str, frames: int) -> int:
    """A bag of `frames` clouds at 10 Hz from a drive; returns the median number of points."""
    from perception_nodes.bags.writer import BagWriter
    from perception_nodes.messages.point_cloud import make_point_cloud2, point_cloud2_layout
    from perception_nodes.simulator.drive import Drive

    with Drive("suburb_day", rig, seed=90_001, seconds=DISTINCT / RATE_HZ, cameras=False, boxes=False) as drive:
        sweeps = [frame.sweep for frame in drive if frame.sweep is not None]
    with BagWriter(path) as bag:
        for i in range(frames):
            s = sweeps[i % len(sweeps)]
            columns = {"xyz": s.xyz, "intensity": s.intensity, "ring": s.ring, "time": s.time}
            stamp = 1_700_000_000_000_000_000 + round(i * 1e9 / RATE_HZ)
            bag.write("/lidar/points", make_point_cloud2(point_cloud2_layout(columns), "lidar", stamp), stamp)
    return int(sorted(len(s.xyz) for s in sweeps)[len(sweeps) // 2])


def main() -> int:
    """Prints a table and writes the JSON of figures.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.node", description=__doc__)
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument(
        "--model", default="spvnas-lite", help="model name or folder; random:spvcnn-lite without weights"
    )
    parser.add_argument("--precision", default="auto", choices=PRECISIONS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=15.0, help="length of each run")
    given = parser.parse_args()

    from perception_nodes.nodes.environment import isolate_environment

    isolate_environment()
    from perception_nodes.nodes.measure import measure
    from perception_nodes.nodes.steady import keep_memory
    from perception_nodes.systems.run import SystemRun

    keep_memory()

    model = {"model.name": given.model, "model.precision": given.precision, "model.threads": given.threads}
    run = SystemRun(spvcnn.SYSTEM, {"points": "/lidar/points"}, model)
    rows = []
    for wanted, rig in SENSORS.items():
        with tempfile.TemporaryDirectory() as folder:
            bag = Path(folder) / "drive"
            points = write_bag(bag, rig, round(given.seconds * RATE_HZ))
            print(f"{rig}: {points} points (nominal {wanted}) at {RATE_HZ:g} Hz …", file=sys.stderr)
            row = measure(bag, run, RATE_HZ, points=points).as_dict()
            rows.append({"nominal_points": wanted, "threads": given.threads, **row})
    for row in rows:
        print(json.dumps(row))
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
