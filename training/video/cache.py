"""Labelled video on disk: the format that `training.video.world` writes, and its reader.

    runs/video/<split>/<seed>_<k>/          one clip: consecutive frames of one front camera at 5 Hz
        img_00001.jpg …                     RGB, 384 x 192 px (whatever the camera's proportions: stretched), JPEG q 90
        clip.json                           see `Clip`
        boxes.npz                           see `FrameBoxes`; one row per object and frame
    runs/video/<split>/<seed>.done          this seed's drive has been rendered (generation resumes behind it)

Frame i (0-based) of a clip is `img_{i + 1:05d}.jpg`, so a clip is a frame folder of the Kinetics/Something kind too.

    for clip in VideoCache("runs/video", "train"):
        image = clip.image(12)              # uint8 [192, 384, 3] RGB
        clip.events[12], clip.label(12)     # names under way; the one class id that stands for them
        boxes = clip.boxes(12)              # FrameBoxes: arrays of this frame's objects
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.facts import ModelError
from perception_nodes.classes import EVENTS

WIDTH, HEIGHT = 384, 192  # px of the stored pictures
RATE = 5.0  # frames a second
VERSION = 1

BOX_NAMES = ("car", "truck", "bus", "two-wheeler", "person")
# nuScenes category of the simulator -> position in BOX_NAMES; barriers and cones have no row
BOX_CLASS = {
    "car": 0,
    "truck": 1,
    "construction_vehicle": 1,
    "trailer": 1,
    "bus": 2,
    "motorcycle": 3,
    "bicycle": 3,
    "pedestrian": 4,
}

# Where several events are under way the first of these is the frame's label: people before manoeuvres of others,
# these before the ego vehicle's own, the commonest last.
PRIORITY = (
    "person_crossing_left_to_right",
    "person_crossing_right_to_left",
    "cut_in_from_left",
    "cut_in_from_right",
    "cut_out",
    "lead_vehicle_braking",
    "being_overtaken",
    "ego_turning_left",
    "ego_turning_right",
    "ego_braking",
    "oncoming_vehicle_passing",
)
IGNORED = -100  # label of a frame that teaches nothing (torch's cross_entropy passes over it)
MIRRORED = (
    ("ego_turning_left", "ego_turning_right"),
    ("cut_in_from_left", "cut_in_from_right"),
    ("person_crossing_left_to_right", "person_crossing_right_to_left"),
)


def primary(events: Sequence[str]) -> int:
    """Class id (position in EVENTS) of the event that stands for all under way; 0 ("none") where there is none."""
    for name in PRIORITY:
        if name in events:
            return EVENTS.index(name)
    return 0


def mirrored_ids() -> NDArray[np.int64]:
    """int64 [12]: the class id that each class becomes when the picture is flipped left to right."""
    ids = np.arange(len(EVENTS))
    for left, right in MIRRORED:
        a, b = EVENTS.index(left), EVENTS.index(right)
        ids[a], ids[b] = b, a
    return ids


def backward_ids() -> NDArray[np.int64]:
    """int64 [12]: the class id that each class becomes when the frames are played backwards: turns and crossings their
    mirror, a cut-in a cut-out. IGNORED where what is then seen is not an event of the list (a car that brakes)."""
    ids = np.full(len(EVENTS), IGNORED)
    ids[0] = 0
    turned = [EVENTS.index(name) for pair in (MIRRORED[0], MIRRORED[2]) for name in pair]
    ids[turned] = mirrored_ids()[turned]
    for name in MIRRORED[1]:
        ids[EVENTS.index(name)] = EVENTS.index("cut_out")
    return ids


@dataclass(frozen=True, eq=False)
class FrameBoxes:
    """Objects of one frame (or, in `Clip.all_boxes`, of all), M rows. Objects of which nothing is seen are left out.

    frame int32 [M] · track int32 [M] (unique in a clip) · cls uint8 [M] (BOX_NAMES) · box float32 [M, 4]: x1, y1, x2,
    y2 px of the whole object's 3D box, cut at the picture's edges · seen float32 [M, 4]: of its visible pixels ·
    pixels int32 [M]: how many are visible · share float32 [M]: about how much of the object within the picture is
    visible, 0..1 (visible pixels over the filled hull of its box) · cut bool [M]: the picture's edge cuts it · speed
    float32 [M]: over ground, m/s · flow float32 [M, 2]: motion of the box centre since the frame before, px/s (NaN in
    its first frame) · distance float32 [M]: m along the optical axis.
    """

    frame: NDArray[np.int32]
    track: NDArray[np.int32]
    cls: NDArray[np.uint8]
    box: NDArray[np.float32]
    seen: NDArray[np.float32]
    pixels: NDArray[np.int32]
    share: NDArray[np.float32]
    cut: NDArray[np.bool_]
    speed: NDArray[np.float32]
    flow: NDArray[np.float32]
    distance: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.frame)

    def rows(self, which: NDArray) -> FrameBoxes:
        """The rows of a mask or an index array."""
        return FrameBoxes(**{k: getattr(self, k)[which] for k in self.__dataclass_fields__})

    def save(self, path: Path) -> None:
        """Writes an npz of plain arrays."""
        np.savez_compressed(path, **{k: getattr(self, k) for k in self.__dataclass_fields__})

    @staticmethod
    def load(path: Path) -> FrameBoxes:
        """Reads what `save` wrote."""
        with np.load(path, allow_pickle=False) as found:
            return FrameBoxes(**{k: found[k] for k in FrameBoxes.__dataclass_fields__})


@dataclass(frozen=True)
class ClipFacts:
    """clip.json. seed, scenario, rig, camera, daytime, weather: of the drive · start: s of the drive at frame 0 · size:
    (height, width) px · events: names under way, per frame."""

    seed: int
    scenario: str
    rig: str
    camera: str
    daytime: str
    weather: str
    start: float
    size: tuple[int, int]
    rate: float
    events: tuple[tuple[str, ...], ...] = field(default_factory=tuple)
    version: int = VERSION


class Clip:
    """One clip of the cache; pictures and boxes are read when asked for."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        try:
            found = json.loads((self.folder / "clip.json").read_text())
        except (OSError, ValueError) as error:
            raise ModelError(f"{self.folder} is not a clip ({error}); run python -m training.video.world") from None
        if found.get("version") != VERSION:
            raise ModelError(f"{self.folder} has version {found.get('version')}, expected {VERSION}; render it anew")
        found["events"] = tuple(tuple(row) for row in found["events"])
        found["size"] = tuple(found["size"])
        self.facts = ClipFacts(**found)

    def __len__(self) -> int:
        return len(self.facts.events)

    @property
    def events(self) -> tuple[tuple[str, ...], ...]:
        """Names of the events under way, per frame."""
        return self.facts.events

    def label(self, index: int) -> int:
        """Class id of frame `index` by PRIORITY."""
        return primary(self.facts.events[index])

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Class ids of all frames, int64 [len]."""
        return np.array([primary(row) for row in self.facts.events], np.int64)

    def path(self, index: int) -> Path:
        """File of frame `index` (0-based)."""
        return self.folder / f"img_{index + 1:05d}.jpg"

    def image(self, index: int) -> NDArray[np.uint8]:
        """Frame `index` as uint8 [H, W, 3] RGB; ModelError where the file is missing or damaged."""
        import cv2

        found = cv2.imread(str(self.path(index)), cv2.IMREAD_COLOR)
        if found is None:
            raise ModelError(f"{self.path(index)} is missing or no picture; delete {self.folder} and render it anew")
        return np.ascontiguousarray(found[..., ::-1])

    @cached_property
    def all_boxes(self) -> FrameBoxes:
        """Boxes of all frames."""
        return FrameBoxes.load(self.folder / "boxes.npz")

    def boxes(self, index: int) -> FrameBoxes:
        """Boxes of frame `index`."""
        return self.all_boxes.rows(self.all_boxes.frame == index)


class VideoCache(Sequence[Clip]):
    """The finished clips of a split, by name. Those that are added later are seen by a new VideoCache."""

    def __init__(self, root: str | Path = "runs/video", split: str = "train") -> None:
        self.folder = Path(root) / split
        self._clips = [Clip(p.parent) for p in sorted(self.folder.glob("[0-9]*_*/clip.json"))]
        if not self._clips:
            raise ModelError(f"no clips in {self.folder}; make some: python -m training.video.world --split {split}")

    def __getitem__(self, index):  # type: ignore[override]
        return self._clips[index]

    def __len__(self) -> int:
        return len(self._clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self._clips)


def write_clip(
    folder: Path, facts: ClipFacts, images: Sequence[NDArray[np.uint8]], boxes: FrameBoxes, quality: int = 90
) -> None:
    """Writes a clip; it appears under its name only when complete. images: uint8 [H, W, 3] RGB."""
    import shutil

    import cv2

    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for i, image in enumerate(images):
        cv2.imwrite(str(part / f"img_{i + 1:05d}.jpg"), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    boxes.save(part / "boxes.npz")
    (part / "clip.json").write_text(json.dumps(asdict(facts)))
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
