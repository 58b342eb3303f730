"""What an ultrasound beam meets: a scene, before any physics of imaging."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssl_registry_phantom.fields import Array
from ssl_registry_phantom.speckle import PointSpread


@dataclass(frozen=True)
class Sector:
    """The fan that a curved or phased probe scans.

    Attributes:
        radius: Distance of the probe's surface from the fan's apex, in units of the depth.
        half_angle: Between the middle beam and the outermost one, radians.
    """

    radius: float
    half_angle: float


@dataclass(frozen=True)
class Scene:
    """Tissue on the grid of the beams: depth along rows, beams along columns.

    Attributes:
        echo: Scattering strength in dB, `[H, W]`; 0 is bright glandular tissue.
        loss: Attenuation that the time gain does not make up for, in dB per image depth, `[H, W]`;
            negative where tissue attenuates less than the machine assumes.
        point_spread: Blur of the imaging system.
        noise: Level of the electronic noise at the bottom of the image, dB.
        dynamic_range: What the screen shows, dB.
        gain: Envelope level shown as white, dB.
        gamma: Exponent of the gray map; above 1 darkens the middle tones.
        looks: Independent views that are averaged (spatial compounding); 1 is plain speckle.
        sector: The fan, or None for a linear probe.
        mask: Lesion, on the same grid, 0 or 1.
    """

    echo: Array
    loss: Array
    point_spread: PointSpread
    noise: float
    dynamic_range: float
    gain: float
    gamma: float = 1.0
    looks: int = 1
    sector: Sector | None = None
    mask: NDArray[np.uint8] | None = None


def grid(size: int) -> tuple[Array, Array]:
    """Depths and lateral positions of the `size` x `size` pixel centres, each in (0, 1)."""
    centres = (np.arange(size) + 0.5) / size
    return centres, centres
