"""Hand-made worlds for traffic tests: a straight road, flat, with or without a crossing."""

import numpy as np

from perception_nodes.simulator.scene import Crossing, Lane, Mesh, ParkingSpot, World

WIDTH = 3.5


def straight_road(lanes: int = 2, length: float = 900.0, crossing: float | None = None, speed: float = 14.0) -> World:
    """A road along x with `lanes` lanes each way (map x from 0 to `length`); the lane k = 0 is next to the middle.

    With a `crossing` at that x there are walkways on both sides.
    """
    made: dict[int, Lane] = {}
    x = np.linspace(0, length, int(length) + 1)
    for direction in (1, -1):
        for k in range(lanes):
            number = 1 + k + (0 if direction > 0 else lanes)
            y = -direction * WIDTH * (k + 0.5)
            line = np.column_stack([x[::direction], np.full(len(x), y), np.zeros(len(x))])
            made[number] = Lane(
                number,
                line,
                WIDTH,
                speed,
                left=number - 1 if k > 0 else None,
                right=number + 1 if k < lanes - 1 else None,
                opposite=(lanes + 1) if direction > 0 else 1,
            )
    crossings: tuple[Crossing, ...] = ()
    walkways: tuple[np.ndarray, ...] = ()
    if crossing is not None:
        half = WIDTH * lanes + 0.3
        line = np.array([[crossing, -half, 0.0], [crossing, half, 0.0]])
        cut = {i: crossing if i <= lanes else length - crossing for i in made}
        crossings = (Crossing(line, 3.0, cut),)
        xs = np.arange(crossing - 60, crossing + 60.1, 3.0)
        walkways = tuple(
            np.column_stack([xs, np.full(len(xs), y), np.zeros(len(xs))]) for y in (-half - 1.5, half + 1.5)
        )
    spots = tuple(
        ParkingSpot((float(px), -WIDTH * lanes - 5.0, 0.0), 0.0, 5.6) for px in np.arange(20.0, length - 20.0, 6.0)
    )
    return World(
        seed=0,
        mesh=Mesh.join([]),
        lanes=made,
        crossings=crossings,
        walkways=walkways,
        parking=spots if crossing is None else (),
        lamps=np.zeros((0, 3), np.float32),
        map_polygons={},
        map_lines={},
        extent=(0.0, -50.0, length, 50.0),
    )
