"""Strong photometric augmentation of pictures for training: one seeded function, uint8 in and out.

    augmented = photometric(rgb, np.random.default_rng(seed))

The driving world's pictures are flatter and cleaner than those of real cameras. A network that is trained on them must
not depend on a contrast, a tint or a sharpness. The steps follow a camera's own order: scene contrast, lens blur, white
balance, exposure and tone, colour, vignette, sensor noise, JPEG. Geometry stays as it is. Every step is drawn apart,
with the chance `PhotometricConfig.chance`; its strength lies within the range of the field of its name.

Sources: A. Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", 2012 (colour);
W. Liu et al., "SSD", 2016, section 2.2 (photometric distortion); A. Foi et al., "Practical Poissonian-Gaussian noise
modeling", 2008, eq. 5 (noise).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # [H, W, 3] RGB
Floats = NDArray[np.float32]  # [H, W, 3] RGB, 0..1
Range = tuple[float, float]

# RGB to luma and two colour axes (BT.601), and back
_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float64)
_RGB = np.linalg.inv(_YIQ)


@dataclass(frozen=True)
class PhotometricConfig:
    """Ranges of the steps; a step at its neutral value changes nothing.

    chance: probability of each step · contrast, gain: factors about the mean and of the whole · gamma: exponent ·
    saturation: factor · hue: turn of the colour circle, degrees · cast: log spread of the three channels' gains, 1
    sigma · local_contrast: share of the detail that is added (negative: taken away) · blur: Gaussian sigma, px at a
    width of 704 · noise: (read noise, 1 sigma of full scale; shot noise, 1 sigma at full scale), upper ends · vignette:
    share of light lost in the corners · jpeg: quality.
    """

    chance: float = 0.6
    contrast: Range = (0.6, 1.6)
    gain: Range = (0.65, 1.5)
    gamma: Range = (0.65, 1.55)
    saturation: Range = (0.0, 1.8)
    hue: Range = (-18.0, 18.0)
    cast: float = 0.09
    local_contrast: Range = (-0.4, 0.9)
    blur: Range = (0.3, 1.6)
    noise: Range = (0.03, 0.06)
    vignette: Range = (0.0, 0.5)
    jpeg: tuple[int, int] = (25, 90)


DEFAULT = PhotometricConfig()


def photometric(rgb: Picture, rng: np.random.Generator, config: PhotometricConfig = DEFAULT) -> Picture:
    """A new picture of the same size; the same generator state gives the same bytes.

    rgb: uint8 [H, W, 3], which is left as it is. Raises ValueError for another shape or dtype.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
        raise ValueError(f"a picture of {rgb.dtype} {list(rgb.shape)}; expected uint8 [H, W, 3]")

    # all draws come first, so that no step shifts those of another
    use = rng.random(8) < config.chance
    detail, sigma = _within(rng, config.local_contrast), _within(rng, config.blur)
    cast = np.exp(rng.normal(0.0, config.cast, 3))
    gain, contrast, gamma = (_log_within(rng, r) for r in (config.gain, config.contrast, config.gamma))
    saturation, hue = _within(rng, config.saturation), _within(rng, config.hue)
    dark = _within(rng, config.vignette)
    read, shot = config.noise[0] * rng.random() ** 2, config.noise[1] * rng.random() ** 2
    quality = int(rng.integers(config.jpeg[0], config.jpeg[1] + 1))
    grain_seed = rng.integers(1 << 31)

    out = rgb.astype(np.float32) * np.float32(1.0 / 255.0)
    if use[0]:
        out = local_contrast(out, detail)
    if use[1]:
        out = cv2.GaussianBlur(out, (0, 0), max(sigma * rgb.shape[1] / 704.0, 0.05))
    if use[2] or use[4]:
        out = recolour(out, cast if use[2] else np.ones(3), saturation if use[4] else 1.0, hue if use[4] else 0.0)
    if use[3]:
        out = tone(out, gain, contrast, gamma)
    if use[5]:
        out = vignette(out, dark)
    if use[6]:
        out = noise(out, np.random.default_rng(grain_seed), read, shot)
    picture = np.round(np.clip(out, 0.0, 1.0) * 255.0).astype(np.uint8)
    return jpeg(picture, quality) if use[7] else picture


def local_contrast(image: Floats, amount: float) -> Floats:
    """Adds `amount` times the difference from the blurred luma (unsharp masking with a wide radius)."""
    luma = image @ _YIQ[0].astype(np.float32)
    small = cv2.resize(luma, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA) if min(luma.shape) >= 16 else luma
    wide = cv2.GaussianBlur(small, (0, 0), max(small.shape[1] / 25.0, 0.5))
    detail = luma - cv2.resize(wide, luma.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return image + np.float32(amount) * detail[..., None]


def recolour(image: Floats, gains: NDArray[np.float64], saturation: float, hue: float) -> Floats:
    """Channel gains (their mean luma kept), then saturation and a turn of `hue` degrees about the grey axis."""
    angle = np.radians(hue)
    turn = np.eye(3)
    turn[1:, 1:] = saturation * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    even = np.asarray(gains) / float(_YIQ[0] @ np.asarray(gains))
    matrix = _RGB @ turn @ _YIQ @ np.diag(even)
    return cv2.transform(image, matrix.astype(np.float32)).reshape(image.shape)


def tone(image: Floats, gain: float, contrast: float, gamma: float) -> Floats:
    """(mean + contrast (gain x - mean)) ** gamma, clipped to 0..1."""
    mean = np.float32(min(gain * float(image.mean()), 1.0))
    flat = mean + np.float32(contrast) * (np.float32(gain) * image - mean)
    return np.power(np.clip(flat, 0.0, 1.0), np.float32(gamma))


def vignette(image: Floats, share: float) -> Floats:
    """Darkens towards the corners, which lose `share` of their light, with the square of the distance."""
    height, width = image.shape[:2]
    y = np.linspace(-1.0, 1.0, height, dtype=np.float32)[:, None]
    x = np.linspace(-1.0, 1.0, width, dtype=np.float32)[None]
    return image * (1.0 - np.float32(share / 2.0) * (x * x + y * y))[..., None]


def noise(image: Floats, rng: np.random.Generator, read: float, shot: float) -> Floats:
    """Adds noise of variance read^2 + shot^2 x (full scale 1), each pixel and channel for itself."""
    sigma = np.sqrt(np.float32(read * read) + np.float32(shot * shot) * np.clip(image, 0.0, 1.0))
    return image + sigma * rng.standard_normal(image.shape, np.float32)


def jpeg(picture: Picture, quality: int) -> Picture:
    """The picture after JPEG compression at a quality of 1 to 100."""
    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"JPEG could not encode a picture of {list(picture.shape)}")
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def _within(rng: np.random.Generator, bounds: Range) -> float:
    return float(rng.uniform(*bounds))


def _log_within(rng: np.random.Generator, bounds: Range) -> float:
    """Between two positive factors, evenly in their logarithm."""
    return float(np.exp(rng.uniform(*np.log(bounds))))
