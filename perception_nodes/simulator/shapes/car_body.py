"""A car body's dimensions and outline, from which its parts are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.shapes.car_forms import CarForm


@dataclass(frozen=True)
class CarBody:
    """One car's dimensions in metres; x from the rear end (-length / 2) to the front end."""

    form: CarForm
    length: float
    width: float
    height: float
    wheelbase: float
    front_axle: float
    cargo: bool  # van without windows behind, pickup with an open bed

    def along(self, share: float) -> float:
        return self.length * (0.5 - share)

    @property
    def axles(self) -> tuple[float, float]:
        return self.front_axle, self.front_axle - self.wheelbase

    def half_width(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Plan outline: nearly straight sides, rounded corners."""
        u = np.abs(2 * x / self.length)
        return self.width / 2 * (1 - 0.04 * u**2 - 0.16 * u**12)

    def top(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Height of the body's upper edge: bonnet, window sill, boot."""
        f, h = self.form, self.height
        knots = [
            -self.length / 2,
            self.along(f.tail_foot),
            self.along(f.screen_foot),
            self.along(0.03),
            self.length / 2,
        ]
        boot = f.boot * h
        z = [boot - 0.06, f.belt * h, f.belt * h - 0.04, f.bonnet * h, f.bonnet * h - 0.12]
        if self.form.tail_foot > 0.97:
            z[0] = f.belt * h - 0.02
        return np.interp(x, knots, z)

    def sill(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Height of the body's lower edge, raised over the wheels."""
        f = self.form
        base = f.clearance + 0.08 * np.abs(2 * x / self.length) ** 8
        arch = f.wheel * 1.16
        for axle in self.axles:
            inside = np.abs(x - axle) < arch
            circle = f.wheel + np.sqrt(np.maximum(arch**2 - (x - axle) ** 2, 0))
            base = np.where(inside, np.maximum(base, circle), base)
        return np.minimum(base, self.top(x) - 0.1)
