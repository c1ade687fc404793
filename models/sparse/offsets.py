"""Kernel offsets and their order (MinkowskiEngine / torchsparse convention)."""

import numpy as np

Triple = tuple[int, int, int]


def triple(value: int | tuple[int, ...] | list[int], name: str = "value") -> Triple:
    """`3` -> (3, 3, 3); a sequence of three positive integers is passed on. Axes are x, y, z."""
    numbers = (value,) * 3 if isinstance(value, int | np.integer) else tuple(value)
    if len(numbers) != 3 or any(int(n) < 1 for n in numbers):
        raise ValueError(f"{name} is {value!r}: give one positive integer or three (x, y, z)")
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def kernel_offsets(size: int | tuple[int, ...], dilation: int | tuple[int, ...] = 1) -> np.ndarray:
    """Offsets of a kernel, int64 [K, 3] (x, y, z), in steps of the input's stride.

    Per axis: arange(-size//2 + 1, size//2 + 1) * dilation, so 3 gives -1, 0, 1 and 2 gives 0, 1.
    Row order is the order of the weights: for an odd volume z is outermost and x runs fastest
    (index (z+1)*9 + (y+1)*3 + (x+1) for 3^3); for an even volume x is outermost and z runs fastest (x*4 + y*2 + z for
    2^3).
    """
    sizes, steps = triple(size, "kernel_size"), triple(dilation, "dilation")
    axes = [np.arange(-(s // 2) + (1 - s % 2), s // 2 + 1, dtype=np.int64) * d for s, d in zip(sizes, steps)]
    if np.prod(sizes) % 2:
        z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    else:
        x, y, z = np.meshgrid(axes[0], axes[1], axes[2], indexing="ij")
    return np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1)
