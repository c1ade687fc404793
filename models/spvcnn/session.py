"""A trained segmentation network as something to feed sweeps to: `SegmentationSession.step(xyz, intensity)`.

    session = SegmentationSession.from_weights("spvcnn-lite")
    points = session.step(xyz, intensity)        # PointLabels: a label and a score for every raw point

Every raw point gets the label of its voxel. Points that are not finite or outside the model's range get label 255 and
score 0. A step depends on its sweep alone: the session holds scratch memory, no past.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from models.facts import ModelError, ModelFacts, load_network
from models.sparse import native
from models.sparse.program import Frame, Program, Sweep
from models.spvcnn.features import feature_codes, fill_features
from models.spvcnn.inference import PRECISIONS, Predictor
from models.spvcnn.presets import OFFICIAL_FEATURES
from models.spvcnn.quantise import QuantisedCloud, Quantiser

NO_LABEL = 255


@dataclass(frozen=True, eq=False)
class PointLabels:
    """label uint8 [N], class id or 255 (no class) · score float32 [N] 0..1, the softmax of the label; 0 where 255."""

    label: NDArray[np.uint8]
    score: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.label)


@njit(cache=True, nogil=True)
def _best(logits, label, score):
    """Arg-max of every row and its softmax.

    exp(d) for d = logit - largest, -40 < d <= 0, as the 256th power of the cubic Taylor polynomial of exp(d / 256):
    only products, so the loop over the classes is vectorised; the error of the score stays below 5e-5.
    """
    n, classes = logits.shape
    row = np.empty(classes, np.float32)  # one row side by side in memory, whatever the strides of `logits`
    for v in range(n):
        largest = logits[v, 0]
        for c in range(classes):
            value = logits[v, c]
            row[c] = value
            largest = value if value > largest else largest
        best = 0
        for c in range(classes - 1, -1, -1):
            best = c if row[c] == largest else best
        for c in range(classes):
            d = row[c] - largest
            d = d if d > np.float32(-40.0) else np.float32(-40.0)
            t = d * np.float32(1.0 / 256.0)
            p = np.float32(1.0) + t * (np.float32(1.0) + t * (np.float32(0.5) + t * np.float32(1.0 / 6.0)))
            p = p * p
            p = p * p
            p = p * p
            p = p * p
            p = p * p
            p = p * p
            p = p * p
            row[c] = p * p
        total = np.float32(0.0)
        for c in range(classes):
            total += row[c]
        label[v] = best
        score[v] = np.float32(1.0) / total


@njit(cache=True, nogil=True)
def _spread(voxel_of, voxel_label, voxel_score, label, score):
    """From voxels to points; points without a voxel keep what they have."""
    for i in range(len(voxel_of)):
        v = voxel_of[i]
        if v >= 0:
            label[i] = voxel_label[v]
            score[i] = voxel_score[v]


class SegmentationSession:
    """Labels sweeps with one network. Not for several threads at once: give each its own.

    facts: the model's facts; `facts.trained` is False for random weights · seconds: wall time of the last step's stages
    (voxelise, maps, features, network, labels).
    """

    def __init__(self, network: torch.nn.Module, facts: ModelFacts, precision: str = "auto", threads: int = 2):
        if precision not in PRECISIONS:
            raise ModelError(f"precision {precision!r} is unknown; known: {', '.join(PRECISIONS)}")
        if threads < 1:
            raise ModelError(f"threads is {threads}: expected 1 or more")
        self.facts = facts
        self.threads = threads
        self._quantiser = Quantiser(facts.voxel_size, facts.point_range)
        self._predict = Predictor(network, precision, threads)
        self._official = facts.features == OFFICIAL_FEATURES
        self._codes = feature_codes(facts.features)
        self.seconds: dict[str, float] = {}
        self._frame = Frame() if self._predict.program is not None else None

    @classmethod
    def from_weights(
        cls, name_or_path: str | Path = "spvcnn-lite", precision: str = "auto", threads: int = 2
    ) -> SegmentationSession:
        """Session of a model by name, folder or `random:<preset>`. Raises ModelError (one sentence, what to do)."""
        network, facts = load_network(name_or_path)
        return cls(network, facts, precision, threads)

    @property
    def engine(self) -> str:
        """What runs the network, in a few words."""
        return self._predict.engine

    def reset(self) -> None:
        """Forgets the past: there is none, sweeps are labelled one by one."""

    def step(self, xyz: NDArray[np.float32], intensity: NDArray[np.float32]) -> PointLabels:
        """xyz float32 [N, 3] m in the sensor frame (any values), intensity float32 [N] 0..1 -> PointLabels of N points.

        Raises ValueError where the shapes do not fit.
        """
        xyz = np.ascontiguousarray(xyz, np.float32)
        intensity = np.ascontiguousarray(intensity, np.float32)
        if xyz.ndim != 2 or xyz.shape[1] != 3 or intensity.shape != (len(xyz),):
            raise ValueError(f"xyz has shape {xyz.shape} and intensity {intensity.shape}: expected [N, 3] and [N]")
        if self._frame is not None and self._predict.program is not None:
            return self._step_compiled(self._frame, self._predict.program, xyz, intensity)
        if not np.isfinite(intensity).all():
            intensity = np.nan_to_num(intensity, nan=0.0, posinf=0.0, neginf=0.0)
        label, score = np.full(len(xyz), NO_LABEL, np.uint8), np.zeros(len(xyz), np.float32)
        marks = [("voxelise", perf_counter())]
        cloud = self._quantiser(xyz, intensity)
        n = len(cloud.coords)
        if n:
            marks.append(("maps", perf_counter()))
            maps = self._predict.maps(cloud.level())
            marks.append(("features", perf_counter()))
            feats = self._features(cloud, xyz, intensity)
            marks.append(("network", perf_counter()))
            logits = self._predict.run(feats, maps)
            marks.append(("labels", perf_counter()))
            voxel_label, voxel_score = np.empty(n, np.uint8), np.empty(n, np.float32)
            _best(logits, voxel_label, voxel_score)
            _spread(cloud.voxel_of, voxel_label, voxel_score, label, score)
        ends = [start for _, start in marks[1:]] + [perf_counter()]
        self.seconds = {stage: end - start for (stage, start), end in zip(marks, ends)}
        return PointLabels(label, score)

    def _step_compiled(
        self, frame: Frame, program: Program, xyz: NDArray[np.float32], intensity: NDArray[np.float32]
    ) -> PointLabels:
        """The whole step in one call of the compiled engine."""
        label, score = np.empty(len(xyz), np.uint8), np.empty(len(xyz), np.float32)
        sweep = Sweep(
            xyz=native.address(xyz), intensity=native.address(intensity), points=len(xyz),
            low=tuple(self._quantiser.low.tolist()), size=tuple(self._quantiser.size.tolist()),
            voxel_size=self.facts.voxel_size, codes=native.address(self._codes), codes_count=len(self._codes),
            first_point=self._official, label=native.address(label), score=native.address(score),
            classes=program.classes,
        )  # fmt: skip
        if len(xyz):
            frame.step(program, sweep, self.threads)
        self.seconds = dict(zip(("voxelise", "maps", "features", "network", "labels"), sweep.seconds))
        return PointLabels(label, score)

    def _features(
        self, cloud: QuantisedCloud, xyz: NDArray[np.float32], intensity: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Input features float32 [M, C]; the released networks take a voxel's first point, ours its means."""
        if self._official:
            return np.concatenate((xyz[cloud.first], intensity[cloud.first, None]), 1)
        known = np.float32(intensity.any())  # a sensor without intensities gives zeros
        feats = np.empty((len(cloud.means), len(self._codes)), np.float32)
        fill_features(self._codes, cloud.means, cloud.coords, cloud.counts, known, self.facts.voxel_size, feats)
        return feats
