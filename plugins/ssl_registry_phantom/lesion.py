"""Lesions of the breast: their outline, and what they do to the echoes around and behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ssl_registry_phantom.fields import Array, bump, ramp, smooth_field

_ANGLES = np.linspace(-math.pi, math.pi, 361)


@dataclass(frozen=True)
class Lesion:
    """A lesion as a level set with its effect on the tissue.

    Attributes:
        radius: Distance from the centre in units of the outline's, `[H, W]`: 1 on the outline.
        echo: Scattering strength inside, dB, `[H, W]`.
        border: What is added to the tissue's echo around the outline, dB, `[H, W]`.
        loss: Attenuation inside, dB per image depth; negative enhances what lies behind.
        blur: Width of the transition at the outline, in units of the radius.
    """

    radius: Array
    echo: Array
    border: Array
    loss: Array
    blur: float

    @property
    def inside(self) -> Array:
        """1 inside, 0 outside, with a soft transition."""
        return ramp(1 - self.radius, self.blur)


@dataclass(frozen=True)
class _Outline:
    """Polar coordinates around the centre, the angle's zero pointing deep and x to the right."""

    radius: Array
    angle: Array
    across: Array
    semi_axes: tuple[float, float]


def benign(rng: np.random.Generator, rows: Array, columns: Array) -> Lesion:
    """Oval, smooth, parallel to the skin, with enhancement behind; one in four is a cyst."""
    area = float(np.clip(rng.lognormal(math.log(0.052), 0.55), 0.026, 0.20))
    outline = _outline(rng, rows, columns, area, ratio=rng.uniform(1.25, 2.1), tilt=0.2)
    radius = outline.radius / _around(outline, _wobble(rng, (2, 3, 4), strength=0.045))
    cyst = rng.random() < 0.25
    depth = rng.uniform(30, 38) if cyst else rng.uniform(10, 18)
    texture = smooth_field(rng, rows.size, (0.03, 0.05)) * (1.0 if cyst else 1.6)
    extent = 2 * outline.semi_axes[1]
    enhancement = rng.uniform(5, 10) if cyst else rng.uniform(0, 6)
    edge_shadow = bump(np.abs(outline.across) - 1, 0.05) * rng.uniform(0, 3) * (radius < 1.15)
    capsule = bump(radius - 1.07, 0.05) * np.cos(outline.angle) ** 2 * rng.uniform(2, 8)
    return Lesion(
        radius=radius,
        echo=texture - depth,
        border=capsule,
        loss=(edge_shadow - enhancement * (radius < 1)) / extent,
        blur=0.05,
    )


def malignant(rng: np.random.Generator, rows: Array, columns: Array) -> Lesion:
    """Irregular or spiculated, rather tall, dark, with an echogenic halo and a shadow behind."""
    area = float(np.clip(rng.lognormal(math.log(0.10), 0.45), 0.035, 0.26))
    outline = _outline(rng, rows, columns, area, ratio=rng.uniform(0.75, 1.35), tilt=0.4)
    spikes, lines = _spicules(rng)
    edge = _around(outline, _wobble(rng, (2, 3, 4, 5, 6, 8), strength=0.09) + spikes)
    jitter = 1 + 0.05 * smooth_field(rng, rows.size, (0.02, 0.02))
    radius = outline.radius * jitter / edge
    extent = 2 * outline.semi_axes[1]
    texture = 2.5 * smooth_field(rng, rows.size, (0.04, 0.05))
    calcified = np.maximum(smooth_field(rng, rows.size, (0.012, 0.012)) - 2.3, 0) * 20
    beyond = _around(outline, lines) * ramp(1.7 - radius, 0.15)
    halo = bump(radius - 1.25, 0.16) * rng.uniform(2, 7)
    # The shadow is deepest behind the middle, where the beam's way through is longest.
    shadow = rng.uniform(4, 18) * bump(outline.across, 0.6)
    return Lesion(
        radius=radius,
        echo=texture - rng.uniform(6, 14) + np.minimum(calcified, 14),
        border=halo + beyond * rng.uniform(-7, 3),
        loss=shadow / extent * (radius < 1),
        blur=rng.uniform(0.05, 0.12),
    )


def _outline(
    rng: np.random.Generator,
    rows: Array,
    columns: Array,
    area: float,
    ratio: float,
    tilt: float,
) -> _Outline:
    """An ellipse of `area` (share of the image) and width / height `ratio` that fits the image."""
    height = min(math.sqrt(area / math.pi / ratio), 0.30)
    width = min(area / math.pi / height, 0.42)
    centre_row = float(np.clip(rng.normal(0.34, 0.08), 0.11 + height, 0.93 - height))
    margin = min(width + 0.04, 0.48)
    centre_column = rng.uniform(margin, 1 - margin)
    turn = rng.uniform(-tilt, tilt)
    down, across = rows[:, None] - centre_row, columns[None, :] - centre_column
    along = across * math.cos(turn) + down * math.sin(turn)
    other = down * math.cos(turn) - across * math.sin(turn)
    return _Outline(
        radius=np.hypot(along / width, other / height),
        angle=np.arctan2(along / width, other / height),
        across=np.broadcast_to(across / width, along.shape),
        semi_axes=(width, height),
    )


def _wobble(rng: np.random.Generator, orders: tuple[int, ...], strength: float) -> Array:
    """Radius of an outline at `_ANGLES`: 1 plus harmonics with random phases."""
    wave = np.ones_like(_ANGLES)
    for order in orders:
        phase = rng.uniform(0, math.tau)
        wave += strength * rng.standard_normal() * np.cos(order * _ANGLES + phase)
    return np.clip(wave, 0.6, 1.5)


def _spicules(rng: np.random.Generator) -> tuple[Array, Array]:
    """Spikes added to the outline's radius at `_ANGLES`, and thin lines that go beyond them."""
    spikes, lines = np.zeros_like(_ANGLES), np.zeros_like(_ANGLES)
    for _ in range(rng.integers(0, 12)):
        middle = rng.uniform(-math.pi, math.pi)
        distance = (_ANGLES - middle + math.pi) % math.tau - math.pi
        spikes += rng.uniform(0.1, 0.4) * bump(distance, rng.uniform(0.05, 0.12))
        lines += bump(distance, 0.035)
    return np.minimum(spikes, 0.6), np.minimum(lines, 1)


def _around(outline: _Outline, values: Array) -> Array:
    """Values given at `_ANGLES`, at the angle of each pixel."""
    return np.interp(outline.angle, _ANGLES, values)
