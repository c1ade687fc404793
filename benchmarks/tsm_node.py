"""tsm_node over DDS, picture in to event out: `python -m benchmarks.tsm_node --json OUT`.

Pictures of 224 x 224 (noise over a gradient, JPEG) of 1 and 6 cameras go to `tsm_node` in a process of its own, at the
period that the network was trained with: in real time (latency, CPU), and as fast as answers come (frames/s).
"""

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path

import numpy as np

from models.runtime import RUNTIMES

SIZE = 224
CAMERAS = ("front", "front_left", "front_right", "back", "back_left", "back_right")


def write_bag(path: Path, cameras: tuple[str, ...], frames: int, period_s: float, size: int = SIZE) -> dict[str, str]:
    """A bag of `frames` pictures a camera; returns camera -> topic."""
    from perception_nodes.bags.typestore import make
    from perception_nodes.bags.writer import BagWriter
    from perception_nodes.messages.image import compressed_image_values, encode_jpeg
    from perception_nodes.systems.launch import image_topic

    rng = np.random.default_rng(0)
    ramp = np.linspace(40, 200, size).astype(np.int16)[:, None, None]
    jpegs = [
        encode_jpeg(np.clip(ramp + rng.integers(-20, 20, (size, size, 3)), 0, 255).astype(np.uint8)) for _ in range(8)
    ]
    topics = {name: image_topic(name) for name in cameras}
    with BagWriter(path) as bag:
        for i in range(frames):
            stamp = 1_700_000_000_000_000_000 + round(i * period_s * 1e9)
            for k, (name, topic) in enumerate(topics.items()):
                values = compressed_image_values(jpegs[(i + k) % len(jpegs)], f"camera_{name}", stamp)
                bag.write(topic, make("sensor_msgs/msg/CompressedImage", **values), stamp)
    return topics


def rows(model: str, runtime: str = "auto", threads: int = 2, seconds: float = 12.0) -> list[dict]:
    """Rows of figures.md's `node`: 1 and 6 cameras, each in real time and as fast as it goes."""
    from models.facts import load_facts
    from perception_nodes.nodes.environment import isolate_environment

    isolate_environment()
    from perception_nodes.nodes.measure import measure
    from perception_nodes.systems import tsm
    from perception_nodes.systems.run import SystemRun

    period = float((load_facts(model).image or {}).get("period_s") or 0.1)
    found = []
    for count in (1, len(CAMERAS)):
        with tempfile.TemporaryDirectory() as folder:
            bag = Path(folder) / "pictures"
            topics = write_bag(bag, CAMERAS[:count], max(4, round(seconds / period)), period)
            given = {"model.name": model, "model.runtime": runtime, "model.threads": threads, "stream.queue": 3}
            run = SystemRun(tsm.SYSTEM, topics, given)
            for rate in (1.0 / period, None):
                how = f"at {rate:g} Hz" if rate is not None else "as fast as answers come"
                print(f"{count} camera(s), {how} …", file=sys.stderr)
                row = measure(bag, run, rate, cameras=count, picture=(SIZE, SIZE)).as_dict()
                found.append({**row, "runtime": runtime, "threads": threads, "model": model})
    return found


def main() -> int:
    """Prints the rows and writes their JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tsm_node", description=__doc__)
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--model", default="tsm-events-online", help="name or folder; random:tsm-events-online")
    parser.add_argument("--runtime", default="auto", choices=("auto", *RUNTIMES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=12.0, help="of pictures in each run")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # `timeout` ends the node under test, too
    found = rows(given.model, given.runtime, given.threads, given.seconds)
    for row in found:
        print(json.dumps(row))
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
