"""Smooth random curves and fields, the stuff that tissue borders and textures are made of.

They are sums of waves with random coefficients, so a scene is a function of position and looks
the same at every image size.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_PERIOD = 1.4  # of the slowest wave; more than 1, so that opposite image sides are unrelated


@functools.lru_cache(maxsize=256)
def _waves(size: int, scale: float) -> Array:
    """Waves `[size, K]` at the pixel centres, weighted so that random sums have deviation 1.

    Their spectrum is Gaussian, of correlation length `scale`.
    """
    count = max(1, math.ceil(1.1 / scale))
    angular = 2 * math.pi * np.arange(count + 1) / _PERIOD
    amplitude = np.exp(-0.25 * (angular * scale) ** 2)
    phase = ((np.arange(size) + 0.5) / size)[:, None] * angular
    waves = np.concatenate([np.cos(phase), np.sin(phase[:, 1:])], axis=1)
    waves *= np.concatenate([amplitude, amplitude[1:]])
    waves *= math.sqrt(size) / np.linalg.norm(waves)
    waves.setflags(write=False)
    return waves


def smooth_curve(rng: np.random.Generator, size: int, scale: float) -> Array:
    """A random curve `[size]` of mean 0 and standard deviation about 1.

    Args:
        rng: Source of the random coefficients.
        size: Number of points, which divide the unit interval evenly.
        scale: Correlation length, in units of the interval.
    """
    waves = _waves(size, scale)
    return np.asarray(waves @ rng.standard_normal(waves.shape[1]))


def smooth_field(rng: np.random.Generator, size: int, scales: tuple[float, float]) -> Array:
    """A random field `[size, size]` of mean 0 and standard deviation about 1.

    Args:
        rng: Source of the random coefficients.
        size: Side of the unit square, px.
        scales: Correlation lengths along depth and across it, in units of the side.
    """
    down, across = _waves(size, scales[0]), _waves(size, scales[1])
    coefficients = rng.standard_normal((down.shape[1], across.shape[1]))
    return np.asarray(down @ coefficients @ across.T)


def strands(field: Array, width: float) -> Array:
    """Curved lines of even `width` (in units of the image height) where `field` crosses zero.

    Returns:
        Their profile in [0, 1], `[H, W]`; the distance to the line is estimated as
        |field| / |gradient|, to first order.
    """
    rows, _ = field.shape
    gradient_rows, gradient_columns = np.gradient(field)
    slope = np.hypot(gradient_rows, gradient_columns) * rows
    distance = np.abs(field) / np.maximum(slope, 1e-6)
    return np.asarray(np.exp(-0.5 * (distance / width) ** 2))


def ramp(values: Array, width: float) -> Array:
    """A smooth step from 0 (`values` far below 0) to 1 (far above), `width` wide."""
    return np.asarray(0.5 + 0.5 * np.tanh(values / width))


def bump(values: Array, width: float) -> Array:
    """A Gaussian bump of height 1 at `values` = 0, of standard deviation `width`."""
    return np.asarray(np.exp(-0.5 * (values / width) ** 2))
