"""Augmentation of labelled sweeps, batched, on whatever device the points live on.

Everything works on one flat list of points with a batch index, so that mixing sweeps is a change of that index.
PolarMix (Xiao et al., NeurIPS 2022): two sweeps swap an azimuth sector; the rare instances of one are pasted, turned,
into the other. LaserMix (Kong et al., CVPR 2023): two sweeps swap bands of inclination.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from perception_nodes.classes import IGNORE, point_class

RARE = tuple(
    point_class(n)
    for n in ("bicycle", "motorcycle", "truck", "other-vehicle", "person", "bicyclist", "motorcyclist", "traffic-sign")
)

CENTRES = (*RARE, point_class("parking"), point_class("other-ground"))  # what a sector may be drawn about


@dataclass(frozen=True)
class AugmentConfig:
    """Strengths; probabilities are per sweep. Lengths in metres, angles in radians."""

    sector: float = 0.0  # mean share of the circle that is kept (0: all of it)
    centred: float = 1.0  # chance that a sector is drawn about a class of CENTRES, where there is one
    turn: float = 3.1416  # yaw, uniform +-
    tilt: float = 0.025  # roll and pitch, 1 sigma
    scale: float = 0.05  # uniform 1 +-
    lift: float = 0.25  # height shift, uniform +-
    waves: float = 0.02  # largest amplitude of the ground's unevenness, m; simulated roads are smoother than real ones
    flip: float = 0.5
    range_noise: float = 0.01  # 1 sigma along the beam, strength drawn per sweep up to this
    point_drop: float = 0.25  # share of points dropped, drawn uniformly up to this
    beam_drop: float = 0.3  # chance that a sweep keeps every second ring only
    far_drop: float = 0.3  # chance that points fade out beyond a drawn range
    gain: float = 0.5  # 1 sigma of the log of the intensity gain
    gamma: float = 0.25  # 1 sigma of the log of the intensity exponent
    offset: float = 0.05
    intensity_drop: float = 0.25  # chance that a sweep has no intensity at all
    mix: float = 0.5  # chance that a pair of sweeps swaps a sector or bands
    paste: float = 0.5  # chance that a sweep receives its partner's rare instances


@dataclass
class PointBatch:
    """Flat points of `size` sweeps: xyz float32 [M, 3] m, sensor frame; intensity float32 [M] 0..1; label int64 [M];
    ring int64 [M]; batch int64 [M]; known float32 [size], 1 where the sweep has intensities."""

    xyz: Tensor
    intensity: Tensor
    label: Tensor
    ring: Tensor
    batch: Tensor
    size: int
    known: Tensor

    def keep(self, mask: Tensor) -> PointBatch:
        """Only the points where mask (bool [M]) holds."""
        return PointBatch(
            self.xyz[mask],
            self.intensity[mask],
            self.label[mask],
            self.ring[mask],
            self.batch[mask],
            self.size,
            self.known,
        )


def augment(points: PointBatch, config: AugmentConfig, generator: torch.Generator) -> PointBatch:
    """A new batch: sectors, thinned, mixed with a partner, moved as rigid bodies, intensities disturbed."""
    if config.sector > 0:
        points = _sector(points, config, generator)
    points = _thin(points, config, generator)
    if points.size > 1:
        points = _mix(points, config, generator)
    points = _paste(points, config, generator) if points.size > 1 else points
    points = _move(points, config, generator)
    return _intensity(points, config, generator)


def _uniform(n: int, low: float, high: float, like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(n, device=like.device, generator=generator) * (high - low) + low


def _normal(n: int, sigma: float, like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(n, device=like.device, generator=generator) * sigma


def _sector(p: PointBatch, c: AugmentConfig, g: torch.Generator) -> PointBatch:
    """Keeps what lies within a sector of every sweep and turns it to the front: parts of several streets teach more
    than the whole of one. Its middle is a point of one of CENTRES in the sweep, each class alike, or anywhere."""
    azimuth = torch.atan2(p.xyz[:, 1], p.xyz[:, 0])
    middle = _uniform(p.size, -torch.pi, torch.pi, p.xyz, g)
    centred = _uniform(p.size, 0.0, 1.0, p.xyz, g) < c.centred
    seldom = torch.isin(p.label, torch.tensor(CENTRES, device=p.label.device)) & centred[p.batch]
    for i in range(p.size):
        rows = torch.nonzero(seldom & (p.batch == i))[:, 0]
        if len(rows):
            of_class = torch.bincount(p.label[rows])[p.label[rows]]
            middle[i] = azimuth[rows[torch.multinomial(1.0 / of_class, 1, generator=g)]]
    half = torch.pi * c.sector * _uniform(p.size, 0.75, 1.25, p.xyz, g)
    aside = torch.remainder(azimuth - middle[p.batch] + torch.pi, 2 * torch.pi) - torch.pi
    p.xyz = _turned(p.xyz, -middle[p.batch])
    return p.keep(aside.abs() < half[p.batch])


def _thin(p: PointBatch, c: AugmentConfig, g: torch.Generator) -> PointBatch:
    """Random points, every second ring, and far points go."""
    drop = _uniform(p.size, 0.0, c.point_drop, p.xyz, g)
    keep = torch.rand(len(p.xyz), device=p.xyz.device, generator=g) >= drop[p.batch]
    halve = _uniform(p.size, 0.0, 1.0, p.xyz, g) < c.beam_drop
    keep &= ~halve[p.batch] | (p.ring % 2 == 0)
    fade = _uniform(p.size, 0.0, 1.0, p.xyz, g) < c.far_drop
    reach = torch.where(fade, _uniform(p.size, 20.0, 80.0, p.xyz, g), torch.full((p.size,), 1e6, device=p.xyz.device))
    distance = p.xyz.norm(dim=1)
    survive = torch.exp(-(distance / reach[p.batch]).square())
    keep &= torch.rand(len(p.xyz), device=p.xyz.device, generator=g) < survive
    return p.keep(keep)


def _partner(p: PointBatch) -> Tensor:
    """Neighbour in the batch, an involution: 0<->1, 2<->3, …; an odd last one stays alone. int64 [size]."""
    other = torch.arange(p.size, device=p.xyz.device) ^ 1
    return torch.where(other < p.size, other, torch.arange(p.size, device=p.xyz.device))


def _mix(p: PointBatch, c: AugmentConfig, g: torch.Generator) -> PointBatch:
    """Swaps an azimuth sector (PolarMix) or alternate bands of inclination (LaserMix) within chosen pairs."""
    pair = torch.arange(p.size, device=p.xyz.device) // 2
    pairs = int((p.size + 1) // 2)
    mode = _uniform(pairs, 0.0, 1.0, p.xyz, g)[pair][p.batch]
    start = _uniform(pairs, -torch.pi, torch.pi, p.xyz, g)[pair][p.batch]
    width = _uniform(pairs, 0.5, torch.pi, p.xyz, g)[pair][p.batch]
    bands = torch.randint(3, 7, (pairs,), device=p.xyz.device, generator=g)[pair][p.batch]
    azimuth = torch.atan2(p.xyz[:, 1], p.xyz[:, 0])
    in_sector = torch.remainder(azimuth - start, 2 * torch.pi) < width
    inclination = torch.atan2(p.xyz[:, 2], p.xyz[:, :2].norm(dim=1)).clamp(-0.45, 0.1)
    in_band = ((inclination + 0.45) / 0.55001 * bands).long() % 2 == 1
    swap = torch.where(mode < c.mix / 2, in_sector, torch.where(mode < c.mix, in_band, torch.zeros_like(in_band)))
    p.batch = torch.where(swap, _partner(p)[p.batch], p.batch)
    return p


def _paste(p: PointBatch, c: AugmentConfig, g: torch.Generator) -> PointBatch:
    """Copies the points of rare classes into the partner sweep, turned about z by a drawn angle (within a sector)."""
    rare = torch.isin(p.label, torch.tensor(RARE, device=p.label.device))
    chosen = _uniform(p.size, 0.0, 1.0, p.xyz, g) < c.paste
    rare &= chosen[p.batch] & (_partner(p)[p.batch] != p.batch)
    reach = torch.pi * (c.sector / 2 if c.sector > 0 else 1.0)
    angle = _uniform(p.size, -reach, reach, p.xyz, g)[p.batch[rare]]
    xyz = _turned(p.xyz[rare], angle)
    return PointBatch(
        torch.cat((p.xyz, xyz)),
        torch.cat((p.intensity, p.intensity[rare])),
        torch.cat((p.label, p.label[rare])),
        torch.cat((p.ring, p.ring[rare])),
        torch.cat((p.batch, _partner(p)[p.batch[rare]])),
        p.size,
        p.known,
    )


def _turned(xyz: Tensor, angle: Tensor) -> Tensor:
    """Points [M, 3] turned about z by angle [M]."""
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.stack((xyz[:, 0] * cos - xyz[:, 1] * sin, xyz[:, 0] * sin + xyz[:, 1] * cos, xyz[:, 2]), 1)


def _move(p: PointBatch, c: AugmentConfig, g: torch.Generator) -> PointBatch:
    """Noise along the beam, tilt, turn, flip, scale, lift and a shift below the voxel size."""
    distance = p.xyz.norm(dim=1, keepdim=True).clamp(min=0.1)
    noise = (
        torch.randn(len(p.xyz), device=p.xyz.device, generator=g)
        * _uniform(p.size, 0, c.range_noise, p.xyz, g)[p.batch]
    )
    xyz = p.xyz * (1.0 + noise[:, None] / distance)
    roll, pitch = (_normal(p.size, c.tilt, p.xyz, g)[p.batch] for _ in range(2))
    # small-angle rotations: exact to 3e-4, far below the noise
    xyz = torch.stack(
        (
            xyz[:, 0] + pitch * xyz[:, 2],
            xyz[:, 1] - roll * xyz[:, 2],
            xyz[:, 2] - pitch * xyz[:, 0] + roll * xyz[:, 1],
        ),
        1,
    )
    xyz = _turned(xyz, _uniform(p.size, -c.turn, c.turn, p.xyz, g)[p.batch])
    flip = _uniform(p.size, 0.0, 1.0, p.xyz, g) < c.flip
    scale = _uniform(p.size, 1.0 - c.scale, 1.0 + c.scale, p.xyz, g)
    factors = torch.stack((scale, torch.where(flip, -scale, scale), scale), 1)
    shift = torch.stack(
        (
            _uniform(p.size, -1, 1, p.xyz, g),
            _uniform(p.size, -1, 1, p.xyz, g),
            _uniform(p.size, -c.lift, c.lift, p.xyz, g),
        ),
        1,
    )
    p.xyz = xyz * factors[p.batch] + shift[p.batch]
    p.xyz[:, 2] += _waves(p, c, g)
    return p


def _waves(p: PointBatch, c: AugmentConfig, g: torch.Generator) -> Tensor:
    """Height offset [M] of two plane waves of 1.5 to 8 m length per sweep, so that no class lives on perfect planes."""
    height = torch.zeros(len(p.xyz), device=p.xyz.device)
    for _ in range(2):
        heading = _uniform(p.size, 0.0, 2 * torch.pi, p.xyz, g)[p.batch]
        number = 2 * torch.pi / _uniform(p.size, 1.5, 8.0, p.xyz, g)[p.batch]
        phase = _uniform(p.size, 0.0, 2 * torch.pi, p.xyz, g)[p.batch]
        amplitude = _uniform(p.size, 0.0, c.waves, p.xyz, g)[p.batch]
        along = p.xyz[:, 0] * torch.cos(heading) + p.xyz[:, 1] * torch.sin(heading)
        height += amplitude * torch.sin(number * along + phase)
    return height


def _intensity(p: PointBatch, c: AugmentConfig, g: torch.Generator) -> PointBatch:
    """Gain, exponent, offset, noise; some sweeps lose intensity altogether (`known` 0)."""
    gain = torch.exp(_normal(p.size, c.gain, p.xyz, g))[p.batch]
    gamma = torch.exp(_normal(p.size, c.gamma, p.xyz, g))[p.batch]
    offset = _uniform(p.size, -c.offset, c.offset, p.xyz, g)[p.batch]
    p.known = (_uniform(p.size, 0.0, 1.0, p.xyz, g) >= c.intensity_drop).float()
    noise = torch.randn(len(p.xyz), device=p.xyz.device, generator=g) * 0.02
    value = (gain * p.intensity.clamp(min=0).pow(gamma) + offset + noise).clamp(0.0, 1.0)
    p.intensity = value * p.known[p.batch]
    return p


def without_ignored(p: PointBatch, share: float, generator: torch.Generator) -> PointBatch:
    """Drops unlabelled points with chance `share` (they cost time and teach nothing, but belong to real sweeps)."""
    lose = torch.rand(len(p.xyz), device=p.xyz.device, generator=generator) < share
    return p.keep((p.label != IGNORE) | ~lose)
