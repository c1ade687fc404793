"""Shows that several processes train as one does: the same losses at the same total batch, and samples a second.

    python -m training.video.processes --steps 4 --batch 4

Trains a small network on a few made-up videos (or `--list`) once in this process's child alone and once with torchrun
in two (gloo on CPUs, nccl on GPUs); prints both runs' losses, their largest difference, and clips a second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
EXACT = ("norm=frozen", "dropout=0.0", "imagenet=false")


def made_up(folder: Path, videos: int = 6, frames: int = 12, classes: int = 3) -> Path:
    """A list of small videos: a bright square moves right, left or stays."""
    import cv2

    lines = []
    rng = np.random.default_rng(0)
    for v in range(videos):
        label = v % classes
        (folder / f"v{v}").mkdir(parents=True, exist_ok=True)
        texture = rng.integers(0, 120, (72, 96, 3), np.uint8)
        for t in range(frames):
            picture = texture.copy()
            x = (40, 6 + 5 * t, 80 - 5 * t)[label]
            picture[28:44, max(x, 0) : x + 14] = 250
            cv2.imwrite(str(folder / f"v{v}" / f"img_{t + 1:05d}.jpg"), picture)
        lines.append(f"v{v} {frames} {label}")
    path = folder / "list.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(processes: int, out: Path, arguments: list[str], timeout: float = 600.0) -> tuple[list[float], float]:
    """(losses, clips a second) of one training with so many processes."""
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m"]
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    done = subprocess.run(
        [*start, "training.video", "--out", str(out), "--report-every", "0", *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{processes} processes ended with code {done.returncode}:\n{done.stderr[-3000:]}")
    rows = [json.loads(line) for path in out.glob("*.jsonl") for line in path.read_text().splitlines()]
    steps = {row["step"]: row for row in rows if "newest" in row}  # the last one is told twice
    return [steps[k]["newest"]["loss"] for k in sorted(steps)], steps[max(steps)]["steps_per_s"]


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.video.processes", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--model", default="tsm-jester-online", help="preset")
    parser.add_argument("--size", type=int, default=64, help="px")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        listed = made_up(Path(folder) / "videos")
        size = f"size=[{options.size}, {options.size}]"
        common = ["--model", options.model, "--list", str(listed), "--classes", "3", "--device", "auto"]
        for text in (
            *EXACT,
            f"steps={options.steps}",
            f"batch={options.batch}",
            "segments=4",
            size,
            "augment.flip=0.0",
        ):
            common += ["--set", text]
        found = {n: run(n, Path(folder) / f"run{n}", common) for n in (1, options.processes)}
    for count, (losses, rate) in found.items():
        print(f"{count} process{'es' * (count > 1)}: {rate:.2f} clips/s, losses {' '.join(f'{v:.6f}' for v in losses)}")
    one, many = (np.array(found[n][0]) for n in (1, options.processes))
    print(f"largest difference {np.abs(one - many).max():.2e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
