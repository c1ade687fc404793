"""A BEVFusion as something to feed sensor frames to: `BevFusionSession.step(images, points, calibration)`.

    session = BevFusionSession.from_weights("bevfusion-det")      # a folder that `perception weights import` wrote
    answer = session.step({"front": image, …}, points, {"front": CameraCalibration.build(K, pose, (900, 1600)), …})
    answer.detections, answer.map

The frame of the answer is the frame of the points. The released models were trained in nuScenes' LiDAR frame: origin at
the LiDAR, 1.84 m above the road, so give points relative to a roof LiDAR, not to base_link. Axes: `x_forward` True is
REP 103 (x forward, y left, z up), False is nuScenes' LIDAR_TOP (x right, y forward, z up).

A camera of the calibration without an image is masked: it adds nothing to the bird's-eye view. A fused model without
points or without any image sees zeros in that branch; the released weights were not trained for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.bevfusion.build import OBJECTS
from models.bevfusion.calibration import CameraCalibration, matrices_of
from models.bevfusion.fused_encoder import FusedSparseEncoder
from models.bevfusion.geometry import CameraMatrices, depth_images
from models.bevfusion.images import ImageGeometry
from models.bevfusion.network import BEVFusion
from models.bevfusion.pool.reduce import sum_cells
from models.bevfusion.results import OLD, BevMap, Detections3D, bev_map, detections
from models.bevfusion.stages import BevStage, LiftStage
from models.bevfusion.sweeps import SWEEPS
from models.bevfusion.voxelise import VoxelGrid, voxelise
from models.facts import ModelError, ModelFacts, load_network
from models.runtime import Compiled, compile_network

Images = Mapping[str, NDArray[np.uint8]]
Calibration = Mapping[str, CameraCalibration]


@dataclass(frozen=True)
class BevAnswer:
    """detections: None for a model without object head · map: None without map head · masked: cameras of the
    calibration that gave no image · used_points: of those given, inside the model's range.
    """

    detections: Detections3D | None
    map: BevMap | None
    masked: tuple[str, ...]
    used_points: int


class BevFusionSession:
    """Runs one model on the CPU. Not for several threads at once: give each its own.

    facts: the model's facts; `facts.trained` is False for random weights · seconds: wall time of the last step's stages
    (images, camera, pool, lidar, bev, heads) · x_forward: axes of points, calibration and answer · past_sweeps: which
    the points should hold beside the newest · repeats_first: without a past the newest takes its place · temporal:
    whether `step` takes the vehicle's motion.
    """

    past_sweeps, repeats_first, temporal = SWEEPS, True, False

    def __init__(
        self,
        network: BEVFusion,
        facts: ModelFacts,
        runtime: str = "auto",
        threads: int = 2,
        precision: str = "auto",
        sparse_precision: str = "fp32",
        x_forward: bool = True,
    ):
        if threads < 1:
            raise ModelError(f"threads is {threads}: expected 1 or more")
        self.network, self.facts, self.threads, self.x_forward = network.eval(), facts, threads, x_forward
        self.seconds: dict[str, float] = {}
        config = facts.network
        self._convention = str(config.get("boxes", OLD))
        self._how: dict[str, Any] = {"runtime": runtime, "threads": threads, "precision": precision}
        self._cells: list[tuple[int, int]] = []
        self._lift: Compiled | None = None
        self._pooled = np.zeros((0, 0), np.float32)
        self._pooled_builds = 0
        if network.camera is not None and facts.image is not None:
            height, width = facts.image["size"]
            self.geometry = ImageGeometry((height, width), facts.image["resized_width"])
            self._mean, self._std = torch.tensor(facts.image["mean"]), torch.tensor(facts.image["std"])
            transform = network.camera.transform
            x, y, heights = transform.grid.cells
            if heights != 1:
                raise ModelError(f"{facts.name}: its grid has {heights} cells along z; the session runs grids of one")
            self._cells.append((x, y))
            self._pooled = np.zeros((x * y, transform.channels), np.float32)
        self._encoder: FusedSparseEncoder | None = None
        if network.lidar is not None:
            lidar = config["lidar"]
            self._voxels = VoxelGrid(
                tuple(lidar["point_range"]), tuple(lidar["voxel_size"]), lidar["max_points"], lidar["max_voxels"]
            )
            self._encoder = FusedSparseEncoder(network.lidar, sparse_precision, threads)
            self._cells.append(network.lidar.out_shape[:2])
        self._bev_stage = BevStage(network, self._cells)
        examples = tuple(torch.zeros(1, x * y, c) for (x, y), c in zip(self._cells, self._channels()))
        self._bev = compile_network(self._bev_stage, examples, **self._how)

    @classmethod
    def from_weights(cls, name_or_path: str | Path, **options: Any) -> BevFusionSession:
        """Session of a model by name, folder or `random:<preset>`; options as for the class. Raises ModelError."""
        network, facts = load_network(name_or_path)
        if not isinstance(network, BEVFusion):
            raise ModelError(f"{facts.name} is a {facts.architecture}: expected a bevfusion; `perception weights list`")
        return cls(network, facts, **options)

    @property
    def uses_cameras(self) -> bool:
        """True with a camera encoder."""
        return self.network.camera is not None

    @property
    def uses_points(self) -> bool:
        """True with a LiDAR encoder."""
        return self.network.lidar is not None

    @property
    def classes(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of (box classes, map classes)."""
        names = self.facts.class_names
        boxes = len(OBJECTS) if self.network.objects is not None else 0
        return names[:boxes], names[boxes:]

    def _channels(self) -> list[int]:
        camera, lidar = self.network.camera, self.network.lidar
        out = [] if camera is None else [camera.transform.channels]
        return out + ([] if lidar is None else [lidar.channels * lidar.heights])

    @property
    def engine(self) -> str:
        """What runs the network, in a few words."""
        sparse = "" if self._encoder is None else f"; LiDAR {self._encoder.precision}"
        return self._bev.describe() + sparse

    @property
    def precision(self) -> str:
        """Of the dense layers: fp32 or bf16."""
        return self._bev.precision

    @property
    def bev_cells(self) -> tuple[int, int]:
        """Cells along x and y of the finest BEV map that an encoder writes."""
        return max(self._cells)

    def reset(self) -> None:
        """Forgets the past: there is none, frames are answered one by one."""

    @torch.inference_mode()
    def step(self, images: Images, points: NDArray[np.float32] | None, calibration: Calibration) -> BevAnswer:
        """images: camera -> uint8 [H, W, 3] RGB · points: float32 [N, 5], x, y, z (m), intensity (0 to 255), age (s),
        as `sweeps.accumulate` makes them; None without LiDAR · calibration: of every camera of the rig, also of those
        that have no image now.

        Raises ValueError for shapes that do not fit, an image without calibration, one whose size contradicts its
        calibration, and for nothing at all that the model can see.
        """
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        self.seconds = {}
        cloud = self._cloud(points)
        present = self._present(images, calibration)
        if not present and cloud is None:
            needed = " or ".join(["an image"] * (self.network.camera is not None) + ["points"] * bool(self._encoder))
            raise ValueError(f"{self.facts.name} got nothing to look at: it needs {needed}")
        maps = []
        if self.network.camera is not None:
            maps.append(self._camera_map(images, present, cloud, calibration))
        if self._encoder is not None:
            maps.append(self._lidar_map(self._encoder, cloud))
        mark = perf_counter()
        found = self._bev(*maps)
        mark = self._note("bev", mark)
        answer = self._answer([torch.from_numpy(f) for f in found], present, cloud, calibration)
        self._note("heads", mark)
        return answer

    def _note(self, stage: str, since: float) -> float:
        now = perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - since
        return now

    def _cloud(self, points: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        """The points in the network's axes and range."""
        if points is None or self._encoder is None:
            return None
        points = np.asarray(points, np.float32)
        if points.ndim != 2 or points.shape[1] != 5:
            raise ValueError(
                f"points have shape {points.shape}: expected [N, 5] with x, y, z, intensity, age; "
                "`models.bevfusion.sweeps.accumulate` makes them of sweeps"
            )
        if self.x_forward:
            points = np.column_stack([-points[:, 1], points[:, 0], points[:, 2:]])  # Y_FORWARD_FROM_X_FORWARD
        box = np.array(self.facts.point_range, np.float32)
        inside = ((points[:, :3] > box[:3]) & (points[:, :3] < box[3:])).all(1)
        return np.nan_to_num(points[inside])

    def _present(self, images: Images, calibration: Calibration) -> list[str]:
        """Cameras that can be used, in the calibration's order."""
        return [] if self.network.camera is None else checked_cameras(images, calibration)

    def _camera_map(
        self, images: Images, present: list[str], cloud: NDArray[np.float32] | None, calibration: Calibration
    ) -> NDArray[np.float32]:
        """The pooled map [1, X * Y, C]; zeros where no camera gave an image."""
        camera = self.network.camera
        assert camera is not None
        if not present:
            return np.zeros((1, *self._pooled.shape), np.float32)
        mark = perf_counter()
        matrices = matrices_of(calibration, self.geometry, self.x_forward)
        given = [torch.stack([self.geometry.picture(images[n], self._mean, self._std) for n in present])]
        if camera.transform.uses_points:
            given.append(self._depth(cloud, matrices, [list(calibration).index(n) for n in present]))
        mark = self._note("images", mark)
        if self._lift is None:
            self._lift = compile_network(LiftStage(camera), tuple(torch.zeros_like(g) for g in given), **self._how)
            mark = perf_counter()
        depth, context = self._lift(*(g.numpy() for g in given))
        mark = self._note("camera", mark)
        association = camera.transform.associate(matrices)
        if len(present) < len(calibration):
            depth, context = spread_rows(depth, context, present, list(calibration))
        if camera.transform.pool.builds != self._pooled_builds:  # other cells are filled from now on
            self._pooled[:] = 0
            self._pooled_builds = camera.transform.pool.builds
        sum_cells(depth.reshape(-1), context.reshape(-1, context.shape[3]), association, self._pooled, self.threads)
        self._note("pool", mark)
        return self._pooled[None]

    def _depth(self, cloud: NDArray[np.float32] | None, matrices: CameraMatrices, rows: list[int]) -> Tensor:
        """Depth images [V, 1, H, W] of the cameras that are there."""
        empty = np.zeros((0, 3), np.float32)
        points = torch.from_numpy(empty if cloud is None else cloud)
        return depth_images([points], matrices.views(rows), self.geometry.size)[0]

    def _lidar_map(self, encoder: FusedSparseEncoder, cloud: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """The encoder's map [1, X * Y, C]; zeros without points."""
        network = self.network.lidar
        assert network is not None
        x, y, _ = network.out_shape
        mark = perf_counter()
        feats, coords = voxelise(np.zeros((0, 5), np.float32) if cloud is None else cloud, self._voxels)
        if not len(coords):
            return np.zeros((1, x * y, network.channels * network.heights), np.float32)
        maps = network.maps(np.column_stack([coords, np.zeros(len(coords), np.int32)]))
        found = encoder(feats, maps).permute(0, 2, 3, 1).reshape(1, x * y, -1).numpy()
        self._note("lidar", mark)
        return found

    def _answer(
        self, found: list[Tensor], present: list[str], cloud: NDArray[np.float32] | None, calibration: Calibration
    ) -> BevAnswer:
        predicted = self._bev_stage.predictions(found)
        (names, layer_names), boxes, layers = self.classes, None, None
        if predicted.map is not None:
            layers = bev_map(predicted.map[0].numpy(), layer_names, self.facts.network["map"]["output"], self.x_forward)
        if self.network.objects is not None and predicted.objects is not None:
            (decoded,) = self.network.objects.decode(predicted.objects)  # type: ignore[arg-type]
            boxes = detections(*decoded, names, self._convention, self.x_forward)
        masked = tuple(name for name in calibration if name not in present) if self.network.camera is not None else ()
        return BevAnswer(boxes, layers, masked, 0 if cloud is None else len(cloud))


def checked_cameras(images: Images, calibration: Calibration) -> list[str]:
    """Cameras that have an image, in the calibration's order.

    Raises ValueError for an image without calibration, of another type, or of another size than its calibration says.
    """
    for name, image in images.items():
        if name not in calibration:
            raise ValueError(
                f"camera {name} has an image but no calibration: give its K, pose and size; "
                f"known: {', '.join(calibration) or 'none'}"
            )
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"camera {name}: image {image.shape} {image.dtype}, expected uint8 [H, W, 3] RGB")
        if image.shape[:2] != calibration[name].size:
            raise ValueError(
                f"camera {name}: its image is {image.shape[0]} x {image.shape[1]} px (height x width), its "
                f"calibration says {calibration[name].size[0]} x {calibration[name].size[1]}; rescale one of them"
            )
    return [name for name in calibration if name in images]


def spread_rows(
    depth: NDArray[np.float32], context: NDArray[np.float32], present: list[str], cameras: list[str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The arrays with rows of zeros for masked cameras: they take part in the association and add nothing."""
    rows = [cameras.index(name) for name in present]
    full = np.zeros((len(cameras), *depth.shape[1:]), np.float32)
    wide = np.zeros((len(cameras), *context.shape[1:]), np.float32)
    full[rows], wide[rows] = depth, context
    return full, wide
