"""What a pick-up carries on its bed: nothing, a lid, a canopy, a tool box, a ladder rack, boxes."""

from __future__ import annotations

import numpy as np

from perception_nodes.simulator.scene import Surface
from perception_nodes.simulator.shapes.builder import RGB, MeshBuilder
from perception_nodes.simulator.shapes.car_body import CarBody

LOADS = ("", "lid", "canopy", "toolbox", "rack", "boxes")
SHARES = (0.38, 0.16, 0.16, 0.1, 0.1, 0.1)


def draw_load(b: MeshBuilder, body: CarBody, paint: RGB, rng: np.random.Generator) -> None:
    """Adds a random load; nothing stands higher than the cab."""
    load = str(rng.choice(LOADS, p=SHARES))
    front, rear = body.along(body.form.tail_foot) - 0.06, -body.length / 2 + 0.12
    mid, long, half = (front + rear) / 2, front - rear, 0.78 * body.width / 2
    sill = float(body.top(np.array(front))) - 0.02
    roof = body.height - 0.04
    black: RGB = (34, 34, 36)
    if load == "lid":
        b.box([mid, 0, sill + 0.02], [long, 2 * half, 0.06], Surface.PLASTIC, black)
    elif load == "canopy":
        profile = [[rear, sill - 0.05], [front, sill - 0.05], [front, roof], [rear + 0.25, roof - 0.03]]
        b.prism(profile, -half, half, Surface.CAR_PAINT, paint)
        for side in (1, -1):
            z = (sill + roof) / 2 + 0.05
            b.box([mid + 0.1, side * half, z], [long * 0.7, 0.02, (roof - sill) * 0.5], Surface.PLASTIC, (28, 32, 36))
    elif load == "toolbox":
        b.box([front - 0.25, 0, sill + 0.05], [0.45, 2 * half, 0.35], Surface.METAL, (170, 172, 174))
    elif load == "rack":
        for x in (rear + 0.15, front - 0.1):
            for side in (1, -1):
                b.tube(
                    [x, side * half, sill - 0.1], [x, side * half, roof - 0.08], 0.025, Surface.METAL, black, sides=4
                )
            b.tube([x, half, roof - 0.08], [x, -half, roof - 0.08], 0.025, Surface.METAL, black, sides=4)
        for y in (0.15, 0.55):
            start, end = [rear, y * half, roof - 0.05], [front, y * half, roof - 0.05]
            b.tube(start, end, 0.03, Surface.METAL, (200, 200, 198), sides=4)
    elif load == "boxes":
        floor = 0.45 * body.height
        for x in np.arange(rear + 0.4, front - 0.3, 0.75):
            high = float(rng.uniform(0.3, roof - floor))
            tone: RGB = (int(rng.integers(90, 190)), int(rng.integers(80, 160)), int(rng.integers(60, 130)))
            b.box([float(x), 0, floor + high / 2], [0.6, 1.5 * half, high], Surface.WOOD, tone)
