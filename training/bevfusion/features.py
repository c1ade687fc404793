"""What the frozen camera backbone says of the pictures of fused moments, kept on disk in int8.

    python -m training.bevfusion.features camera-lite --pictures runs/camera --moments runs/bevfusion_fused \\
        --out runs/bevfusion_features

A file a moment, runs/bevfusion_features/<split>/<seed>_<moment>.npz, of `views` augmentations of its V pictures:

    c8_a int8 [V, 40, H/8, W/8], c16_a int8 [V, 112, H/16, W/16]    the backbone's maps over `scales.npz`
    depth_a uint8 [V, H/8, W/8]                                     true class of depth of each cell; UNKNOWN
    intrinsics_a float64 [V, 3, 3]                                  of the network's pictures, px

Augmentation 0 is the picture as the session sees it; the others are zoomed, moved and relit. They are cached because
the backbone is most of the cost of a step: a training on these maps takes an eighth of the time.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.bevfusion.lite.build import SIZE
from models.bevfusion.lite.camera_heads import CameraLite
from models.bevfusion.lite.depth_bins import DepthBins
from models.facts import ModelError, ModelFacts, load_network
from models.runtime import Compiled, compile_network
from training.bevfusion.camera.augment import GREY, CameraAugment, view
from training.bevfusion.camera.pictures import HEIGHT, WIDTH, Picture, World
from training.bevfusion.camera.pictures import worlds_in as picture_worlds
from training.bevfusion.camera.targets import depth_target
from training.bevfusion.frames import moments_in, read_moment, world_path
from training.common.photometric import photometric
from training.common.progress import Progress

UNKNOWN = 255
CAMERAS = 6  # pictures of a moment
# the session's cut of a picture (models/bevfusion/images.py): the middle columns, the lowest rows
NOMINAL = np.array([[1.0, 0.0, -(WIDTH - SIZE[1]) / 2], [0.0, 1.0, -(HEIGHT - SIZE[0])]])
AUGMENT = CameraAugment(zoom=(0.92, 1.25), turn=0.0, flip=0.0)


@dataclass(frozen=True, eq=False)
class Features:
    """c8 float32 [V, 40, H/8, W/8] · c16 float32 [V, 112, H/16, W/16] · depth int64 [V, H/8, W/8] · intrinsics float64
    [V, 3, 3]; see the module."""

    c8: Tensor
    c16: Tensor
    depth: Tensor
    intrinsics: NDArray[np.float64]


def seen(picture: Picture, matrix: NDArray[np.float64], rng: np.random.Generator | None, bins: DepthBins):
    """(rgb uint8 [H, W, 3], classes of depth uint8 [H/8, W/8]) of a picture after the affine map `matrix`. rng: of the
    light's changes; None: as it is."""
    import cv2

    height, width = SIZE
    rgb = cv2.warpAffine(picture.rgb, matrix, (width, height), flags=cv2.INTER_LINEAR, borderValue=GREY)
    half = matrix.copy()
    half[:, 2] /= 2.0
    depth = cv2.warpAffine(picture.depth, half, (width // 2, height // 2), flags=cv2.INTER_NEAREST,
                           borderMode=cv2.BORDER_CONSTANT, borderValue=float("nan"))  # fmt: skip
    shares = depth_target(depth, picture.focal * float(matrix[0, 0]), bins)
    classes = np.where(shares.sum(0) > 0, shares.argmax(0), UNKNOWN).astype(np.uint8)
    return (rgb if rng is None else photometric(rgb, rng)), classes


def moved_intrinsics(intrinsics: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """K of the picture after an affine map [2, 3] of its pixels."""
    return np.vstack([matrix, [0.0, 0.0, 1.0]]) @ intrinsics


def open_camera(name: str) -> tuple[CameraLite, ModelFacts]:
    """A camera-lite by name or folder. Raises ModelError."""
    network, facts = load_network(name)
    if not isinstance(network, CameraLite):
        raise ModelError(f"{facts.name} is a {facts.architecture}: expected a camera-lite")
    return network, facts


class Cache:
    """A folder of features. Raises ModelError where there is none."""

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            with np.load(folder / "scales.npz", allow_pickle=False) as file:
                self.scales = [torch.from_numpy(file[name])[None, :, None, None] for name in ("c8", "c16")]
                self.views = int(file["views"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ModelError(f"no features in {folder} ({error}); type python -m training.bevfusion.features") from None

    def files(self, split: str) -> list[Path]:
        """Files of a split, by seed and moment."""
        return sorted((self.folder / split).glob("*.npz"))

    def read(self, path: Path, which: int) -> Features:
        """Augmentation `which` of a moment's pictures."""
        try:
            with np.load(path, allow_pickle=False) as file:
                c8, c16 = (
                    torch.from_numpy(file[f"{name}_{which}"]).float() * scale
                    for name, scale in zip(("c8", "c16"), self.scales)
                )
                depth = torch.from_numpy(file[f"depth_{which}"].astype(np.int64))
                return Features(c8, c16, depth, file[f"intrinsics_{which}"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ModelError(f"{path} cannot be read ({error}); delete it and make it again") from None


class Maker:
    """Runs a camera-lite's backbone over pictures."""

    def __init__(self, network: CameraLite, facts: ModelFacts, out: Path, views: int, threads: int):
        self.out, self.views, self.bins = out, views, network.bins
        assert facts.image is not None
        self._mean, self._std = (np.array(facts.image[name], np.float32) for name in ("mean", "std"))
        example = torch.zeros(CAMERAS, 3, *SIZE)
        self._run: Compiled = compile_network(network.branch.backbone.eval(), (example,), threads=threads)
        self._scales: list[NDArray[np.float32]] | None = None

    def maps(self, pictures: list[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """c8 and c16 of pictures of SIZE px."""
        given = (np.stack(pictures).astype(np.float32) / 255.0 - self._mean) / self._std
        return list(self._run(np.ascontiguousarray(given.transpose(0, 3, 1, 2))))

    def calibrate(self, worlds: list[World], moments: int = 8) -> None:
        """Scales of the int8 values, per channel, from the first pictures; kept for later calls."""
        path = self.out / "scales.npz"
        if not path.is_file():
            greatest = [np.zeros(40, np.float32), np.zeros(112, np.float32)]
            for world in worlds[:moments]:
                plain = [seen(world.picture(v), NOMINAL, None, self.bins)[0] for v in range(CAMERAS)]
                for most, found in zip(greatest, self.maps(plain)):
                    np.maximum(most, np.abs(found).max((0, 2, 3)), out=most)
            self.out.mkdir(parents=True, exist_ok=True)
            c8, c16 = (np.maximum(most, 1e-3) / 127 for most in greatest)
            np.savez(path, c8=c8, c16=c16, views=self.views)
        with np.load(path) as file:
            self._scales = [file["c8"], file["c16"]]

    def make(self, world: World, moments: Path, split: str) -> None:
        """Writes the missing files of one world."""
        seed = int(world.path.stem)
        source = world_path(moments, split, seed)
        if not source.is_file():
            return
        for i in range(moments_in(source)):
            path = self.out / split / f"{seed:06d}_{i}.npz"
            if not path.is_file():
                self._write(path, world, i, source, self.views if split == "train" else 1)

    def _write(self, path: Path, world: World, i: int, source: Path, views: int) -> None:
        assert self._scales is not None
        cameras = read_moment(source, i).cameras
        if cameras is None:
            raise ModelError(f"{source} has no cameras; make it with training.bevfusion.generate --pictures")
        pictures = [world.picture(i * CAMERAS + v) for v in range(CAMERAS)]
        arrays: dict[str, NDArray] = {}
        for a in range(views):
            rng = np.random.default_rng((int(world.path.stem), i, a))
            matrices = [NOMINAL if a == 0 else view((HEIGHT, WIDTH), AUGMENT, rng) for _ in pictures]
            shown = [seen(p, m, rng if a else None, self.bins) for p, m in zip(pictures, matrices)]
            for name, found, scale in zip(("c8", "c16"), self.maps([rgb for rgb, _ in shown]), self._scales):
                whole = np.round(found / scale[None, :, None, None])
                arrays[f"{name}_{a}"] = whole.clip(-127, 127).astype(np.int8)
            arrays[f"depth_{a}"] = np.stack([classes for _, classes in shown])
            k = [moved_intrinsics(own, m) for own, m in zip(cameras.intrinsics, matrices)]
            arrays[f"intrinsics_{a}"] = np.stack(k)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        part.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.bevfusion.features", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("model", help="a camera-lite: name or model folder")
    parser.add_argument("--pictures", type=Path, default=Path("runs/camera"))
    parser.add_argument("--moments", type=Path, default=Path("runs/bevfusion_fused"))
    parser.add_argument("--out", type=Path, default=Path("runs/bevfusion_features"))
    parser.add_argument("--splits", nargs="+", default=["train", "val", "test"])
    parser.add_argument("--views", type=int, default=2, help="of each training picture, with the plain one")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    try:
        maker = Maker(*open_camera(options.model), options.out, options.views, options.threads)
        for split in options.splits:
            worlds = picture_worlds(options.pictures, split)
            maker.calibrate(worlds)
            bar = Progress(f"features, {split}", len(worlds))
            for world in worlds:
                maker.make(world, options.moments, split)
                bar.step()
    except ModelError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
