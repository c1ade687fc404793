"""Short clips with true boxes for the video detector: drawn from the cache on disk, all frames augmented alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from perception_nodes.evaluation.detection2d import hard_to_see
from training.detection2d.loss import Truth
from training.video.cache import BOX_NAMES, Clip, FrameBoxes

LEAST_SIDE = 1.0  # px that must be left of a box in an augmented picture


@dataclass(frozen=True)
class ClipAugment:
    """flip: share of clips mirrored · zoom: smallest and largest magnification · stretch: largest factor between the
    axes' magnifications · light, colour: largest change of brightness, contrast and saturation · grey: share without
    colour · blur: share softened · noise: largest sigma of added grain, grey levels."""

    flip: float = 0.5
    zoom: tuple[float, float] = (0.8, 1.5)
    stretch: float = 1.15
    light: float = 0.35
    colour: float = 0.4
    grey: float = 0.03
    blur: float = 0.15
    noise: float = 6.0


@dataclass(frozen=True, eq=False)
class Sample:
    """images uint8 [T, H, W, 3] RGB · truths: T pictures' true boxes."""

    images: NDArray[np.uint8]
    truths: list[Truth]


def truth_of(rows: FrameBoxes) -> tuple[NDArray, NDArray, NDArray]:
    """(boxes float32 [M, 4], label int64 [M], share float32 [M]) of a frame's rows: whole objects, as KITTI's and
    nuScenes' annotators draw them."""
    return rows.box.astype(np.float32), rows.cls.astype(np.int64), rows.share.astype(np.float32)


class ClipSampler:
    """Endless random clips of `length` frames. The more of the rarer classes a clip shows, the oftener it is drawn."""

    def __init__(self, clips: list[Clip], length: int, augment: ClipAugment, seed: int):
        self.clips = [c for c in clips if len(c) >= length]
        if not self.clips:
            raise ValueError(f"none of {len(clips)} clips has {length} frames; render more: training.video.world")
        self.length, self.augment = length, augment
        self.rng = np.random.default_rng(seed)
        self.weights = clip_weights(self.clips)

    def draw(self) -> Sample:
        """One clip, augmented."""
        clip = self.clips[int(self.rng.choice(len(self.clips), p=self.weights))]
        first = int(self.rng.integers(len(clip) - self.length + 1))
        images = [clip.image(first + t) for t in range(self.length)]
        rows = [truth_of(clip.boxes(first + t)) for t in range(self.length)]
        return _augmented(images, rows, self.augment, self.rng)


def clip_weights(clips: list[Clip]) -> NDArray[np.float64]:
    """Probability of each clip: its frames, times how much it holds of classes that are rare in the whole cache."""
    counts = np.array([np.bincount(c.all_boxes.cls, minlength=len(BOX_NAMES)) for c in clips], float)  # [clips, K]
    frames = np.array([len(c) for c in clips], float)
    rarity = 1.0 / np.sqrt(np.maximum(counts.sum(0), 1.0) / frames.sum())  # [K]
    shown = counts / frames[:, None] > 0.5  # more than every second frame has one
    weight = frames * (1.0 + np.where(shown, rarity, 0.0).max(1))
    return weight / weight.sum()


def _augmented(images: list[NDArray], rows: list[tuple], config: ClipAugment, rng: np.random.Generator) -> Sample:
    """The same change of view and light for every frame; grain is drawn anew for each."""
    import cv2

    height, width = images[0].shape[:2]
    matrix = _view(height, width, config, rng)
    table = _light(config, rng)
    grey, saturation = rng.random() < config.grey, 1.0 + config.colour * rng.uniform(-1, 1)
    sigma = config.noise * rng.random() if rng.random() < 0.5 else 0.0
    soft = rng.uniform(0.4, 1.1) if rng.random() < config.blur else 0.0
    out, truths = [], []
    for image, (boxes, label, share) in zip(images, rows):
        image = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=(124, 116, 104))
        image = cv2.LUT(image, table)
        flat = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None].repeat(3, 2)
        image = flat if grey else cv2.addWeighted(image, saturation, flat, 1.0 - saturation, 0.0)
        if soft:
            image = cv2.GaussianBlur(image, (0, 0), soft)
        if sigma:
            grain = rng.standard_normal((height, width, 1), np.float32) * np.float32(sigma)
            image = np.clip(image + grain, 0, 255).astype(np.uint8)
        out.append(image)
        truths.append(_moved(boxes, label, share, matrix, (height, width)))
    return Sample(np.stack(out), truths)


def _view(height: int, width: int, config: ClipAugment, rng: np.random.Generator) -> NDArray[np.float64]:
    """Affine map [2, 3] of pixels: zoom about a random place, perhaps mirrored."""
    zoom = float(np.exp(rng.uniform(*np.log(config.zoom))))
    stretch = float(np.exp(rng.uniform(-1, 1) * np.log(config.stretch) / 2))
    sx, sy = zoom * stretch, zoom / stretch
    x = rng.uniform(*sorted((0.0, width - width * sx)))
    y = rng.uniform(*sorted((0.0, height - height * sy)))
    if rng.random() < config.flip:
        return np.array([[-sx, 0.0, width - x], [0.0, sy, y]])
    return np.array([[sx, 0.0, x], [0.0, sy, y]])


def _light(config: ClipAugment, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Table uint8 [256]: brightness, contrast about the middle, gamma."""
    gain, contrast, gamma = 1.0 + config.light * rng.uniform(-1, 1, 3)
    values = (np.arange(256) / 255.0) ** gamma
    return np.clip(((values * gain - 0.5) * contrast + 0.5) * 255.0, 0, 255).astype(np.uint8)


def _moved(boxes: NDArray, label: NDArray, share: NDArray, matrix: NDArray, size: tuple[int, int]) -> Truth:
    """True boxes in the changed view, cut at its edges; those outside are left out."""
    height, width = size
    x = np.sort(boxes[:, 0::2] * matrix[0, 0] + matrix[0, 2], axis=1).clip(0, width)
    y = (boxes[:, 1::2] * matrix[1, 1] + matrix[1, 2]).clip(0, height)
    moved = np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1).astype(np.float32)
    kept = ((moved[:, 2:] - moved[:, :2]) > LEAST_SIDE).all(1)
    moved = moved[kept]
    return Truth(
        torch.from_numpy(moved),
        torch.from_numpy(label[kept]),
        torch.from_numpy(hard_to_see(moved, share[kept])),
    )
