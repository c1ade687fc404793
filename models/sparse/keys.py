"""Voxel coordinates packed into sortable 64-bit keys.

A key holds batch (7 bits), x (20), y (20) and z (16) from high to low, x, y, z shifted to be non-negative. Keys order
voxels by (batch, x, y, z), and a step in space is one constant added to the key, as long as no field overflows: a
margin of `MARGIN` units at each end keeps room for the steps of a kernel.
"""

import numpy as np

Z_BITS, Y_BITS, X_BITS, BATCH_BITS = 16, 20, 20, 7
Y_SHIFT, X_SHIFT, BATCH_SHIFT = Z_BITS, Z_BITS + Y_BITS, Z_BITS + Y_BITS + X_BITS
X_BIAS, Y_BIAS, Z_BIAS = 1 << (X_BITS - 1), 1 << (Y_BITS - 1), 1 << (Z_BITS - 1)
MARGIN = 256
LIMITS = np.array([X_BIAS - MARGIN, Y_BIAS - MARGIN, Z_BIAS - MARGIN], np.int64)
MAX_BATCH = (1 << BATCH_BITS) - 1
_STEPS = np.array([1 << X_SHIFT, 1 << Y_SHIFT, 1, 1 << BATCH_SHIFT], np.int64)  # of x, y, z, batch
_ORIGIN = np.int64((X_BIAS << X_SHIFT) + (Y_BIAS << Y_SHIFT) + Z_BIAS)


def check_coords(coords: np.ndarray) -> np.ndarray:
    """Validates voxel coordinates (x, y, z, batch) and returns them as contiguous int32 [N, 4].

    Raises TypeError for a dtype that is not an integer, ValueError for a wrong shape or a coordinate that a key
    cannot hold.
    """
    coords = np.asarray(coords)
    if coords.ndim != 2 or coords.shape[1] != 4:
        raise ValueError(f"coordinates have shape {coords.shape}: expected [N, 4] with columns x, y, z, batch")
    if coords.dtype.kind not in "iu":
        raise TypeError(
            f"coordinates have dtype {coords.dtype}: expected integers; use models.sparse.voxelize for points"
        )
    if not len(coords):
        return np.zeros((0, 4), np.int32)
    low, high = coords.min(0).astype(np.int64), coords.max(0).astype(np.int64)
    if (low[:3] < -LIMITS).any() or (high[:3] > LIMITS).any():
        raise ValueError(
            f"coordinates span {low[:3].tolist()} to {high[:3].tolist()}: a voxel key holds only "
            f"{(-LIMITS).tolist()} to {LIMITS.tolist()} (x, y, z); crop the cloud or use larger voxels"
        )
    if low[3] < 0 or high[3] > MAX_BATCH:
        raise ValueError(f"batch indices span {low[3]} to {high[3]}: expected 0 to {MAX_BATCH} in the last column")
    return np.ascontiguousarray(coords, dtype=np.int32)


def pack(coords: np.ndarray, stride: tuple[int, int, int] = (1, 1, 1)) -> np.ndarray:
    """Keys int64 [N] of coords int [N, 4] (x, y, z, batch), each axis first divided by `stride`, rounding down."""
    c = coords.astype(np.int64)
    if tuple(stride) != (1, 1, 1):
        c[:, :3] //= stride
    return c @ _STEPS + _ORIGIN


def unpack(keys: np.ndarray, stride: tuple[int, int, int] = (1, 1, 1)) -> np.ndarray:
    """The inverse of `pack`: coords int32 [N, 4] in full-resolution units."""
    coords = np.empty((len(keys), 4), np.int32)
    coords[:, 0] = (((keys >> X_SHIFT) & ((1 << X_BITS) - 1)) - X_BIAS) * stride[0]
    coords[:, 1] = (((keys >> Y_SHIFT) & ((1 << Y_BITS) - 1)) - Y_BIAS) * stride[1]
    coords[:, 2] = ((keys & ((1 << Z_BITS) - 1)) - Z_BIAS) * stride[2]
    coords[:, 3] = keys >> BATCH_SHIFT
    return coords


def step(offsets: np.ndarray) -> np.ndarray:
    """What to add to a key for each offset int64 [K, 3] (x, y, z) -> int64 [K]."""
    return offsets[:, 0] * (1 << X_SHIFT) + offsets[:, 1] * (1 << Y_SHIFT) + offsets[:, 2]
