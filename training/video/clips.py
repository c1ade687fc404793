"""Training and test samples of video: clips uint8 [T, H, W, 3] with the label of every frame.

`EventClips` draws from the rendered cache (training.video.cache), decoded once into one array that several trainings
share through the page cache; `ListClips` draws from frame folders and a list (training.video.frame_lists). A sample
follows from a generator that is given, so a batch is the same whichever process makes it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.facts import ModelError
from perception_nodes.classes import EVENTS
from training.video import clip_sampling
from training.video.cache import IGNORED, Clip, VideoCache, backward_ids, mirrored_ids
from training.video.clip_augment import resized
from training.video.frame_lists import LEAST, TEMPLATES, Video, read_list


@dataclass(frozen=True, eq=False)
class Sample:
    """clip uint8 [T, H, W, 3] RGB · labels int64 [T]: class of every frame (the last is the clip's)."""

    clip: NDArray[np.uint8]
    labels: NDArray[np.int64]


class Clips(Protocol):
    """A source of samples. `flip_labels`: what each class becomes in the mirror, None where labels have no sides."""

    flip_labels: NDArray[np.int64] | None

    def draw(self, rng: np.random.Generator) -> Sample:
        """A random training sample."""
        ...


class EventClips:
    """Clips of `segments` consecutive frames of the cache, each class equally often; `none` like any other.

    A clip's label is the event under way at its last frame (cache.PRIORITY where there are several). The same
    last frame can be reached from the other side: the frames after it, played backwards, as a car sees them that backs
    up. A turn or a crossing then has the label of its mirror (cache.backward_ids).
    """

    def __init__(
        self, root: str | Path, split: str, segments: int = 8, size: tuple[int, int] = (112, 224), limit: int = 0,
        sided: float = 0.0, backward: float = 0.0,
    ) -> None:  # fmt: skip
        """size: (height, width) px at which frames are kept · limit: use the first so many clips (0: all) · sided:
        share of the draws that are of a mirrored event · backward: share of the draws of such an event that are played
        backwards. Raises ModelError where the cache is empty or has no clip of `segments` frames."""
        self.segments = segments
        self.flip_labels = mirrored_ids()
        clips = [c for c in VideoCache(root, split) if len(c) >= segments]
        self.clips = clips[:limit] if limit else clips
        if not self.clips:
            raise ModelError(f"no clip of {segments} frames in {root}/{split}; render more: training.video.world")
        self.digest = clips_digest(self.clips, size)
        self.frames = packed(self.clips, Path(root) / "packed", size)
        self.first = np.concatenate([[0], np.cumsum([len(c) for c in self.clips])[:-1]])
        self.labels = np.concatenate([c.labels for c in self.clips])
        ends = [f + np.arange(segments - 1, len(c)) for f, c in zip(self.first, self.clips)]
        self.ends = np.concatenate(ends)  # every frame that has `segments` frames of its clip up to itself
        after = [np.arange(len(c)) + segments <= len(c) for c in self.clips]
        self._has_after = np.concatenate(after)  # bool [frames]: it has as many from itself on, too
        kinds = self.labels[self.ends]
        found = [k for k in range(len(EVENTS)) if (kinds == k).any()]
        self._by_class = [self.ends[kinds == k] for k in found]
        self._sided = [i for i, k in enumerate(found) if self.flip_labels[k] != k]
        self._sided_share = sided if self._sided else 0.0
        self._backward, self._backward_share = backward_ids(), backward

    def at(self, end: int) -> Sample:
        """The clip that ends at packed frame `end`."""
        which = slice(end - self.segments + 1, end + 1)
        return Sample(np.asarray(self.frames[which]), self.labels[which])

    def backward(self, end: int) -> Sample:
        """The clip that reaches packed frame `end` from the frames after it."""
        which = slice(end, end + self.segments)
        labels = self._backward[self.labels[which][::-1]]
        return Sample(np.asarray(self.frames[which])[::-1], labels)

    def both_ways(self, ends: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of `ends`, int64 [M], where a turn, a crossing or a cut-in is under way that `backward` can show."""
        known = (self._backward[self.labels[ends]] != IGNORED) & (self.labels[ends] != 0)
        return ends[known & self._has_after[ends]]

    def draw(self, rng: np.random.Generator) -> Sample:
        """A class, then one of its frames."""
        if self._sided_share > 0 and rng.random() < self._sided_share:
            ends = self._by_class[self._sided[int(rng.integers(len(self._sided)))]]
        else:
            ends = self._by_class[int(rng.integers(len(self._by_class)))]
        end = int(ends[int(rng.integers(len(ends)))])
        if self._backward_share > 0 and rng.random() < self._backward_share and len(self.both_ways(np.array([end]))):
            return self.backward(end)
        return self.at(end)

    def counts(self) -> dict[str, int]:
        """Clip ends by event."""
        return {name: int((self.labels[self.ends] == k).sum()) for k, name in enumerate(EVENTS)}


def clips_digest(clips: Sequence[Clip], size: tuple[int, int]) -> str:
    """What identifies these clips at this size."""
    names = " ".join(f"{c.folder.name}:{len(c)}" for c in clips)
    return hashlib.sha256(f"{clips[0].folder.parent} {names} {size}".encode()).hexdigest()[:16]


def packed(clips: Sequence[Clip], folder: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """All frames of the clips, uint8 [N, *size, 3], decoded once into a file that is mapped into memory."""
    path = folder / f"{clips[0].folder.parent.name}_{clips_digest(clips, size)}.npy"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")  # several trainings may start at once
        total = sum(len(c) for c in clips)
        out = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=(total, *size, 3))
        i = 0
        for clip in clips:
            for j in range(len(clip)):
                out[i] = resized(clip.image(j)[None], size)[0]
                i += 1
        out.flush()
        del out
        part.rename(path)
    return np.load(path, mmap_mode="r", allow_pickle=False)


class ListClips:
    """Clips of the videos of a list, uniform or dense; every frame has the video's label.

    flip_labels None: labels have no sides (then decide `augment.flip` by the data: off for Something-Something and
    Jester, whose labels change in the mirror).
    """

    def __init__(
        self, path: str | Path, root: str | Path | None, classes: int, segments: int = 8, dense: bool = False,
        template: str = TEMPLATES["kinetics"], train: bool = True,
    ) -> None:  # fmt: skip
        self.videos = read_list(path, root, classes, LEAST if train else 1)
        self.segments, self.dense, self.template = segments, dense, template
        self.flip_labels: NDArray[np.int64] | None = None

    def draw(self, rng: np.random.Generator) -> Sample:
        """A random clip of a random video."""
        video = self.videos[int(rng.integers(len(self.videos)))]
        pick = clip_sampling.dense_train if self.dense else clip_sampling.uniform_train
        return self.read(video, pick(video.frames, self.segments, rng))

    def test(self, index: int) -> list[Sample]:
        """The clips of video `index` for testing: one (uniform) or ten (dense)."""
        video = self.videos[index]
        if self.dense:
            return [self.read(video, row) for row in clip_sampling.dense_test(video.frames, self.segments)]
        return [self.read(video, clip_sampling.uniform_test(video.frames, self.segments))]

    def read(self, video: Video, indices: NDArray[np.int64]) -> Sample:
        """The frames at `indices` of a video."""
        frames = {int(i): video.image(int(i), self.template) for i in np.unique(indices)}
        clip = np.stack([frames[int(i)] for i in indices])
        return Sample(clip, np.full(len(indices), video.label, np.int64))
