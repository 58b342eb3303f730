"""Scenes of the breast: skin, fat lobules, glandular layer, pectoral muscle and ribs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

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
            axial=rng.uniform(0.0052, 0.0070),
            lateral=rng.uniform(0.0095, 0.0150),
            focus=rng.uniform(0.25, 0.45),
            focal_length=rng.uniform(0.4, 0.7),
        ),
        noise=rng.uniform(-34, -22),
        dynamic_range=rng.uniform(54, 62),
        gain=rng.uniform(11, 18),
        gamma=rng.uniform(1.6, 2.1),
        looks=3,
        mask=mask,
    )


def _tissue(rng: np.random.Generator, rows: Array, columns: Array) -> Array:
    """Layers and their textures, dB; laid out flat, then bent together."""
    fat_end, gland_end, muscle_end = _borders(rng)
    depth = rows[:, None] + 0.02 * smooth_field(rng, rows.size, (0.08, 0.12))
    fat, gland, muscle = (layer(rng, rows.size) for layer in (_fat, _gland, _muscle))
    echo = fat + (gland - fat) * ramp(depth - fat_end, 0.02)
    echo += (muscle - echo) * ramp(depth - gland_end, 0.012)
    echo += bump(depth - gland_end, 0.006) * rng.uniform(8, 18)
    echo = _bend(echo, _bending(rng, columns))
    echo += _chest_wall(rng, rows, columns, muscle_end)
    return _skin(rng, echo, rows, columns)


def _borders(rng: np.random.Generator) -> tuple[float, float, float]:
    """Depths at which fat, gland and muscle end."""
    fat_end = rng.uniform(0.12, 0.36)
    gland_end = fat_end + rng.uniform(0.22, 0.5)
    return fat_end, gland_end, gland_end + rng.uniform(0.12, 0.3)


def _fat(rng: np.random.Generator, size: int) -> Array:
    """Dark lobules between thin bright septa."""
    lobules = smooth_field(rng, size, (0.05, 0.24))
    septa = strands(lobules, 0.005) * ramp(smooth_field(rng, size, (0.06, 0.09)), 0.6)
    fine = _fibres(rng, size, (0.03, 0.18), 0.6)
    texture = 1.2 * smooth_field(rng, size, (0.03, 0.08))
    return np.asarray(texture - rng.uniform(6, 11) + rng.uniform(14, 21) * septa + 12 * fine)


def _gland(rng: np.random.Generator, size: int) -> Array:
    """Bright tissue with patches of fat and fibrous strands."""
    patches = smooth_field(rng, size, (0.045, 0.13))
    fat = ramp(patches - rng.uniform(0.2, 1.6), 0.5) * rng.uniform(4, 10)
    coarse = _fibres(rng, size, (0.035, 0.20), 0.2)
    fine = _fibres(rng, size, (0.018, 0.12), 0.3)
    texture = 2.0 * smooth_field(rng, size, (0.02, 0.06))
    strength = rng.uniform(10, 18)
    return np.asarray(texture - fat - 2 + strength * coarse + 0.7 * strength * fine)


def _muscle(rng: np.random.Generator, size: int) -> Array:
    """Dark with long bright striations along the skin."""
    coarse = _fibres(rng, size, (0.03, 0.45), 0.2)
    fine = _fibres(rng, size, (0.016, 0.30), 0.3)
    texture = 1.5 * smooth_field(rng, size, (0.02, 0.12))
    strength = rng.uniform(12, 20)
    return np.asarray(texture - rng.uniform(9, 14) + strength * coarse + 0.6 * strength * fine)


def _fibres(
    rng: np.random.Generator, size: int, scales: tuple[float, float], rarity: float
) -> Array:
    """Thin lines, elongated as `scales` say, that come and go; in [0, 1]."""
    presence = smooth_field(rng, size, (2.0 * scales[0], 0.45 * scales[1]))
    return strands(smooth_field(rng, size, scales), 0.005) * ramp(presence - rarity, 0.5)


def _bending(rng: np.random.Generator, columns: Array) -> Array:
    """How far each column's tissue is shifted down."""
    slope = rng.normal(0, 0.08) * (columns - 0.5)
    return np.asarray(slope + 0.025 * smooth_curve(rng, columns.size, 0.25))


def _bend(echo: Array, shift: Array) -> Array:
    """Shift columns, less near the skin, which the probe keeps flat."""
    from scipy import ndimage  # late: it would slow down the listing of datasets

    size = echo.shape[0]
    row, column = np.indices(echo.shape, dtype=np.float64)
    row -= shift * size * np.minimum(row / (0.3 * size), 1)
    return np.asarray(ndimage.map_coordinates(echo, [row, column], order=1, mode="nearest"))


def _chest_wall(rng: np.random.Generator, rows: Array, columns: Array, depth: float) -> Array:
    """Below the muscle: a bright pleura or rib face, and little behind it; dB to add."""
    surface = depth + 0.03 * smooth_curve(rng, columns.size, 0.3)
    below = rows[:, None] - surface
    line = bump(below, 0.007) * rng.uniform(5, 18)
    return np.asarray(line - rng.uniform(5, 14) * ramp(below, 0.03))


def _skin(rng: np.random.Generator, echo: Array, rows: Array, columns: Array) -> Array:
    """Two bright lines with a gray band between, at the top."""
    thickness = rng.uniform(0.025, 0.05)
    end = thickness + 0.004 * smooth_curve(rng, columns.size, 0.2)
    depth = rows[:, None]
    band = ramp(end - depth, 0.006)
    echo = echo * (1 - band) - 2 * band
    echo += bump(depth - end, 0.006) * rng.uniform(4, 12)
    return np.asarray(echo + bump(depth - 0.006, 0.006) * rng.uniform(4, 12))


def _uneven_gain(rng: np.random.Generator, rows: Array, columns: Array) -> Array:
    """Attenuation that the time gain misses, and shadows of poor contact and of ligaments."""
    deep = 2 * rng.uniform(4, 26) * rows[:, None]
    shadows = np.maximum(smooth_field(rng, rows.size, (0.25, 0.06)) - 0.9, 0)
    patches = 7 * smooth_field(rng, rows.size, (0.2, 0.12))
    return np.asarray(deep + patches + rng.uniform(0, 22) * shadows)
