"""Latency of sub-networks on this machine, predicted from measured layers.

A network in the fused engine is a list of calls (convolutions, the point branch's exchanges). A call's time depends on
its resolution, its channels in and out and its map, not on the rest of the network. So it is measured once, on real
sweeps, and then looked up. Times are CPU time of one thread, the minimum of several repetitions: they depend little on
other load, and they rank networks like wall time on an idle machine. `verify` compares predictions with whole networks.

    python -m training.segmentation.latency_table --check 6     # predictions and measurements of six sub-networks
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from models.facts import ModelError
from models.sparse import Level, MapSet, fused
from models.spvcnn.inference import Predictor
from models.spvcnn.search_space import SPACES
from models.spvcnn.spvnas import SPVNAS
from models.spvcnn.subnet import Subnet

REPEATS = 5


class Call(NamedTuple):
    """One call of the fused engine. kind: "conv" (convolution), "spread" (voxels onto points), "mean" (points into
    voxels) · level: 0..4, whose rows come out · inputs: (channels, map) per term, map "same", "down", "up" or "row" ·
    outputs: channels · residual: whether rows are added · precisions: of weights and of the rows that come out."""

    kind: str
    level: int
    inputs: tuple[tuple[int, str], ...]
    outputs: int
    residual: bool = False
    weights: str = ""
    out: str = ""

    def key(self) -> str:
        """The call as a line of text."""
        terms = "+".join(f"{channels}{how}" for channels, how in self.inputs)
        return f"{self.kind} L{self.level} {terms}->{self.outputs} {self.weights}:{self.out}{' +' * self.residual}"


def calls(subnet: Subnet, in_channels: int, classes: int, precision: str) -> Iterator[Call]:
    """What `models.spvcnn.fused_network` does for a sub-network, in order."""
    p, c = precision, subnet.channels

    def conv(level: int, inputs: list[tuple[int, str]], outputs: int, residual: bool = False) -> Call:
        return Call("conv", level, tuple(inputs), outputs, residual, p, p)

    def exchange(level: int, inputs: int, outputs: int, kind: str) -> Iterator[Call]:
        yield Call("conv", 0, ((inputs, "row"),), outputs, False, kind, "fp32")
        yield Call("spread", level, ((outputs, "row"),), outputs, False, p, "fp32")
        yield Call("mean", level, ((outputs, "row"),), outputs, False, "fp32", p)

    yield Call("conv", 0, ((in_channels, "same"),), c[0], False, "fp32", p)
    yield conv(0, [(c[0], "same")], c[0])
    width = c[0]
    for i, stage in enumerate(subnet.stages):
        level = i + 1 if i < 4 else 7 - i
        if i == 4:
            yield from exchange(4, c[0], c[4], p)
        if i == 6:
            yield from exchange(2, c[4], c[6], "fp32")
        yield conv(level, [(width, "down" if i < 4 else "up")], stage.transition)
        parts = [stage.transition] + ([subnet.skip(i - 4)] if i >= 4 else [])
        for j, middle in enumerate(stage.middles):
            yield conv(level, [(w, "same") for w in parts], middle)
            shortcut = [(w, "row") for w in parts] if j == 0 else []
            yield conv(level, [(middle, "same"), *shortcut], stage.outputs, residual=j > 0)
            parts = [stage.outputs]
        width = stage.outputs
    yield Call("conv", 0, ((c[6], "row"),), c[8], True, "fp32", "fp32")
    yield Call("conv", 0, ((c[8], "row"),), classes, False, "fp32", "fp32")


class LatencyTable:
    """Milliseconds of sub-networks on sweeps given by their voxels; measures what it has not seen yet.

    clouds: voxels int32 [N, 4] of each sweep, sorted as the session's quantiser gives them · in_channels, classes: of
    the networks · precision: as of sessions · path: where the table is kept between calls, or None.
    """

    def __init__(
        self,
        clouds: list[NDArray[np.int32]],
        in_channels: int = 8,
        classes: int = 19,
        precision: str = "auto",
        path: Path | None = None,
    ):
        if not clouds:
            raise ModelError("a latency table needs at least one sweep")
        self.in_channels, self.classes, self.path = in_channels, classes, path
        probe = SPVNAS(classes, **Subnet.of_spvcnn((16,) * 9).numbers(), in_channels=in_channels).eval()
        self._predictor = Predictor(probe, precision, threads=1)
        self.precision = self._predictor.precision
        self._maps: list[MapSet] = [self._predictor.maps(Level(cloud)) for cloud in clouds]
        voxels = [len(cloud) for cloud in clouds]
        self.about: dict[str, Any] = {
            "precision": self.precision,
            "voxels": voxels,
            "engine": self._predictor.engine,
            **kernels(),
        }
        self.table: dict[str, float] = {}
        if path is not None and path.is_file():
            kept = json.loads(path.read_text())
            if kept.get("about") == self.about:
                self.table = {str(k): float(v) for k, v in kept["table"].items()}

    def milliseconds(self, subnet: Subnet) -> float:
        """Predicted CPU time of the network part of a step, mean over the sweeps, one thread."""
        total = 0.0
        fresh = False
        for call in calls(subnet, self.in_channels, self.classes, self.precision):
            key = call.key()
            if key not in self.table:
                self.table[key], fresh = self._measure(call), True
            total += self.table[key]
        if fresh and self.path is not None:
            self.save()
        return total

    def save(self) -> None:
        """Writes the table to its path."""
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps({"about": self.about, "table": self.table}, indent=1) + "\n")

    def _measure(self, call: Call) -> float:
        return float(np.mean([least(self._job(call, maps)) for maps in self._maps]))

    def _job(self, call: Call, maps: MapSet) -> Callable[[], Any]:
        """The call on one sweep's maps with random numbers, ready to be timed."""
        rng = np.random.default_rng(0)
        if call.kind == "spread":
            points = maps.points[2**call.level]
            voxels, onto = rows(rng, points.voxels, call.outputs, call.weights), rows(rng, len(points), call.outputs)
            return lambda: fused.interpolate(voxels, points, onto=onto)
        if call.kind == "mean":
            points = maps.points[2**call.level]
            z = rows(rng, len(points), call.outputs)
            return lambda: fused.point_mean(z, points, call.out)
        level = maps.levels[call.level]
        inputs, kernels = [], []
        for channels, how in call.inputs:
            found = {
                "same": lambda: level.submanifold(3),
                "down": lambda: maps.levels[call.level - 1].down()[1],
                "up": lambda: maps.levels[call.level + 1].up()[1],
                "row": lambda: None,
            }[how]()
            count = len(level) if found is None else found.inputs
            inputs.append((rows(rng, count, channels, call.weights), found))
            volume = 1 if found is None else found.volume
            kernels.append(rng.normal(0, 0.1, (volume, channels, call.outputs)).astype(np.float32))
        weights = fused.pack(kernels, np.zeros(call.outputs, np.float32), call.weights)
        residual = rows(rng, len(level), call.outputs, call.out) if call.residual else None
        return lambda: fused.convolve(weights, inputs, len(level), residual, out_precision=call.out)

    def measure_network(self, network: torch.nn.Module) -> float:
        """CPU time of a whole network, mean over the sweeps, one thread: what `milliseconds` predicts."""
        predictor = Predictor(network, "fp32" if self.precision == "fp32" else "auto", threads=1)
        rng = np.random.default_rng(0)
        times = []
        for maps in self._maps:
            feats = rng.random((len(maps.levels[0]), self.in_channels)).astype(np.float32)
            times.append(least(partial(predictor.run, feats, maps)))
        return float(np.mean(times))

    def verify(self, subnets: list[Subnet]) -> list[tuple[float, float]]:
        """(predicted, measured) milliseconds of whole sub-networks with random weights."""
        out = []
        for subnet in subnets:
            network = SPVNAS(self.classes, **subnet.numbers(), in_channels=self.in_channels).eval()
            out.append((self.milliseconds(subnet), self.measure_network(network)))
        return out


def kernels() -> dict[str, str]:
    """Which build of the compiled engine was measured: its times are not another's."""
    found = sorted(Path(fused.__file__).parent.glob("_kernels*.so"))
    return {"kernels": hashlib.sha256(found[0].read_bytes()).hexdigest()[:16]} if found else {}


def rows(rng: np.random.Generator, count: int, channels: int, precision: str = "fp32") -> fused.Rows:
    """Random rows in the engine's storage; half of the values are zero, as after a ReLU."""
    values = np.maximum(rng.normal(size=(count, channels)), 0).astype(np.float32)
    if precision == "fp32" or fused.reduced() == "fp32":
        return fused.Rows.of(values)
    identity = fused.pack([np.eye(channels, dtype=np.float32)[None]], None, "fp32")
    return fused.convolve(identity, [(fused.Rows.of(values), None)], count, out_precision=precision)


def least(job: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Least CPU time of this thread over the repetitions, ms."""
    job()
    best = float("inf")
    for _ in range(repeats):
        start = time.thread_time()
        job()
        best = min(best, time.thread_time() - start)
    return best * 1e3


def correlation(pairs: list[tuple[float, float]]) -> float:
    """Pearson's, of predictions and measurements; 1 for fewer than three."""
    if len(pairs) < 3:
        return 1.0
    return float(np.corrcoef(np.array(pairs).T)[0, 1])


def real_sweeps(data: Path) -> dict[str, NDArray[np.float32]]:
    """x y z intensity float32 [N, 4] of a SemanticKITTI sweep (64 beams) and a nuScenes one (32). Raises ModelError."""
    from perception_nodes.datasets.errors import DatasetError
    from perception_nodes.datasets.nuscenes import read_nuscenes_keyframe
    from perception_nodes.datasets.semantickitti import find_sequences, open_sequence

    found: dict[str, NDArray[np.float32]] = {}
    try:
        sequence = open_sequence(find_sequences(data / "semantickitti")[0])
        found["semantickitti"] = sequence.sweep(min(sequence.sweeps))
    except DatasetError:
        pass
    try:
        frame = read_nuscenes_keyframe(data / "nuscenes_keyframe")
        found["nuscenes"] = np.concatenate((frame.xyz, frame.intensity[:, None]), 1).astype(np.float32)
    except DatasetError:
        pass
    if not found:
        raise ModelError(
            f"no real sweeps at {data}: expected semantickitti/ or nuscenes_keyframe/ there (--real FOLDER)"
        )
    return found


def sweep_voxels(data: Path, size: float, box: tuple[float, ...] | None) -> list[NDArray[np.int32]]:
    """Voxels of `real_sweeps`, as a session makes them."""
    from models.spvcnn.quantise import Quantiser

    quantise = Quantiser(size, box)
    found = []
    for points in real_sweeps(data).values():
        xyz, intensity = np.ascontiguousarray(points[:, :3]), np.ascontiguousarray(points[:, 3])
        found.append(quantise(xyz, intensity).coords.copy())
    return found


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    from training.segmentation.supernet import spec_for

    prog = "python -m training.segmentation.latency_table"
    parser = argparse.ArgumentParser(prog=prog, description=__doc__.split("\n")[0])
    parser.add_argument("--space", default="lite", choices=sorted(SPACES))
    parser.add_argument("--real", type=Path, default=Path("../shared/data"), help="folder of real sweeps")
    parser.add_argument("--table", type=Path, help="JSON file that keeps what was measured")
    parser.add_argument("--check", type=int, default=6, help="random sub-networks to measure whole")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    spec, space = spec_for(options.space), SPACES[options.space]
    try:
        clouds = sweep_voxels(options.real, spec.voxel_size, spec.point_range)
        table = LatencyTable(clouds, len(spec.features), spec.num_classes, options.precision, options.table)
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    rng = random.Random(options.seed)
    subnets = [space.smallest(), space.largest(), *(space.sample(rng) for _ in range(options.check))]
    pairs = table.verify(subnets)
    print(f"{table.about}; CPU ms of one thread")
    for subnet, (predicted, measured) in zip(subnets, pairs):
        off = predicted / measured - 1
        print(f"predicted {predicted:7.2f}  measured {measured:7.2f}  {off:+.1%}  {list(subnet.channels)} "
              f"{subnet.depths}")
    print(f"correlation {correlation(pairs):.4f}; {len(table.table)} calls in the table")
    return 0


if __name__ == "__main__":
    sys.exit(main())
