"""From light to picture: anti-aliasing, bloom, exposure, tone curve, vignetting, noise, 8 bit; rain on the lens."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from perception_nodes.simulator.render.jit import helper, kernel, maker
from perception_nodes.simulator.render.noise import hash3

GAMMA_STEPS = 4096
_x = np.arange(GAMMA_STEPS) / (GAMMA_STEPS - 1)
GAMMA = (255.0 * np.where(_x <= 0.0031308, 12.92 * _x, 1.055 * _x ** (1 / 2.4) - 0.055)).astype(np.float32)


class Look(NamedTuple):
    """`exposure` multiplies radiance; `bloom` is the share of spilled light; `noise` is in 8-bit steps; `seed` draws
    the frame's noise."""

    exposure: float
    bloom: float
    noise: float
    seed: int


@kernel
def small(light, out):
    """Quarter-size mean of a picture: float32 [H, W, 3] -> [ceil(H / 4), ceil(W / 4), 3]; gives the mean log2 light."""
    height, width, _ = light.shape
    total = 0.0
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            n = 0
            r = 0.0
            g = 0.0
            b = 0.0
            for y in range(4 * i, min(4 * i + 4, height)):
                for x in range(4 * j, min(4 * j + 4, width)):
                    r += min(light[y, x, 0], 4.0)
                    g += min(light[y, x, 1], 4.0)
                    b += min(light[y, x, 2], 4.0)
                    n += 1
            out[i, j, 0] = r / n
            out[i, j, 1] = g / n
            out[i, j, 2] = b / n
            total += np.log2((0.25 * r + 0.6 * g + 0.15 * b) / n + 1e-4)
    return total / (out.shape[0] * out.shape[1])


@kernel
def blur(image, scratch, radius, passes):
    """Box blur of float32 [h, w, 3] in place, rows then columns, `passes` times (near a Gaussian); edges repeat."""
    height, width, _ = image.shape
    norm = 1.0 / (2 * radius + 1)
    for _ in range(passes):
        for i in range(height):
            for c in range(3):
                acc = 0.0
                for k in range(-radius, radius + 1):
                    acc += image[i, min(max(k, 0), width - 1), c]
                for j in range(width):
                    scratch[i, j, c] = acc * norm
                    acc += image[i, min(j + radius + 1, width - 1), c] - image[i, max(j - radius, 0), c]
        for j in range(width):
            for c in range(3):
                acc = 0.0
                for k in range(-radius, radius + 1):
                    acc += scratch[min(max(k, 0), height - 1), j, c]
                for i in range(height):
                    image[i, j, c] = acc * norm
                    acc += scratch[min(i + radius + 1, height - 1), j, c] - scratch[max(i - radius, 0), j, c]


@helper
def _corner(ids, light, a, b, number, i, j):
    """Light at the corner sample (a, b): of the pixel round it that shows the same triangle, else of pixel (i, j)."""
    height, width = ids.shape
    for y in range(a - 1, a + 1):
        for x in range(b - 1, b + 1):
            if 0 <= y < height and 0 <= x < width and ids[y, x] == number:
                return y, x
    return i, j


@helper
def _tone(x):
    """Extended Reinhard curve with white at 2.8 (E. Reinhard et al., "Photographic Tone Reproduction", 2002) and more
    contrast about the middle."""
    y = min(x * (1.0 + x * 0.1276) / (1.0 + x), 1.0)
    return y + 0.9 * y * (1.0 - y) * (y - 0.22)


@kernel
def finish(light, ids, corners, spill, look, grain, top, stop, out):
    """Rows [top, stop) of the picture, uint8 [H, W, 3]. Edges take half of the centre sample and an eighth of each of
    the four corner samples (`corners` int32 [H + 1, W + 1], NVIDIA's "quincunx", 2001); `spill` is the blurred
    quarter-size picture."""
    height, width, _ = light.shape
    sh, sw, _ = spill.shape
    ox = np.int64(512.0 * hash3(look.seed, 1, 91))
    oy = np.int64(512.0 * hash3(look.seed, 2, 92))
    keep = 1.0 - look.bloom
    for i in range(top, stop):
        fy = min(max((i - 1.5) / 4.0, 0.0), sh - 1.001)
        y0 = np.int64(fy)
        fy -= y0
        ry = (i - 0.5 * height) / (0.5 * width)
        for j in range(width):
            r = float(light[i, j, 0])
            g = float(light[i, j, 1])
            b = float(light[i, j, 2])
            m = ids[i, j]
            if corners[i, j] != m or corners[i, j + 1] != m or corners[i + 1, j] != m or corners[i + 1, j + 1] != m:
                r *= 0.5
                g *= 0.5
                b *= 0.5
                for k in range(4):
                    y, x = _corner(ids, light, i + (k >> 1), j + (k & 1), corners[i + (k >> 1), j + (k & 1)], i, j)
                    r += 0.125 * light[y, x, 0]
                    g += 0.125 * light[y, x, 1]
                    b += 0.125 * light[y, x, 2]
            fx = min(max((j - 1.5) / 4.0, 0.0), sw - 1.001)
            x0 = np.int64(fx)
            fx -= x0
            y1 = min(y0 + 1, sh - 1)
            x1 = min(x0 + 1, sw - 1)
            w00 = (1 - fx) * (1 - fy) * look.bloom
            w01 = fx * (1 - fy) * look.bloom
            w10 = (1 - fx) * fy * look.bloom
            w11 = fx * fy * look.bloom
            r = (
                r * keep
                + spill[y0, x0, 0] * w00
                + spill[y0, x1, 0] * w01
                + spill[y1, x0, 0] * w10
                + spill[y1, x1, 0] * w11
            )
            g = (
                g * keep
                + spill[y0, x0, 1] * w00
                + spill[y0, x1, 1] * w01
                + spill[y1, x0, 1] * w10
                + spill[y1, x1, 1] * w11
            )
            b = (
                b * keep
                + spill[y0, x0, 2] * w00
                + spill[y0, x1, 2] * w01
                + spill[y1, x0, 2] * w10
                + spill[y1, x1, 2] * w11
            )
            rx = (j - 0.5 * width) / (0.5 * width)
            e = look.exposure * (1.0 - 0.16 * (rx * rx + ry * ry))
            row = ((i + oy) & 511) * 512
            n0 = grain[row + ((j + ox) & 511)]
            n1 = grain[row + ((j + ox + 171) & 511)]
            n2 = grain[row + ((j + ox + 343) & 511)]
            v = GAMMA[np.int64(_tone(r * e) * (GAMMA_STEPS - 1) + 0.5)] + look.noise * (0.7 * n0 + 0.5 * n1)
            out[i, j, 0] = np.uint8(min(max(v + 0.5, 0.0), 255.0))
            v = GAMMA[np.int64(_tone(g * e) * (GAMMA_STEPS - 1) + 0.5)] + look.noise * (0.8 * n0)
            out[i, j, 1] = np.uint8(min(max(v + 0.5, 0.0), 255.0))
            v = GAMMA[np.int64(_tone(b * e) * (GAMMA_STEPS - 1) + 0.5)] + look.noise * (0.7 * n0 + 0.6 * n2)
            out[i, j, 2] = np.uint8(min(max(v + 0.5, 0.0), 255.0))


@kernel
def streaks(light, seed, amount, r, g, b, slant):
    """Falling rain: thin motion-blurred streaks of the sky's light on float32 [H, W, 3], nearer ones longer."""
    height, width, _ = light.shape
    for k in range(int(amount * 0.0042 * height * width)):
        near = hash3(seed, k, 1) ** 2
        x = hash3(seed, k, 2) * width
        y = hash3(seed, k, 3) * 1.2 * height - 0.1 * height
        length = int((0.02 + 0.10 * near) * height) + 2
        alpha = 0.05 + 0.10 * hash3(seed, k, 4) * (0.3 + near)
        for s in range(length):
            i = int(y) + s
            u = x + slant * s
            j = int(u)
            if i < 0 or i >= height or j < 0 or j + 1 >= width:
                continue
            fade = alpha * (1.0 - abs(2.0 * s / length - 1.0))
            for d in range(2):
                a = fade * ((1.0 - u + j) if d == 0 else (u - j))
                light[i, j + d, 0] += a * (r - 0.5 * light[i, j + d, 0])
                light[i, j + d, 1] += a * (g - 0.5 * light[i, j + d, 1])
                light[i, j + d, 2] += a * (b - 0.5 * light[i, j + d, 2])


@maker
def droplets(picture, seed, time):
    """Drops on the lens: each shows the scene upside down and small; they stay a while, then others come."""
    height, width, _ = picture.shape
    source = picture.copy()
    for k in range(14):
        age = time / 4.0 + hash3(seed, k, 11)
        life = int(age)
        x = int(hash3(seed + life, k, 12) * width)
        y = int(hash3(seed + life, k, 13) * height + (age - life) * 0.05 * height)
        radius = height * (0.008 + 0.028 * hash3(seed + life, k, 14) ** 2)
        n = int(radius) + 1
        for i in range(max(0, y - n), min(height, y + n + 1)):
            for j in range(max(0, x - n), min(width, x + n + 1)):
                q = ((i - y) ** 2 + (j - x) ** 2) / (radius * radius)
                if q >= 1.0:
                    continue
                sy = min(max(int(y - (i - y) * 4.0), 0), height - 1)
                sx = min(max(int(x - (j - x) * 4.0), 0), width - 1)
                a = 0.75 * (1.0 - q * q)
                dark = 1.0 - 0.35 * q
                for c in range(3):
                    v = source[i, j, c] * (1.0 - a) + source[sy, sx, c] * dark * a
                    picture[i, j, c] = np.uint8(min(v, 255.0))


def exposure(base: float, mean_log2: float) -> float:
    """Auto-exposure: from the base exposure half of the way (in stops) to a mid-grey mean, 0.9 stops at most."""
    wanted = np.log2(0.30) - (mean_log2 + np.log2(base))
    return float(base * 2.0 ** np.clip(0.5 * wanted, -0.9, 0.9))


def quarter(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Room for `small`."""
    return np.empty((-(-light.shape[0] // 4), -(-light.shape[1] // 4), 3), np.float32)
