"""Scenes of the heart: apical views with dark chambers between bright walls."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ssl_registry_phantom.fields import Array, bump, ramp, smooth_field
from ssl_registry_phantom.scene import Scene, Sector, grid
from ssl_registry_phantom.speckle import PointSpread


@dataclass(frozen=True)
class _Chamber:
    """An egg-shaped cavity: centre, half length along its axis, half width, tilt of the axis."""

    across: float
    down: float
    length: float
    width: float
    tilt: float

    def radius(self, across: Array, down: Array) -> Array:
        """Distance from the centre, 1 on the wall."""
        cos, sin = math.cos(self.tilt), math.sin(self.tilt)
        along = ((down - self.down) * cos + (across - self.across) * sin) / self.length
        aside = ((across - self.across) * cos - (down - self.down) * sin) / self.width
        return np.asarray((np.abs(along) ** 2.6 + np.abs(aside) ** 2.2) ** (1 / 2.4))


def four_chamber(rng: np.random.Generator, size: int) -> Scene:
    """Apical four-chamber view: both ventricles above both atria."""
    return _scene(rng, size, right_side=True)


def two_chamber(rng: np.random.Generator, size: int) -> Scene:
    """Apical two-chamber view: the left ventricle above the left atrium."""
    return _scene(rng, size, right_side=False)


def _scene(rng: np.random.Generator, size: int, right_side: bool) -> Scene:
    rows, columns = grid(size)
    sector = Sector(radius=rng.uniform(0.01, 0.04), half_angle=math.radians(rng.uniform(34, 40)))
    beam = (2 * columns[None, :] - 1) * sector.half_angle
    across = (rows[:, None] + sector.radius) * np.sin(beam)
    down = (rows[:, None] + sector.radius) * np.cos(beam)
    warp = [0.022 * smooth_field(rng, rows.size, (0.08, 0.16)) for _ in range(2)]
    echo = _anatomy(rng, rows, columns, across + warp[0], down + warp[1], right_side)
    echo += 16 * bump(rows[:, None], 0.03) + 6 * ramp(0.1 - rows[:, None], 0.05)
    return Scene(
        echo=echo,
        loss=_uneven_gain(rng, rows, columns),
        point_spread=PointSpread(
            axial=rng.uniform(0.0050, 0.0065),
            lateral=rng.uniform(0.011, 0.016),
            focus=rng.uniform(0.4, 0.7),
            focal_length=0.5,
        ),
        noise=rng.uniform(-34, -26),
        dynamic_range=rng.uniform(50, 58),
        gain=rng.uniform(11, 16),
        gamma=rng.uniform(1.3, 1.7),
        looks=2,
        sector=sector,
    )


def _anatomy(
    rng: np.random.Generator,
    rows: Array,
    columns: Array,
    across: Array,
    down: Array,
    right_side: bool,
) -> Array:
    """Scattering strength of walls, cavities, valves and what surrounds them, dB."""
    left = _left_side(rng, right_side)
    chambers = left + (_right_side(rng, left) if right_side else ())
    fibres = 3 * smooth_field(rng, rows.size, (0.02, 0.05))
    echo = fibres - rng.uniform(7, 12) + 6 * smooth_field(rng, rows.size, (0.10, 0.16))
    wall = np.zeros_like(echo)
    cavity = np.zeros_like(echo)
    for chamber in chambers:
        radius = chamber.radius(across, down)
        wall = np.maximum(wall, bump(radius - 1.12, 0.09))
        cavity = np.maximum(cavity, ramp(1 - radius, 0.09))
    # Walls fade in places, as where the beam runs along them.
    strength = rng.uniform(7, 12) + 5 * smooth_field(rng, rows.size, (0.08, 0.12))
    echo += wall * strength
    echo += _pericardium(rng, left[0], across, down)
    blood = rng.uniform(-30, -20) + 4 * smooth_field(rng, rows.size, (0.2, 0.3))
    leaflets = _valve(rng, left, across, down)
    if right_side:
        leaflets = np.maximum(leaflets, _valve(rng, chambers[2:], across, down))
    dark = echo * (1 - cavity) + blood * cavity
    return np.asarray(dark + (6 - dark) * np.minimum(leaflets, 1))


def _left_side(rng: np.random.Generator, right_side: bool) -> tuple[_Chamber, ...]:
    """Ventricle and atrium."""
    shift = rng.uniform(0.02, 0.09) if right_side else rng.uniform(-0.06, 0.05)
    length, width = rng.uniform(0.23, 0.28), rng.uniform(0.115, 0.165)
    top = rng.uniform(0.09, 0.15)
    tilt = rng.uniform(-0.16, 0.10)
    ventricle = _Chamber(shift, top + length, length, width, tilt)
    atrium_length = rng.uniform(0.085, 0.125)
    middle = top + 2 * length + atrium_length - 0.005
    slip = math.sin(tilt) * (length + atrium_length)
    atrium = _Chamber(shift + slip, middle, atrium_length, rng.uniform(0.10, 0.145), tilt)
    return ventricle, atrium


def _right_side(rng: np.random.Generator, left: tuple[_Chamber, ...]) -> tuple[_Chamber, ...]:
    """Ventricle and atrium on the other side of the septum, at the left of the picture."""
    ventricle, atrium = left
    septum = rng.uniform(0.045, 0.065)
    length, width = ventricle.length * rng.uniform(0.72, 0.85), rng.uniform(0.07, 0.10)
    tilt = ventricle.tilt - 0.12
    bottom = ventricle.down + ventricle.length + 0.02
    aside = ventricle.across - ventricle.width - septum - width
    right = _Chamber(aside, bottom - length, length, width, tilt)
    size = rng.uniform(0.08, 0.11)
    below = bottom + atrium.length * 0.95
    beside = atrium.across - atrium.width - 0.04 - size
    return right, _Chamber(beside, below, atrium.length * 0.9, size, tilt)


def _valve(
    rng: np.random.Generator, pair: tuple[_Chamber, ...], across: Array, down: Array
) -> Array:
    """Two thin leaflets between ventricle and atrium, shut or opening downwards; in [0, 1]."""
    ventricle, atrium = pair
    hinge = (ventricle.down + ventricle.length + atrium.down - atrium.length) / 2
    middle = (ventricle.across + atrium.across) / 2
    half = 0.85 * min(ventricle.width, atrium.width)
    opening = rng.uniform(-0.1, 0.75)
    aside = np.abs(across - middle)
    line = hinge - opening * (half - aside)
    return np.asarray(bump(down - line, 0.008) * ramp(half - aside, 0.012))


def _pericardium(
    rng: np.random.Generator, ventricle: _Chamber, across: Array, down: Array
) -> Array:
    """A bright line along the outer side of the left ventricle and the base, dB."""
    radius = ventricle.radius(across, down)
    free_wall = ramp(across - ventricle.across - 0.3 * ventricle.width, 0.06)
    base = bump(down - rng.uniform(0.9, 0.97), 0.03) * rng.uniform(4, 12)
    return np.asarray(bump(radius - 1.5, 0.06) * free_wall * rng.uniform(3, 12) + base)


def _uneven_gain(rng: np.random.Generator, rows: Array, columns: Array) -> Array:
    """Depth that the time gain misses, and beams lost to ribs and lung."""
    deep = rng.uniform(-4, 8) * np.ones_like(rows)[:, None]
    lost = np.maximum(smooth_field(rng, rows.size, (0.4, 0.12)) - 0.9, 0)
    return np.asarray(deep + rng.uniform(0, 25) * lost)
