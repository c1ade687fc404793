"""bevfusion-lite as something to feed sensor frames to: `LiteSession.step(images, points, calibration, motion)`."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.bevfusion.calibration import CameraCalibration
from models.bevfusion.images import ImageGeometry
from models.bevfusion.lite.decode import decode_boxes
from models.bevfusion.lite.lift import lift_association
from models.bevfusion.lite.network import BevFusionLite
from models.bevfusion.lite.past import warped
from models.bevfusion.pool import BevPool
from models.bevfusion.pool.reduce import sum_cells
from models.bevfusion.results import BevMap
from models.bevfusion.session import BevAnswer, Calibration, Images, checked_cameras, spread_rows
from models.facts import ModelError, ModelFacts, load_network
from models.runtime import Compiled, compile_network


class _Bev(nn.Module):
    """What follows the pooled maps, for a runtime: maps as [1, cells, C], as the engines before it write them."""

    def __init__(self, network: BevFusionLite):
        super().__init__()
        self.network = network

    def forward(self, pillars: Tensor, context: Tensor, past: Tensor, has_past: Tensor) -> tuple[Tensor, ...]:
        net = self.network
        fine = pillars.view(1, *net.fine.cells[:2], net.pillars.channels).permute(0, 3, 1, 2)
        coarse = context.view(1, *net.cells, net.lift.channels).permute(0, 3, 1, 2)
        found = net.bev(fine, coarse, past, has_past)
        return found.boxes, found.map.sigmoid(), found.kept


class LiteSession:
    """Runs one bevfusion-lite on the CPU. Not for several threads at once.

    facts: the model's facts; cameras and motion are not used where the network is not trained with them · seconds: wall
    time of the last step's stages (images, camera, pool, lidar, bev, heads).
    """

    past_sweeps, repeats_first, uses_points = 1, False, True

    def __init__(
        self,
        network: BevFusionLite,
        facts: ModelFacts,
        runtime: str = "auto",
        threads: int = 2,
        precision: str = "auto",
    ):
        if threads < 1:
            raise ModelError(f"threads is {threads}: expected 1 or more")
        self.network, self.facts, self.threads = network.eval(), facts, threads
        self.uses_cameras = "cameras" in facts.network.get("sensors", ("cameras", "lidar"))
        self.temporal = bool(facts.network.get("temporal", True))
        self.seconds: dict[str, float] = {}
        image = facts.image
        if image is None:
            raise ModelError(f"{facts.name}: its facts miss `image`; restore model.yaml from the repository")
        height, width = image["size"]
        self.geometry = ImageGeometry((height, width), image["resized_width"])
        self._mean, self._std = np.array(image["mean"], np.float32), np.array(image["std"], np.float32)
        self._pictures = np.zeros((0, 3, height, width), np.float32)  # the network's input
        self._how: dict[str, Any] = {"runtime": runtime, "threads": threads, "precision": precision}
        self._lift: Compiled | None = None  # compiled for the first number of pictures
        self._pool = BevPool()
        self._context = np.zeros((int(np.prod(network.cells)), network.lift.channels), np.float32)
        self._builds = 0
        fine = int(np.prod(network.fine.cells[:2]))
        examples = (torch.zeros(1, fine, network.pillars.channels), torch.zeros(1, *self._context.shape))
        self._bev = compile_network(_Bev(network), (*examples, *network.no_past(1)), **self._how)
        self._kept: Tensor | None = None

    @classmethod
    def from_weights(cls, name_or_path: str | Path, **options: Any) -> LiteSession:
        """Session of a model by name, folder or `random:<preset>`; options as for the class. Raises ModelError."""
        network, facts = load_network(name_or_path)
        if not isinstance(network, BevFusionLite):
            raise ModelError(f"{facts.name} is a {facts.architecture}: expected a bevfusion-lite")
        return cls(network, facts, **options)

    @property
    def engine(self) -> str:
        """What runs the network, in a few words."""
        return self._bev.describe()

    @property
    def precision(self) -> str:
        """Of the dense layers: fp32 or bf16."""
        return self._bev.precision

    @property
    def bev_cells(self) -> tuple[int, int]:
        """Cells along x and y of the finest BEV map."""
        return self.network.fine.cells[:2]

    @property
    def classes(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of (box classes, map classes)."""
        count = self.network.boxes.outputs[0]
        return self.facts.class_names[:count], self.facts.class_names[count:]

    @property
    def cache_bytes(self) -> int:
        """Of what is kept for the next frame."""
        return 0 if self._kept is None else self._kept.numel() * 4

    def reset(self) -> None:
        """Forgets the last frame."""
        self._kept = None

    @torch.inference_mode()
    def step(
        self,
        images: Images,
        points: NDArray[np.float32] | None,
        calibration: Calibration,
        motion: NDArray[np.float64] | None = None,
    ) -> BevAnswer:
        """images: camera -> uint8 [H, W, 3] RGB; missing ones are masked · points: float32 [N, 5], x, y, z (m, x
        forward), intensity (0 to 255), age (s); None without LiDAR · calibration: of every camera · motion:
        now_from_last float64 [4, 4] of the vehicle; None: the frame before is not used.

        Raises ValueError for shapes that do not fit and pictures that contradict their calibration.
        """
        if torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
        self.seconds = {}
        if not self.uses_cameras:
            images, calibration = {}, {}
        present = checked_cameras(images, calibration)
        if points is not None and (points.ndim != 2 or points.shape[1] != 5):
            raise ValueError(f"points have shape {points.shape}: expected [N, 5] with x, y, z, intensity, age")
        if not present and points is None:
            raise ValueError(f"{self.facts.name} got nothing to look at: it needs an image or points")
        context = self._cameras(images, present, calibration)
        mark = perf_counter()
        cloud = np.zeros((0, 5), np.float32) if points is None else np.asarray(points, np.float32)
        pillars = self.network.pillars.infer(cloud)
        mark = self._note("lidar", mark)
        past, has_past = self.network.no_past(1)
        if self.temporal and motion is not None and self._kept is not None:
            past, has_past = warped(self._kept, motion, self.network.coarse), torch.ones_like(has_past)
        boxes, layers, kept = self._bev(pillars[None], context[None], past.numpy(), has_past.numpy())
        self._kept = torch.from_numpy(kept.copy())
        mark = self._note("bev", mark)
        answer = self._answer(torch.from_numpy(boxes), layers, present, points, calibration)
        self._note("heads", mark)
        return answer

    def _note(self, stage: str, since: float) -> float:
        now = perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - since
        return now

    def _cameras(self, images: Images, present: list[str], calibration: Calibration) -> NDArray[np.float32]:
        """The cameras' map [cells, K]; zeros where no camera gave a picture."""
        if not present:
            return np.zeros_like(self._context)
        mark = perf_counter()
        if len(self._pictures) != len(present):
            self._pictures = np.zeros((len(present), *self._pictures.shape[1:]), np.float32)
        for name, out in zip(present, self._pictures):
            self.geometry.fill(images[name], self._mean, self._std, out)
        mark = self._note("images", mark)
        if self._lift is None:
            self._lift = compile_network(self.network.lift, (torch.zeros(self._pictures.shape),), **self._how)
            mark = perf_counter()
        depth, features = self._lift(self._pictures)
        mark = self._note("camera", mark)
        cameras = list(calibration.values())
        association = self._pool.association(
            [array for c in cameras for array in _arrays(c)],
            lambda: lift_association([cameras], self.geometry, self.network.lift.bins, self.network.coarse),
        )
        if self._pool.builds != self._builds:
            self._context[:] = 0
            self._builds = self._pool.builds
        if len(present) < len(calibration):
            depth, features = spread_rows(depth, features, present, list(calibration))
        sum_cells(
            depth.reshape(-1), features.reshape(-1, features.shape[3]), association, self._context, self.threads
        )
        self._note("pool", mark)
        return self._context

    def _answer(
        self,
        boxes: Tensor,
        layers: NDArray[np.float32],
        present: list[str],
        points: NDArray[np.float32] | None,
        calibration: Calibration,
    ) -> BevAnswer:
        names, layer_names = self.classes
        found = decode_boxes(self.network.boxes.split(boxes), self.network.coarse, names)
        (x, _, cell), (y, _, _) = self.facts.network["map"]
        area = BevMap(np.ascontiguousarray(layers[0]), layer_names, (float(x), float(y)), float(cell))
        masked = tuple(name for name in calibration if name not in present)
        return BevAnswer(found, area, masked, self._used(points))

    def _used(self, points: NDArray[np.float32] | None) -> int:
        if points is None or self.facts.point_range is None:
            return 0
        box = np.array(self.facts.point_range, np.float32)
        x, y, z = points[:, 0], points[:, 1], points[:, 2]
        flat = (x >= box[0]) & (x < box[3]) & (y >= box[1]) & (y < box[4])
        return int(np.count_nonzero(flat & (z >= box[2]) & (z < box[5])))


def _arrays(camera: CameraCalibration) -> tuple[NDArray, ...]:
    return camera.intrinsics, camera.points_from_camera, np.array(camera.size)
