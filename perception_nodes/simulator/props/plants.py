"""Trees, bushes and hedges made of leaf cards, so that beams and views pass partly and returns scatter in depth.

Templates stand at the origin on z = 0. Trunks are class trunk; branches and leaves are class vegetation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.layout.soup import TRUNK, VEGETATION, Soup, box_quads, tube
from perception_nodes.simulator.scene import Mesh, Surface

Array = NDArray[np.float64]
SPECIES = ("round", "round", "broad", "tall", "conifer", "small", "thin", "multi")


def leaf_rgb(rng: np.random.Generator, dark: float = 1.0) -> Array:
    """A random green to olive, now and then reddish."""
    base = np.array([rng.uniform(45, 100), rng.uniform(85, 135), rng.uniform(25, 60)])
    if rng.random() < 0.08:
        base = np.array([rng.uniform(95, 150), rng.uniform(60, 95), rng.uniform(30, 50)])
    return base * dark


def cards(soup: Soup, rng: np.random.Generator, centres: Array, size: float, rgb: Array, porosity: float) -> None:
    """One randomly turned triangle per centre [N, 3], with edges of about `size` metres."""
    n = len(centres)
    normal = rng.standard_normal((n, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    side = np.cross(normal, rng.standard_normal((n, 3)))
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(normal, side)
    length = size * rng.uniform(0.6, 1.4, (n, 1))
    corners = [
        side * length * 0.6,
        -0.3 * side * length + 0.52 * up * length,
        -0.3 * side * length - 0.52 * up * length,
    ]
    vertices = np.stack([centres + c for c in corners], 1)
    vertices[..., 2] = np.maximum(vertices[..., 2], 0.02)
    shade = rng.uniform(0.75, 1.2, (n, 1))
    colours = np.clip(rgb * shade, 0, 255)
    soup.add(vertices.reshape(-1, 3), np.arange(3 * n).reshape(-1, 3), Surface.LEAVES, VEGETATION, colours, porosity)


def lumps(rng: np.random.Generator, count: int, centre, radii, blobs: int) -> Array:
    """Points [count, 3] on the skins of overlapping blobs that fill an ellipsoid: an irregular crown."""
    centre, radii = np.asarray(centre, float), np.asarray(radii, float)
    direction = rng.standard_normal((blobs, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    middles = centre + direction * radii * rng.uniform(0.3, 0.75, (blobs, 1))
    pick = rng.integers(0, blobs, count)
    around = rng.standard_normal((count, 3))
    around /= np.linalg.norm(around, axis=1, keepdims=True)
    reach = rng.uniform(0.35, 0.65, blobs)[pick, None] * rng.uniform(0.4, 1.0, (count, 1)) ** 0.4
    return middles[pick] + around * radii * reach


def far_tree(rng: np.random.Generator) -> Mesh:
    """A tree of few, large cards for the distance."""
    soup = Soup()
    height, width = rng.uniform(7, 14), rng.uniform(2, 4.5)
    v, t = tube([(0, 0, -1), (0, 0, 0.6 * height)], [0.25, 0.15], 3)
    soup.add(v, t, Surface.BARK, TRUNK, (92, 78, 62))
    middle, radii, rgb = (0, 0, 0.62 * height), (width, width, 0.4 * height), leaf_rgb(rng)
    cores(soup, rng, middle, radii, 2, rgb, 0.25)
    cards(soup, rng, lumps(rng, 14, middle, radii, 6), 2.2, rgb, 0.25)
    return soup.mesh()


def cores(soup: Soup, rng: np.random.Generator, centre, radii, count: int, rgb: Array, porosity: float) -> None:
    """Dense, uneven octahedra deep in a crown: most beams end within a metre or two of leaves."""
    points = np.array([(1, 0, 0), (0, 1, 0), (-1, 0, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)], float)
    faces = np.array([(i, (i + 1) % 4, 4) for i in range(4)] + [((i + 1) % 4, i, 5) for i in range(4)])
    for _ in range(count):
        direction = rng.standard_normal(3)
        middle = np.asarray(centre) + direction / np.linalg.norm(direction) * np.asarray(radii) * rng.uniform(0.1, 0.45)
        body = points * np.asarray(radii) * rng.uniform(0.35, 0.6, 3) + rng.normal(0, 0.12, (6, 3))
        soup.add(middle + body, faces, Surface.LEAVES, VEGETATION, np.clip(rgb * 0.75, 0, 255).astype(int), porosity)


def tree(rng: np.random.Generator, species: str, detail: float = 1.0) -> Mesh:
    """One tree; `detail` scales the number of leaf cards."""
    soup = Soup()
    rgb = leaf_rgb(rng)
    porosity = float(rng.uniform(0.15, 0.45))
    if species == "conifer":
        conifer(soup, rng, rgb * [0.6, 0.75, 0.8], porosity, detail)
        return soup.mesh()
    height, start, width = {
        "round": (rng.uniform(5.5, 9), rng.uniform(1.4, 2.9), rng.uniform(1.6, 2.8)),
        "broad": (rng.uniform(8, 13), rng.uniform(2.4, 4.0), rng.uniform(3.0, 5.0)),
        "tall": (rng.uniform(9, 15), rng.uniform(1.0, 2.8), rng.uniform(1.3, 2.2)),
        "small": (rng.uniform(3, 4.8), rng.uniform(0.9, 1.8), rng.uniform(0.9, 1.6)),
        "thin": (rng.uniform(5, 8), rng.uniform(2.0, 3.2), rng.uniform(1.0, 1.8)),
        "multi": (rng.uniform(4, 7), rng.uniform(0.7, 1.5), rng.uniform(1.5, 2.6)),
    }[species]
    centre = np.array([0, 0, (height + start) / 2])
    radii = np.array([width, width * rng.uniform(0.8, 1.1), (height - start) / 2])
    trunk_radius = float(np.clip(0.022 * height * rng.uniform(0.7, 1.5), 0.05, 0.36))
    stems = 2 if species == "multi" else 1
    for _ in range(stems):
        stem(soup, rng, trunk_radius if stems == 1 else 0.5 * trunk_radius + 0.03, start, height, stems > 1)
    branches(soup, rng, trunk_radius, start, centre, radii, 2 if species != "small" else 1)
    count = int(detail * np.clip(8 * width * (height - start) ** 0.6, 28, 66))
    spots = lumps(rng, count, centre, radii, int(rng.integers(5, 11)))
    if rng.random() < 0.75:
        cores(soup, rng, centre, radii, 4, rgb, float(rng.uniform(0.15, 0.55)))
    cards(soup, rng, spots, float(rng.uniform(1.0, 1.4)) * (0.7 if species == "small" else 1.0), rgb, porosity)
    return soup.mesh()


def stem(soup: Soup, rng: np.random.Generator, radius: float, start: float, height: float, lean_more: bool) -> None:
    """A slightly leaning trunk that reaches into the crown."""
    lean = rng.normal(0, 0.18 if lean_more else 0.035, 2)
    top = start + 0.35 * (height - start)
    z = np.array([-0.3, 0.3, start * 0.6 + 0.35, top])
    path = np.stack([lean[0] * z.clip(0), lean[1] * z.clip(0), z], -1)
    v, t = tube(path, radius * np.array([1.5, 1.05, 0.9, 0.5]), 4 if lean_more else 6)
    tone = rng.uniform(0.7, 1.3)
    soup.add(v, t, Surface.BARK, TRUNK, np.clip(np.array([98, 82, 66]) * tone, 0, 255).astype(int))


def branches(soup: Soup, rng: np.random.Generator, radius: float, start: float, centre, radii, count: int) -> None:
    """Limbs from the trunk's head into the crown."""
    for angle in rng.uniform(0, 2 * np.pi, count):
        low = np.array([0, 0, start * rng.uniform(0.8, 1.2)])
        tip = centre + radii * np.array([np.cos(angle), np.sin(angle), rng.uniform(-0.3, 0.5)]) * 0.7
        v, t = tube([low, (low + tip) / 2 + [0, 0, 0.2], tip], radius * np.array([0.5, 0.35, 0.15]), 3)
        soup.add(v, t, Surface.BARK, VEGETATION, (90, 76, 62))


def conifer(soup: Soup, rng: np.random.Generator, rgb: Array, porosity: float, detail: float) -> None:
    """A cone of drooping cards around a straight stem."""
    height, width, low = rng.uniform(5, 14), rng.uniform(1.1, 2.2), rng.uniform(0.2, 1.4)
    stem(soup, rng, float(np.clip(0.016 * height, 0.07, 0.25)), max(low, 0.8), height, False)
    n = int(detail * np.clip(6 * height, 34, 60))
    share = rng.uniform(0, 1, n) ** 1.4
    z = low + share * (height - low)
    r = width * (1 - share) * rng.uniform(0.25, 1.0, n) ** 0.5
    angle = rng.uniform(0, 2 * np.pi, n)
    spots = np.stack([r * np.cos(angle), r * np.sin(angle), z], -1)
    cards(soup, rng, spots, 1.25, rgb, porosity)


def bush(rng: np.random.Generator) -> Mesh:
    """A shrub about 1 m wide and high, to be scaled."""
    soup = Soup()
    spots = lumps(rng, int(rng.integers(12, 22)), (0, 0, 0.45), (0.55, 0.5, 0.45), 5)
    spots[:, 2] = np.abs(spots[:, 2])
    rgb = leaf_rgb(rng)
    cores(soup, rng, (0, 0, 0.4), (0.65, 0.65, 0.55), 2, rgb, float(rng.uniform(0.0, 0.4)))
    cards(soup, rng, spots, 0.5, rgb, float(rng.uniform(0.05, 0.3)))
    return soup.mesh()


def shrub(rng: np.random.Generator) -> Mesh:
    """A large shrub about 2 m wide and high with leaves as fine as a bush's, to be scaled a little."""
    soup = Soup()
    rgb = leaf_rgb(rng)
    radii = np.array([1.1, 1.0, 0.95]) * rng.uniform(0.85, 1.15, 3)
    cores(soup, rng, (0, 0, 0.8), radii * [1.1, 1.1, 1.15], 2, rgb, float(rng.uniform(0.0, 0.35)))
    spots = lumps(rng, 24, (0, 0, 0.85), radii, 7)
    spots[:, 2] = np.abs(spots[:, 2])
    cards(soup, rng, spots, 0.66, rgb, float(rng.uniform(0.05, 0.3)))
    return soup.mesh()


def hedge(rng: np.random.Generator) -> Mesh:
    """A 3 m long piece of hedge along x, 0.8 m deep, 1 m high: a dense core behind loose leaves; scale to size."""
    soup = Soup()
    rgb = leaf_rgb(rng, 0.85)
    core = box_quads((-1.52, -0.25, 0.0), (1.52, 0.25, 0.85))
    soup.quads(core, Surface.LEAVES, VEGETATION, np.clip(rgb * 0.7, 0, 255).astype(int), 0.12)
    n = 26
    face = rng.integers(0, 5, n)
    x = rng.uniform(-1.5, 1.5, n)
    y = np.where(face < 2, -0.34, np.where(face < 4, 0.34, rng.uniform(-0.3, 0.3, n))) + rng.normal(0, 0.08, n)
    z = np.where(face < 4, rng.uniform(0.05, 0.95, n), 0.9) + rng.normal(0, 0.06, n)
    cards(soup, rng, np.stack([x, y, z], -1), 0.42, rgb, 0.1)
    return soup.mesh()


def weeds(rng: np.random.Generator) -> Mesh:
    """A tuft of tall grass or weeds about 1 m across and 0.4 m high (class vegetation), to be scaled."""
    soup = Soup()
    spots = rng.normal(0, 1, (14, 3)) * [0.35, 0.35, 0.0] + [0, 0, 0.16]
    cards(soup, rng, spots, 0.3, leaf_rgb(rng), 0.35)
    return soup.mesh()
