"""Cars: a body lofted through cross sections with wheel arches, and a hollow cabin of panes and pillars.

Sizes follow nuScenes' mean car (4.62 x 1.95 x 1.73 m, l x w x h) with the spread of the real kinds. Minivans and vans
with one continuous body are `car` too, as SemanticKITTI and nuScenes define them. A pick-up is a `truck`, box and
points alike: both data sets name it there.
"""

from __future__ import annotations

import numpy as np

from perception_nodes.classes import point_class
from perception_nodes.simulator.scene import Mesh
from perception_nodes.simulator.shapes.builder import MeshBuilder, outward
from perception_nodes.simulator.shapes.car_body import CarBody
from perception_nodes.simulator.shapes.car_forms import FORMS, draw_paint
from perception_nodes.simulator.shapes.car_parts import draw_cabin, draw_fittings, draw_interior, draw_shell

__all__ = ["FORMS", "car"]


def car(kind: str, seed: int) -> tuple[Mesh, tuple[float, float, float], str]:
    """Mesh, box size (l, w, h) and box category of the `seed`-th car of a kind named in `FORMS`."""
    rng = np.random.default_rng((0xCA2, sorted(FORMS).index(kind), seed))
    form = FORMS[kind]
    length, width, height = (float(rng.uniform(*r)) for r in (form.length, form.width, form.height))
    wheelbase = length * float(rng.uniform(0.565, 0.61))
    cargo = form.bed or (kind == "van" and rng.random() < 0.7)
    body = CarBody(form, length, width, height, wheelbase, length / 2 - length * float(rng.uniform(0.17, 0.2)), cargo)
    paint = draw_paint(rng) if kind != "van" or rng.random() < 0.4 else (228, 229, 230)
    label = point_class("truck" if form.bed else "car")
    shell = MeshBuilder(label)
    draw_shell(shell, body, paint, kind)
    draw_cabin(shell, body, paint, kind)
    half, z = length / 2 - 0.7, 0.55 * height
    b = MeshBuilder(label)
    b.extend(outward(shell.mesh(), ((-half, half), (-0.3, 0.3), (z - 0.1, z + 0.1))))
    draw_interior(b, body, kind)
    draw_fittings(b, body, paint, kind, rng)
    category = "truck" if form.bed else "car"
    return b.mesh(), (length, width, height), category
