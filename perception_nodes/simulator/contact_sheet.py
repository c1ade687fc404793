"""One picture of everything the driving world makes: every scenario, light, weather and sensor, labelled.

    python -m perception_nodes.simulator.contact_sheet OUT.png

It is for checking by eye that the streets look real.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_nodes.classes import POINT_CLASSES
from perception_nodes.simulator.camera import CameraRenderer
from perception_nodes.simulator.lidar import LidarSensor
from perception_nodes.simulator.rigs import rig as rig_by_name
from perception_nodes.simulator.scenarios import SCENARIOS
from perception_nodes.simulator.scene import Conditions, Snapshot, World
from perception_nodes.simulator.traffic import Traffic
from perception_nodes.simulator.world import build_world

Picture = NDArray[np.uint8]  # [H, W, 3] RGB
TILE = (352, 198)  # width, height of a tile, px
RENDER = (704, 396)  # px: drawn at twice the tile, so that the tile is smooth
COLUMNS = 4
BAR = 18  # px of a label
HEADING = 30
_PALETTE = np.full((256, 3), 40, np.uint8)
_PALETTE[: len(POINT_CLASSES)] = [info.rgb for info in POINT_CLASSES]


def semantic_picture(semantic: NDArray[np.uint8]) -> Picture:
    """Class ids uint8 [H, W] in the class table's colours; what has no class is dark grey."""
    return _PALETTE[semantic]


def depth_picture(depth: NDArray[np.float32], far: float = 80.0) -> Picture:
    """Depth float32 [H, W] m: near is warm and bright, far dark, the sky black."""
    import cv2

    with np.errstate(divide="ignore"):
        level = np.clip(np.log(far / np.maximum(depth, 1.0)) / np.log(far), 0.0, 1.0)
    bgr = cv2.applyColorMap((255 * level).astype(np.uint8), cv2.COLORMAP_INFERNO)
    bgr[~np.isfinite(depth)] = 0
    return np.ascontiguousarray(bgr[..., ::-1])


def instance_picture(instance: NDArray[np.uint16]) -> Picture:
    """Instance ids uint16 [H, W]: a colour each, the static world black."""
    number = instance.astype(np.uint32)
    mixed = (number * np.uint32(2654435761)) ^ (number * np.uint32(40503))
    rgb = np.stack([(mixed >> s) & 0xFF for s in (24, 14, 6)], -1).astype(np.uint8) // 2 + 120
    return np.where(instance[..., None] > 0, rgb, 0).astype(np.uint8)


def bird_view(xyz: NDArray[np.float32], colour: Picture, width: int, height: int, reach: float = 45.0) -> Picture:
    """Points float32 [N, 3] (x forward, y left) from above with colours uint8 [N, 3]; forward points right; `reach` m
    to the left and right edges."""
    out = np.full((height, width, 3), 16, np.uint8)
    scale = 0.5 * width / reach
    u = np.floor(0.5 * width + xyz[:, 0] * scale).astype(np.int64)
    v = np.floor(0.5 * height - xyz[:, 1] * scale).astype(np.int64)
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    order = np.argsort(xyz[inside, 2], kind="stable")  # the highest point of a pixel is drawn last
    out[v[inside][order], u[inside][order]] = colour[inside][order]
    return out


def range_view(xyz: NDArray[np.float32], colour: Picture, width: int, height: int, rows: int = 64) -> Picture:
    """Points as a LiDAR of `rows` beams sees them: azimuth to the right (forward in the middle), elevation up; nearer
    in front."""
    out = np.full((height, width, 3), 16, np.uint8)
    if not len(xyz):
        return out
    flat = np.hypot(xyz[:, 0], xyz[:, 1])
    elevation = np.arctan2(xyz[:, 2], flat)
    low, high = np.percentile(elevation, [0.5, 99.5])
    u = np.clip(((0.5 - np.arctan2(xyz[:, 1], xyz[:, 0]) / (2 * np.pi)) * width).astype(np.int64), 0, width - 1)
    v = np.clip(((high - elevation) / max(high - low, 1e-3) * (height - 1)).astype(np.int64), 0, height - 1)
    order = np.argsort(-flat, kind="stable")
    for step in range(-(-height // max(rows, 1))):  # thick enough for the rows to touch
        out[np.minimum(v[order] + step, height - 1), u[order]] = colour[order]
    return out


def tile(picture: Picture, label: str, size: tuple[int, int] = TILE) -> Picture:
    """A picture in a frame of `size` (width, height) px, cut to its proportions about the middle, with a label."""
    import cv2

    width, height = size[0], size[1] - BAR
    h, w = picture.shape[:2]
    if w * height > h * width:
        cut = max(1, round(h * width / height))
        picture = picture[:, (w - cut) // 2 : (w - cut) // 2 + cut]
    else:
        cut = max(1, round(w * height / width))
        picture = picture[(h - cut) // 2 : (h - cut) // 2 + cut]
    shrink = picture.shape[1] >= width
    out = np.full((size[1], width, 3), 28, np.uint8)
    out[BAR:] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_NEAREST)
    cv2.putText(out, label, (4, BAR - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (235, 235, 235), 1, cv2.LINE_AA)
    return out


def sheet(sections: dict[str, list[Picture]], columns: int = COLUMNS) -> Picture:
    """Sections of equal tiles under headings, one above another."""
    import cv2

    rows: list[Picture] = []
    for heading, tiles in sections.items():
        if not tiles:
            continue
        h, w = tiles[0].shape[:2]
        band = np.full((HEADING, columns * (w + 4), 3), 12, np.uint8)
        cv2.putText(band, heading, (6, HEADING - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.62, (255, 205, 90), 1, cv2.LINE_AA)
        rows.append(band)
        for first in range(0, len(tiles), columns):
            row = np.full((h + 4, columns * (w + 4), 3), 12, np.uint8)
            for k, picture in enumerate(tiles[first : first + columns]):
                row[2 : 2 + h, k * (w + 4) + 2 : k * (w + 4) + 2 + w] = picture
            rows.append(row)
    return np.concatenate(rows)


@dataclass(frozen=True, eq=False)
class _Scene:
    """A world and two moments of its traffic, a tenth of a second apart."""

    world: World
    conditions: Conditions
    before: Snapshot
    after: Snapshot


def _scene(name: str, seed: int, seconds: float) -> _Scene:
    scenario = SCENARIOS[name]
    world = build_world(seed, scenario.style)
    traffic = Traffic(world, seed, scenario, foresight=False)
    for _ in range(round(seconds * 10)):
        traffic.step(0.1)
    before = traffic.snapshot()
    traffic.step(0.1)
    return _Scene(world, scenario.conditions, before, traffic.snapshot())


def _scenario_tile(name: str, seed: int, seconds: float) -> Picture:
    scene = _scene(name, seed, seconds)
    spec = rig_by_name("nuscenes").camera("front")
    image = CameraRenderer(scene.world, scene.conditions, seed).render(scene.after, spec, *RENDER)
    return tile(image.rgb, f"{name} ({scene.conditions.daytime}, {scene.conditions.weather})")


def _light_tile(scene: _Scene, seed: int, daytime: str, weather: str) -> Picture:
    conditions = replace(scene.conditions, daytime=daytime, weather=weather)
    spec = rig_by_name("nuscenes").camera("front")
    return tile(
        CameraRenderer(scene.world, conditions, seed).render(scene.after, spec, *RENDER).rgb, f"{daytime}, {weather}"
    )


def _camera_tiles(scene: _Scene, seed: int) -> list[Picture]:
    """Every camera of the nuScenes and KITTI rigs; then one camera's class, instance and depth."""
    renderer = CameraRenderer(scene.world, scene.conditions, seed)
    tiles = []
    for rig_name in ("nuscenes", "kitti"):
        for spec in rig_by_name(rig_name).cameras:
            image = renderer.render(scene.after, spec, scale=RENDER[0] / spec.width)
            tiles.append(tile(image.rgb, f"{rig_name} camera {spec.name}"))
    image = renderer.render(scene.after, rig_by_name("nuscenes").camera("front"), *RENDER)
    tiles += [
        tile(semantic_picture(image.semantic), "front: point class"),
        tile(instance_picture(image.instance), "front: instance"),
        tile(depth_picture(image.depth), "front: depth, 1 to 80 m"),
    ]
    return tiles


def _lidar_tiles(scene: _Scene, seed: int) -> list[Picture]:
    """Each rig's sweep from above and as the sensor sees it, in the colours of the point classes."""
    tiles = []
    for rig_name in ("kitti", "nuscenes", "vlp16"):
        rig = rig_by_name(rig_name)
        sensor = LidarSensor(scene.world, rig.lidar, scene.conditions, seed, hull=rig.hull)
        sweep = sensor.sweep(scene.before, scene.after)
        colour = _PALETTE[sweep.label]
        name = f"{rig_name} lidar, {len(sweep.xyz)} points"
        size = (2 * TILE[0] + 4, 2 * TILE[1])
        tiles.append(tile(bird_view(sweep.xyz, colour, size[0], size[1] - BAR), f"{name}: from above, 90 m wide", size))
        tiles.append(
            tile(
                range_view(sweep.xyz, colour, size[0], size[1] - BAR, len(np.unique(sweep.ring))),
                f"{name}: azimuth by elevation",
                size,
            )
        )
    return tiles


def contact_sheet(
    out: str | Path,
    *,
    seed: int = 3,
    seconds: float = 6.0,
    scenarios: tuple[str, ...] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Path:
    """Writes the contact sheet as PNG or JPEG: `scenarios` (all unless given) after `seconds` of traffic, every time of
    day by every weather, every camera and LiDAR. `progress(done, total, what)` is told of each step.

    Raises KeyError for an unknown scenario, ValueError for a file name whose ending no picture format has, and OSError
    where the file cannot be written; nothing half-written is left."""
    import cv2

    out = Path(out)
    if out.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ValueError(f"contact sheet {out}: expected a file name that ends in .png or .jpg")
    names = tuple(SCENARIOS) if scenarios is None else scenarios
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        raise KeyError(f"no scenario {unknown[0]!r}; known: {', '.join(SCENARIOS)}")
    total = len(names) + len(Conditions.DAYTIMES) * len(Conditions.WEATHERS) + 3
    done = 0

    def step(what: str) -> None:
        nonlocal done
        if progress is not None:
            progress(done, total, what)
        done += 1

    drives = []
    for k, name in enumerate(names):
        step(name)
        drives.append(_scenario_tile(name, seed + k, seconds))
    step("a street for light, weather and sensors")
    scene = _scene("city_rush", seed, seconds)
    lights = []
    for daytime in Conditions.DAYTIMES:
        for weather in Conditions.WEATHERS:
            step(f"{daytime}, {weather}")
            lights.append(_light_tile(scene, seed, daytime, weather))
    step("cameras")
    cameras = _camera_tiles(scene, seed)
    step("lidars")
    lidars = _lidar_tiles(scene, seed)
    picture = np.concatenate(
        [
            sheet({f"Scenarios (seeds from {seed}, after {seconds:g} s)": drives, "Light and weather": lights,
                   "Cameras and their ground truth": cameras}),
            sheet({"LiDARs": lidars}, columns=2)[:, : COLUMNS * (TILE[0] + 4)],
        ]
    )  # fmt: skip
    written, data = cv2.imencode(out.suffix, np.ascontiguousarray(picture[..., ::-1]))
    if not written:
        raise OSError(f"contact sheet {out}: the picture could not be encoded")
    partial = out.with_name(out.name + ".part")
    try:
        partial.write_bytes(data.tobytes())
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
    if progress is not None:
        progress(total, total, str(out))
    return out


def _bar(done: int, total: int, what: str) -> None:
    filled = 30 * done // total
    line = f"\r[{'#' * filled}{'.' * (30 - filled)}] {done}/{total} {what}"
    print(f"{line:<100}", end="\n" if done == total else "", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Command line: OUT.png [SEED]."""
    words = sys.argv[1:] if arguments is None else arguments
    if not 1 <= len(words) <= 2 or (len(words) == 2 and not words[1].isdigit()):
        print("usage: python -m perception_nodes.simulator.contact_sheet OUT.png [SEED]", file=sys.stderr)
        return 2
    try:
        contact_sheet(words[0], seed=int(words[1]) if len(words) == 2 else 3, progress=_bar)
    except (OSError, ValueError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
