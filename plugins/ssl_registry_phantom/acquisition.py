"""From a scene to the gray image on the screen: attenuation, speckle, compression, fan."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from ssl_registry_phantom.fields import Array
from ssl_registry_phantom.scene import Scene, Sector
from ssl_registry_phantom.speckle import echo_envelope

_NOISE_RISE = 14.0  # dB by which the time gain lifts the electronic noise from top to bottom


def acquire(scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Image a scene: gray values `[H, W]`."""
    rows = scene.echo.shape[0]
    path_loss = np.cumsum(scene.loss, axis=0) / rows
    depth = (np.arange(rows) + 0.5) / rows
    noise = scene.noise - _NOISE_RISE * (1 - depth)
    # Scatterers and noise are both circular Gaussian, so their powers add.
    power = _power(scene.echo - path_loss) + _power(noise)[:, None]
    looks = [echo_envelope(rng, np.sqrt(power), scene.point_spread) for _ in range(scene.looks)]
    envelope = np.mean(looks, axis=0)
    level = compress(envelope, scene.gain, scene.dynamic_range) ** scene.gamma
    if scene.sector is not None:
        level = scan_convert(level, scene.sector)
    return np.asarray(np.rint(255 * level), dtype=np.uint8)


def compress(envelope: Array, gain: float, dynamic_range: float) -> Array:
    """Log compression to [0, 1]: `gain` dB is white, `gain - dynamic_range` dB is black."""
    decibel = 20 * np.log10(np.maximum(envelope, 1e-12))
    return np.asarray(np.clip((decibel - gain) / dynamic_range + 1, 0, 1))


def scan_convert(beams: Array, sector: Sector) -> Array:
    """Lay beams `[depth, beam]` out as a fan that fills the picture; black outside, `[H, W]`."""
    from scipy import ndimage  # late: it would slow down the listing of datasets

    coordinates, inside = _fan(beams.shape[0], sector)
    picture = ndimage.map_coordinates(beams, coordinates, order=1, mode="nearest")
    return np.asarray(picture * inside)


@functools.lru_cache(maxsize=64)
def _fan(size: int, sector: Sector) -> tuple[Array, Array]:
    """For each pixel its (row, column) on the beam grid `[2, H, W]`, and whether it is seen."""
    outer = sector.radius + 1
    top = sector.radius * math.cos(sector.half_angle)
    side = outer * math.sin(sector.half_angle)
    centres = (np.arange(size) + 0.5) / size
    down = (top + centres * (outer - top))[:, None]
    across = ((2 * centres - 1) * side)[None, :]
    range_ = np.hypot(down, across) - sector.radius
    angle = np.arctan2(across, down)
    inside = (range_ >= 0) & (range_ <= 1) & (np.abs(angle) <= sector.half_angle)
    beam = (angle / sector.half_angle + 1) / 2
    coordinates = np.stack([range_ * size - 0.5, beam * size - 0.5])
    return coordinates, inside.astype(np.float64)


def _power(decibel: Array) -> Array:
    return np.asarray(10.0 ** (decibel / 10))
