"""Smooth random curves and fields, the stuff that tissue borders and textures are made of.

They are sums of waves with random coefficients, so a scene is a function of position and looks
the same at every image size.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_PERIOD = 1.4  # of the slowest wave; more than 1, so that opposite image sides are unrelated


def _waves(points: Array, scale: float) -> tuple[Array, Array]:
    """Basis `[P, K]` and amplitudes `[K]` of a Gaussian spectrum with correlation length `scale`."""
    count = max(1, math.ceil(1.1 / scale))
    angular = 2 * math.pi * np.arange(count + 1) / _PERIOD
    amplitude = np.exp(-0.25 * (angular * scale) ** 2)
    phase = points[:, None] * angular
    basis = np.concatenate([np.cos(phase), np.sin(phase[:, 1:])], axis=1)
    amplitudes = np.concatenate([amplitude, amplitude[1:]])
    return basis, amplitudes / np.linalg.norm(amplitudes * np.linalg.norm(basis, axis=0)) * (
        math.sqrt(len(points))
    )


def smooth_curve(rng: np.random.Generator, points: Array, scale: float) -> Array:
    """A random curve over `points` in [0, 1]: mean 0, standard deviation about 1.

    Args:
        rng: Source of the random coefficients.
        points: Where it is evaluated, `[P]`.
        scale: Correlation length, in the unit of `points`.
    """
    basis, amplitudes = _waves(points, scale)
    return np.asarray(basis @ (amplitudes * rng.standard_normal(amplitudes.size)))


def smooth_field(
    rng: np.random.Generator, rows: Array, columns: Array, scales: tuple[float, float]
) -> Array:
    """A random field `[H, W]` over `rows` x `columns` in [0, 1], of mean 0 and deviation about 1.

    Args:
        rng: Source of the random coefficients.
        rows: Depths, `[H]`.
        columns: Lateral positions, `[W]`.
        scales: Correlation lengths along depth and across it.
    """
    down, down_amplitudes = _waves(rows, scales[0])
    across, across_amplitudes = _waves(columns, scales[1])
    coefficients = rng.standard_normal((down_amplitudes.size, across_amplitudes.size))
    coefficients *= down_amplitudes[:, None] * across_amplitudes
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
