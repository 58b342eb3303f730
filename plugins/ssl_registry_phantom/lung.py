"""Scenes of the lung: chest wall and ribs, the pleural line, A-lines and B-lines."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ssl_registry_phantom.fields import Array, bump, ramp, smooth_curve, smooth_field, strands
from ssl_registry_phantom.scene import Scene, Sector, grid
from ssl_registry_phantom.speckle import PointSpread


@dataclass(frozen=True)
class _View:
    """Ranges that differ between the probes, in units of the depth."""

    pleura: tuple[float, float]
    ribs: tuple[int, ...]
    rib_width: tuple[float, float]
    lateral: tuple[float, float]


def convex(rng: np.random.Generator, size: int) -> Scene:
    """Seen with a curved probe: a fan, the pleura near the top, ribs with wedge-shaped shadows."""
    sector = Sector(radius=rng.uniform(0.35, 0.7), half_angle=math.radians(rng.uniform(26, 34)))
    view = _View(
        pleura=(0.13, 0.24), ribs=(0, 1, 2, 2), rib_width=(0.05, 0.09), lateral=(0.014, 0.020)
    )
    return _scene(rng, size, view, sector)


def linear(rng: np.random.Generator, size: int) -> Scene:
    """Seen with a straight probe: the chest wall in detail, often between two ribs."""
    view = _View(
        pleura=(0.22, 0.40), ribs=(0, 1, 1, 2), rib_width=(0.10, 0.17), lateral=(0.010, 0.015)
    )
    return _scene(rng, size, view, None)


def _scene(rng: np.random.Generator, size: int, view: _View, sector: Sector | None) -> Scene:
    rows, columns = grid(size)
    depth = rng.uniform(*view.pleura)
    slope = rng.normal(0, 0.05) * (columns - 0.5)
    pleura = depth + slope + 0.012 * smooth_curve(rng, columns.size, 0.16)
    below = rows[:, None] - pleura
    wall = _chest_wall(rng, rows, columns)
    lung = _lung(rng, rows, columns, below, depth)
    echo = wall + (lung - wall) * ramp(below, 0.006)
    broken = 4 * smooth_field(rng, rows.size, (0.2, 0.05))
    echo += bump(below, 0.007) * (rng.uniform(10, 18) + broken - echo)
    rib_echo, rib_loss = _ribs(rng, view, rows, columns, pleura)
    echo = np.maximum(echo, rib_echo)
    echo += 12 * bump(rows[:, None], 0.02)
    return Scene(
        echo=echo,
        loss=rib_loss + 6 * smooth_field(rng, rows.size, (0.3, 0.12)),
        point_spread=PointSpread(
            axial=rng.uniform(0.0050, 0.0070),
            lateral=rng.uniform(*view.lateral),
            focus=depth,
            focal_length=0.6,
        ),
        noise=rng.uniform(-36, -28),
        dynamic_range=rng.uniform(52, 60),
        gain=rng.uniform(13, 18),
        gamma=rng.uniform(1.3, 1.8),
        looks=2,
        sector=sector,
    )


def _chest_wall(rng: np.random.Generator, rows: Array, columns: Array) -> Array:
    """Muscle and fat with bright fibres along the skin, dB."""
    tilt = rng.normal(0, 0.6) * (columns - 0.5)
    fibres = smooth_field(rng, rows.size, (0.022, 0.35)) + 0.5 * tilt
    lines = strands(fibres, 0.006) * ramp(smooth_field(rng, rows.size, (0.04, 0.12)), 0.6)
    texture = 2 * smooth_field(rng, rows.size, (0.02, 0.08))
    return np.asarray(texture - rng.uniform(5, 9) + rng.uniform(9, 15) * lines)


def _lung(
    rng: np.random.Generator, rows: Array, columns: Array, below: Array, pleura: float
) -> Array:
    """Below the pleura there is no tissue to see, only echoes of echoes, dB."""
    fading = rng.uniform(6, 22)
    haze = rng.uniform(-21, -12) - fading * np.maximum(below, 0)
    haze = haze + 2 * smooth_field(rng, rows.size, (0.04, 0.08))
    b_lines = _b_lines(rng, rows, columns, below)
    a_lines = _a_lines(rng, columns, below, pleura) * (1 - np.minimum(b_lines, 1))
    return np.asarray(haze + a_lines * rng.uniform(14, 24) + b_lines * rng.uniform(12, 18))


def _a_lines(rng: np.random.Generator, columns: Array, below: Array, pleura: float) -> Array:
    """Repetitions of the pleura at multiples of its depth, each weaker; about 1 at the first."""
    lines = np.zeros_like(below)
    strength = rng.uniform(0.4, 0.85)
    for order in range(1, math.ceil(0.95 / pleura)):
        uneven = np.clip(0.8 + 0.3 * smooth_curve(rng, columns.size, 0.12), 0, 1.3)
        lines += strength**order * bump(below - order * pleura, 0.008 + 0.002 * order) * uneven
    return lines


def _b_lines(rng: np.random.Generator, rows: Array, columns: Array, below: Array) -> Array:
    """Bright streaks from the pleura to the bottom; about 1 in a streak's middle."""
    streaks = np.zeros_like(below)
    for _ in range(rng.choice([0, 0, 1, 2, 3, 5])):
        middle = rng.uniform(0.08, 0.92)
        width = rng.choice([rng.uniform(0.010, 0.025), rng.uniform(0.03, 0.09)])
        spread = width * (1 + 0.6 * np.maximum(below, 0))
        fading = 1 - rng.uniform(0, 0.4) * np.maximum(below, 0)
        profile = np.exp(-0.5 * ((columns[None, :] - middle) / spread) ** 2)
        streaks = np.maximum(streaks, profile * fading)
    ripple = 0.12 * smooth_field(rng, rows.size, (0.015, 0.1))
    return np.asarray(streaks * (1 + ripple) * (below > 0))


def _ribs(
    rng: np.random.Generator, view: _View, rows: Array, columns: Array, pleura: Array
) -> tuple[Array, Array]:
    """Bright arcs above the pleura and the shadows behind them: echo (dB) and loss."""
    echo = np.full((rows.size, columns.size), -200.0)
    loss = np.zeros_like(echo)
    count = int(rng.choice(view.ribs))
    start = rng.uniform(-0.1, 0.35)
    for place in range(count):
        middle = start + place * rng.uniform(0.4, 0.62)
        width = rng.uniform(*view.rib_width)
        offset = (columns - middle) / width
        top = float(np.interp(middle, columns, pleura)) * rng.uniform(0.5, 0.75)
        arc = top + 0.35 * width * offset**2
        face = bump(rows[:, None] - arc, 0.009) * ramp(1 - np.abs(offset), 0.12)
        echo = np.maximum(echo, 32 * face - 16 - 200 * (face < 0.05))
        hard = ramp(1 - np.abs(offset), 0.15) * bump(rows[:, None] - arc - 0.018, 0.008)
        loss += hard * rng.uniform(1500, 2200)
    return echo, loss
