"""A street network on dense grids as something to feed sweeps to: `PointSession.step(xyz, intensity)`.

    session = PointSession.from_weights("pvcnn-lite")
    points = session.step(xyz, intensity)        # PointLabels: a label and a score for every raw point

Such a network sees squares of 8 m (models/pvcnn/crops.py): a sweep is laid out in squares, the points of a full one are
dealt into equal parts, and every finite point is labelled once. A step depends on its sweep alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.facts import ModelError, ModelFacts, load_network
from models.pvcnn.crops import FEATURES, SIDE, crop_features
from models.pvcnn.frugal import FrugalNetwork
from models.spvcnn.session import NO_LABEL, PointLabels

ENGINES = ("auto", "frugal", "dense")
Network = Callable[[Tensor], Tensor]


class PointSession:
    """Labels sweeps and crops with one network. Not for several threads at once: give each its own.

    facts: the model's facts · points: most points of one pass (the networks were trained with 2,048) · engine:
    "frugal" computes only those voxels of PVCNN's grids that points read, "dense" all of them, with equal results up to
    rounding; "auto" is frugal where the network allows · seconds: wall time of the last step's stages (squares,
    features, network).
    """

    def __init__(
        self, network: torch.nn.Module, facts: ModelFacts, points: int = 2048, threads: int = 2, engine: str = "auto"
    ):
        if tuple(facts.features) != FEATURES:
            raise ModelError(
                f"{facts.name} reads {', '.join(facts.features)}: expected a street network, which reads "
                f"{', '.join(FEATURES)}; feed others with `models.facts.load_network`"
            )
        if points < 1 or threads < 1:
            raise ModelError(f"points is {points} and threads is {threads}: expected 1 or more of each")
        if engine not in ENGINES:
            raise ModelError(f"engine {engine!r} is unknown; known: {', '.join(ENGINES)}")
        self.facts, self.points, self.threads = facts, points, threads
        frugal = engine == "frugal" or (engine == "auto" and FrugalNetwork.fits(network))
        self.network: Network = FrugalNetwork(network, threads) if frugal else network.eval()
        self.engine = f"{'frugal' if frugal else 'dense'}, fp32, {threads} thread{'s' * (threads > 1)}"
        self.seconds: dict[str, float] = {}

    @classmethod
    def from_weights(
        cls, name_or_path: str | Path = "pvcnn-lite", points: int = 2048, threads: int = 2, engine: str = "auto"
    ) -> PointSession:
        """Session of a model by name, folder or `random:<preset>`. Raises ModelError (one sentence, what to do)."""
        network, facts = load_network(name_or_path)
        return cls(network, facts, points, threads, engine)

    def reset(self) -> None:
        """Forgets the past: there is none, sweeps are labelled one by one."""

    def step(self, xyz: NDArray[np.float32], intensity: NDArray[np.float32]) -> PointLabels:
        """xyz float32 [N, 3] m in the sensor frame (any values), intensity float32 [N] 0..1 -> PointLabels of N points.

        Raises ValueError where the shapes do not fit."""
        xyz, intensity = np.ascontiguousarray(xyz, np.float32), np.ascontiguousarray(intensity, np.float32)
        if xyz.ndim != 2 or xyz.shape[1] != 3 or intensity.shape != (len(xyz),):
            raise ValueError(f"xyz has shape {xyz.shape} and intensity {intensity.shape}: expected [N, 3] and [N]")
        intensity = np.nan_to_num(intensity, nan=0.0, posinf=0.0, neginf=0.0)
        label, score = np.full(len(xyz), NO_LABEL, np.uint8), np.zeros(len(xyz), np.float32)
        known = bool(intensity.any())
        spent = {"squares": 0.0, "features": 0.0, "network": 0.0}
        mark = perf_counter()
        for rows, centre in self._squares(xyz):
            now = perf_counter()
            spent["squares"] += now - mark
            features = crop_features(xyz[rows], intensity[rows], centre, 0.0, known)
            mark, now = perf_counter(), perf_counter() - now
            spent["features"] += now
            label[rows], score[rows] = self._label(features)
            mark, now = perf_counter(), perf_counter() - mark
            spent["network"] += now
        self.seconds = spent
        return PointLabels(label, score)

    def _squares(self, xyz: NDArray[np.float32]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """(rows of at most `points` points, centre) of every square that holds any; the deal is the same every time."""
        good = np.flatnonzero(np.isfinite(xyz).all(1) & (np.abs(np.nan_to_num(xyz)) < 1000.0).all(1))
        cell = np.floor(xyz[good, :2] / np.float32(SIDE)).astype(np.int64)
        order = np.lexsort((cell[:, 1], cell[:, 0]))
        good, cell = good[order], cell[order]
        if not len(cell):
            return
        starts = np.flatnonzero(np.any(np.diff(cell, axis=0, prepend=cell[:1] - 1), 1))
        shuffle = np.random.default_rng(0)
        for first, rows in zip(starts, np.split(good, starts[1:])):
            centre = (cell[first].astype(np.float32) + np.float32(0.5)) * np.float32(SIDE)
            parts = -(-len(rows) // self.points)
            rows = shuffle.permutation(rows) if parts > 1 else rows
            for part in np.array_split(rows, parts):
                yield part, centre

    @torch.inference_mode()
    def _label(self, features: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        logits = self.network(torch.from_numpy(features)[None])[0]
        score, label = logits.softmax(0).max(0)
        return label.to(torch.uint8).numpy(), score.numpy()
