"""The recording vehicle's pose: base under the rear axle, on the slope of the ground, on soft springs.

Roll and pitch answer acceleration as a damped spring (1.1 Hz, damping 0.35) and shake with the road; together they
stay within about 2 degrees.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.scene import World

WHEELBASE, TRACK_WIDTH = 2.7, 1.55
EGO_LENGTH, EGO_WIDTH, EGO_HEIGHT = 4.6, 1.85, 1.6
REAR_AXLE = -1.35  # m from the middle of the hull to the rear axle
LIMIT = math.radians(2.0)


class EgoBody:
    """Suspension state; `pose` returns map_from_base."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._angle: NDArray[np.float64] = np.zeros(2)  # roll, pitch
        self._rate: NDArray[np.float64] = np.zeros(2)
        self._bump: NDArray[np.float64] = np.zeros(2)

    def step(self, acceleration: float, lateral: float, speed: float, dt: float) -> None:
        """One tick: the body leans back when it speeds up and out of a bend; bumps grow with speed."""
        rest = np.array([0.006 * lateral, -0.006 * acceleration])
        shake = 0.0016 * math.sqrt(min(speed, 20.0))
        self._bump = 0.8 * self._bump + shake * self._rng.standard_normal(2) * [1.0, 0.7]
        stiff, damp = (2 * math.pi * 1.1) ** 2, 2 * 0.35 * 2 * math.pi * 1.1
        steps = 4
        for _ in range(steps):
            force = stiff * (rest + self._bump - self._angle) - damp * self._rate
            self._rate = self._rate + force * dt / steps
            self._angle = np.clip(self._angle + self._rate * dt / steps, -LIMIT, LIMIT)

    def pose(self, world: World, x: float, y: float, yaw: float) -> NDArray[np.float64]:
        """map_from_base float64 [4, 4] for the middle of the hull at (x, y): ground slope times suspension."""
        c, s = math.cos(yaw), math.sin(yaw)
        bx, by = x + REAR_AXLE * c, y + REAR_AXLE * s
        half = TRACK_WIDTH / 2
        wheels = np.array([[WHEELBASE, half], [WHEELBASE, -half], [0.0, half], [0.0, -half]])
        z = world.ground_height(bx + wheels[:, 0] * c - wheels[:, 1] * s, by + wheels[:, 0] * s + wheels[:, 1] * c)
        pitch = -math.atan2((z[0] + z[1] - z[2] - z[3]) / 2, WHEELBASE) + float(self._angle[1])
        roll = math.atan2((z[0] + z[2] - z[1] - z[3]) / 2, TRACK_WIDTH) + float(self._angle[0])
        out = np.eye(4)
        out[:3, :3] = rotation(yaw, pitch, roll)
        out[:3, 3] = bx, by, float(z[2] + z[3]) / 2
        return out


def rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Rz(yaw) Ry(pitch) Rx(roll); positive pitch puts the nose down, positive roll lifts the left side."""
    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (math.cos, math.sin))
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )
