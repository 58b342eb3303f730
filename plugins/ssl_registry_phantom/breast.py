"""Scenes of the breast: skin, fat lobules, glandular layer, pectoral muscle and ribs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from ssl_registry_phantom import lesion
from ssl_registry_phantom.fields import Array, bump, ramp, smooth_curve, smooth_field, strands
from ssl_registry_phantom.lesion import Lesion
from ssl_registry_phantom.scene import Scene, grid
from ssl_registry_phantom.speckle import PointSpread


def benign(rng: np.random.Generator, size: int) -> Scene:
    """A breast with a benign-looking lesion or a cyst."""
    return _scene(rng, size, lesion.benign)


def malignant(rng: np.random.Generator, size: int) -> Scene:
    """A breast with a malignant-looking lesion."""
    return _scene(rng, size, lesion.malignant)


def normal(rng: np.random.Generator, size: int) -> Scene:
    """A breast without a lesion."""
    return _scene(rng, size, None)


def _scene(
    rng: np.random.Generator,
    size: int,
    draw: Callable[[np.random.Generator, Array, Array], Lesion] | None,
) -> Scene:
    rows, columns = grid(size)
    echo = _tissue(rng, rows, columns)
    loss = _uneven_gain(rng, rows, columns)
    mask = np.zeros((size, size), dtype=np.uint8)
    if draw is not None:
        found = draw(rng, rows, columns)
        inside = found.inside
        echo = (echo + found.border) * (1 - inside) + found.echo * inside
        loss = loss + found.loss
        mask = (found.radius < 1).astype(np.uint8)
    return Scene(
        echo=echo,
        loss=loss,
        point_spread=PointSpread(
            axial=rng.uniform(0.0050, 0.0068),
            lateral=rng.uniform(0.0060, 0.0085),
            focus=rng.uniform(0.25, 0.45),
            focal_length=rng.uniform(0.4, 0.7),
        ),
        noise=rng.uniform(-42, -30),
        dynamic_range=rng.uniform(54, 62),
        gain=rng.uniform(18, 26),
        mask=mask,
    )


def _tissue(rng: np.random.Generator, rows: Array, columns: Array) -> Array:
    """Layers and their textures, dB; laid out flat, then bent together."""
    fat_end, gland_end, muscle_end = _borders(rng)
    depth = rows[:, None] + 0.02 * smooth_field(rng, rows, columns, (0.08, 0.12))
    fat, gland, muscle = (
        _fat(rng, rows, columns),
        _gland(rng, rows, columns),
        _muscle(rng, rows, columns),
    )
    echo = fat + (gland - fat) * ramp(depth - fat_end, 0.02)
    echo += (muscle - echo) * ramp(depth - gland_end, 0.012)
    echo += bump(depth - gland_end, 0.006) * rng.uniform(4, 14)
    echo = _bend(echo, _bending(rng, columns))
    echo += _chest_wall(rng, rows, columns, muscle_end)
    return _skin(rng, echo, rows, columns)


def _borders(rng: np.random.Generator) -> tuple[float, float, float]:
    """Depths at which fat, gland and muscle end."""
    fat_end = rng.uniform(0.12, 0.36)
    gland_end = fat_end + rng.uniform(0.22, 0.5)
    return fat_end, gland_end, gland_end + rng.uniform(0.12, 0.3)


def _fat(rng: np.random.Generator, rows: Array, columns: Array) -> Array:
    """Dark lobules between thin bright septa."""
    lobules = smooth_field(rng, rows, columns, (0.06, 0.16))
    septa = strands(lobules, 0.006) * ramp(smooth_field(rng, rows, columns, (0.1, 0.15)), 0.6)
    texture = 1.5 * smooth_field(rng, rows, columns, (0.03, 0.06))
    return np.asarray(texture - rng.uniform(4, 10) + 14 * septa)


def _gland(rng: np.random.Generator, rows: Array, columns: Array) -> Array:
    """Bright tissue with patches of fat and fibrous strands."""
    patches = smooth_field(rng, rows, columns, (0.045, 0.11))
    fat = ramp(patches - rng.uniform(0.6, 1.8), 0.5) * rng.uniform(3, 8)
    fibres = strands(smooth_field(rng, rows, columns, (0.035, 0.16)), 0.006)
    fibres *= ramp(smooth_field(rng, rows, columns, (0.08, 0.14)), 0.6)
    texture = 2.0 * smooth_field(rng, rows, columns, (0.02, 0.05))
    return np.asarray(texture - fat + rng.uniform(4, 11) * fibres)


def _muscle(rng: np.random.Generator, rows: Array, columns: Array) -> Array:
    """Dark with long bright striations along the skin."""
    fibres = strands(smooth_field(rng, rows, columns, (0.03, 0.45)), 0.006)
    fibres *= ramp(smooth_field(rng, rows, columns, (0.06, 0.2)), 0.5)
    texture = 1.5 * smooth_field(rng, rows, columns, (0.02, 0.12))
    return np.asarray(texture - rng.uniform(5, 11) + rng.uniform(7, 13) * fibres)


def _bending(rng: np.random.Generator, columns: Array) -> Array:
    """How far each column's tissue is shifted down."""
    slope = rng.normal(0, 0.08) * (columns - 0.5)
    return np.asarray(slope + 0.025 * smooth_curve(rng, columns, 0.25))


def _bend(echo: Array, shift: Array) -> Array:
    """Shift columns, less near the skin, which the probe keeps flat."""
    size = echo.shape[0]
    row, column = np.indices(echo.shape, dtype=np.float64)
    row -= shift * size * np.minimum(row / (0.3 * size), 1)
    return np.asarray(ndimage.map_coordinates(echo, [row, column], order=1, mode="nearest"))


def _chest_wall(rng: np.random.Generator, rows: Array, columns: Array, depth: float) -> Array:
    """Below the muscle: a bright pleura or rib face, and little behind it; dB to add."""
    surface = depth + 0.03 * smooth_curve(rng, columns, 0.3)
    below = rows[:, None] - surface
    line = bump(below, 0.007) * rng.uniform(3, 12)
    return np.asarray(line - rng.uniform(5, 14) * ramp(below, 0.03))


def _skin(rng: np.random.Generator, echo: Array, rows: Array, columns: Array) -> Array:
    """Two bright lines with a gray band between, at the top."""
    thickness = rng.uniform(0.025, 0.05)
    end = thickness + 0.004 * smooth_curve(rng, columns, 0.2)
    depth = rows[:, None]
    band = ramp(end - depth, 0.006)
    echo = echo * (1 - band) - 2 * band
    echo += bump(depth - end, 0.006) * rng.uniform(4, 12)
    return np.asarray(echo + bump(depth - 0.006, 0.006) * rng.uniform(4, 12))


def _uneven_gain(rng: np.random.Generator, rows: Array, columns: Array) -> Array:
    """Attenuation that the time gain misses, and shadows of poor contact and of ligaments."""
    deep = rng.uniform(4, 22) * 2 * rows[:, None] ** 1.0
    shadows = np.maximum(smooth_field(rng, rows, columns, (0.25, 0.06)) - 0.9, 0)
    patches = 7 * smooth_field(rng, rows, columns, (0.2, 0.12))
    return np.asarray(deep + patches + rng.uniform(0, 22) * shadows)
