"""Differentiable augmentation of real and generated pictures alike (DiffAugment, Zhao et al., NeurIPS 2020).

The discriminator only ever sees augmented pictures, in its own step and in the generator's, so gradients flow through
the augmentation. Every picture draws its own numbers. Values are not clamped.

    found = augment(pictures, "color,translation,cutout", generator)

Random numbers are drawn in the order of the policy, for each operation in the order of its `draw_…` function, with
`torch.rand` and `torch.randint` of shape [N, 1, 1, 1] and [N, 1, 1] on the pictures' device: the official order.
Rows are axis 2 ("x" in the paper's code), columns axis 3 ("y").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor

TRANSLATION_RATIO = 0.125
CUTOUT_RATIO = 0.5


@dataclass
class Draws:
    """Random numbers of one call, one per picture; None for operations that are not in the policy.

    brightness, saturation, contrast: float [N], raw numbers of [0, 1) · translation_x, translation_y: int [N], px ·
    offset_x, offset_y: int [N], centre of the cut-out box, px.
    """

    brightness: Tensor | None = None
    saturation: Tensor | None = None
    contrast: Tensor | None = None
    translation_x: Tensor | None = None
    translation_y: Tensor | None = None
    offset_x: Tensor | None = None
    offset_y: Tensor | None = None

    def half(self, first: int, count: int) -> Draws:
        """The numbers of pictures first … first + count - 1."""
        found = ((f.name, getattr(self, f.name)) for f in fields(self))
        return Draws(**{name: None if v is None else v[first : first + count] for name, v in found})


def draw_color(x: Tensor, draws: Draws, generator: torch.Generator | None) -> None:
    """Brightness, saturation, contrast."""
    for name in ("brightness", "saturation", "contrast"):
        shape = (len(x), 1, 1, 1)
        number = torch.rand(shape, dtype=x.dtype, device=x.device, generator=generator)
        setattr(draws, name, number.flatten())


def draw_translation(x: Tensor, draws: Draws, generator: torch.Generator | None) -> None:
    """Shift along rows, then along columns: at most an eighth of the side, rounded, either way."""
    for name, side in (("translation_x", x.shape[2]), ("translation_y", x.shape[3])):
        most = int(side * TRANSLATION_RATIO + 0.5)
        setattr(draws, name, _integers(-most, most + 1, x, generator))


def draw_cutout(x: Tensor, draws: Draws, generator: torch.Generator | None) -> None:
    """Centre of the box: row, then column; one further for boxes of even size."""
    for name, side in (("offset_x", x.shape[2]), ("offset_y", x.shape[3])):
        size = int(side * CUTOUT_RATIO + 0.5)
        setattr(draws, name, _integers(0, side + (1 - size % 2), x, generator))


def _integers(low: int, high: int, x: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randint(low, high, (len(x), 1, 1), device=x.device, generator=generator).flatten()


def color(x: Tensor, draws: Draws) -> Tensor:
    """x + (b - 0.5); then the distance from each pixel's mean times 2 s; then that from the picture's mean times
    c + 0.5."""
    x = x + (_column(draws.brightness) - 0.5)
    mean = x.mean(1, keepdim=True)
    x = (x - mean) * (_column(draws.saturation) * 2) + mean
    mean = x.mean((1, 2, 3), keepdim=True)
    return (x - mean) * (_column(draws.contrast) + 0.5) + mean


def translation(x: Tensor, draws: Draws) -> Tensor:
    """output(r, c) = input(r + translation_x, c + translation_y), zero outside the picture."""
    n, _, height, width = x.shape
    rows, inside_r = _moved(draws.translation_x, height, x)
    columns, inside_c = _moved(draws.translation_y, width, x)
    pictures = torch.arange(n, device=x.device)[:, None, None]
    moved = x.permute(0, 2, 3, 1)[pictures, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    inside = (inside_r[:, :, None] & inside_c[:, None, :])[:, None]
    return torch.where(inside, moved, torch.zeros((), dtype=x.dtype, device=x.device))


def cutout(x: Tensor, draws: Draws) -> Tensor:
    """Zeros in a box of half the picture's sides; rows and columns of the box beyond the edge count as the edge's."""
    keep_r = ~_box(draws.offset_x, x.shape[2], x)
    keep_c = ~_box(draws.offset_y, x.shape[3], x)
    keep = keep_r[:, :, None] | keep_c[:, None, :]
    return x * keep[:, None].to(x.dtype)


def _column(number: Tensor | None) -> Tensor:
    assert number is not None
    return number[:, None, None, None]


def _moved(by: Tensor | None, side: int, x: Tensor) -> tuple[Tensor, Tensor]:
    """(clamped source index [N, side], whether it lies inside [N, side])."""
    assert by is not None
    at = torch.arange(side, device=x.device)[None] + by[:, None]
    return at.clamp(0, side - 1), (at >= 0) & (at < side)


def _box(centre: Tensor | None, side: int, x: Tensor) -> Tensor:
    """Whether a row (or column) belongs to the cut-out box, bool [N, side]."""
    assert centre is not None
    size = int(side * CUTOUT_RATIO + 0.5)
    within = torch.arange(size, device=x.device)[None] + centre[:, None] - size // 2
    found = torch.zeros((len(x), side), dtype=torch.bool, device=x.device)
    return found.scatter(1, within.clamp(0, side - 1), True)


OPERATIONS: dict[str, tuple[Callable[..., None], Callable[[Tensor, Draws], Tensor]]] = {
    "color": (draw_color, color),
    "translation": (draw_translation, translation),
    "cutout": (draw_cutout, cutout),
}


def parse_policy(policy: str) -> tuple[str, ...]:
    """The operations of "color,translation,cutout" in order; "" is none. ValueError for an unknown one."""
    names = tuple(n.strip() for n in policy.split(",") if n.strip())
    unknown = [n for n in names if n not in OPERATIONS]
    if unknown:
        raise ValueError(f"augmentation {unknown[0]!r} is unknown: expected a list of {', '.join(OPERATIONS)}")
    return names


def augment(x: Tensor, policy: str, generator: torch.Generator | None = None, draws: Draws | None = None) -> Tensor:
    """x float [N, C, H, W], usually in [-1, 1] -> the same shape, differentiable with respect to x.

    policy: operations left to right · draws: numbers to use instead of new ones (the two parts of a conditional pair
    are augmented with the same ones). Raises ValueError for an unknown operation or another shape.
    """
    if x.ndim != 4:
        raise ValueError(f"pictures have shape {list(x.shape)}: expected [N, C, H, W]")
    found = Draws() if draws is None else draws
    for name in parse_policy(policy):
        draw, apply = OPERATIONS[name]
        if draws is None:
            draw(x, found, generator)
        x = apply(x, found)
    return x


def draw(x: Tensor, policy: str, generator: torch.Generator | None = None) -> Draws:
    """The random numbers that `augment` would draw for pictures of this shape."""
    found = Draws()
    for name in parse_policy(policy):
        OPERATIONS[name][0](x, found, generator)
    return found
