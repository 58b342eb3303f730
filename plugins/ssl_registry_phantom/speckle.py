"""From scatterers to the envelope: speckle as a coherent sum of echoes.

An image point receives the echoes of many scatterers per resolution cell, each with a random
phase. Their sum is a circular complex Gaussian, its magnitude is Rayleigh distributed, and
mean / deviation = sqrt(pi / (4 - pi)) = 1.91 (Burckhardt 1978; Wagner et al. 1983).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssl_registry_phantom.fields import Array


@dataclass(frozen=True)
class PointSpread:
    """A separable point spread function whose lateral width grows away from the focus.

    At depth z it is a pulse exp(-z^2 / 2 axial^2) exp(2 pi i carrier z), wide
    lateral sqrt(1 + ((z - focus) / focal_length)^2) across. All lengths are in units of the
    image depth (and width).

    Attributes:
        axial: Standard deviation of the pulse along the beam.
        lateral: Standard deviation of the beam at the focus.
        focus: Depth of the focus.
        focal_length: Distance from the focus at which the beam is sqrt(2) wider.
        carrier: Cycles of the demodulated pulse per pixel.
    """

    axial: float
    lateral: float
    focus: float = 0.4
    focal_length: float = 0.5
    carrier: float = 0.1

    def beam_width(self, depth: Array) -> Array:
        """Lateral standard deviation at each `depth`."""
        return np.asarray(
            self.lateral * np.sqrt(1 + ((depth - self.focus) / self.focal_length) ** 2)
        )


def complex_noise(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.complex64]:
    """Circular complex Gaussian noise with mean square 1."""
    parts = rng.standard_normal((*shape, 2), dtype=np.float32) * np.float32(math.sqrt(0.5))
    return np.asarray(parts.view(np.complex64)[..., 0])


def echo_envelope(rng: np.random.Generator, amplitude: Array, point_spread: PointSpread) -> Array:
    """Envelope of the echoes from random scatterers seen through the point spread function.

    Args:
        rng: Source of the scatterers' phases and strengths.
        amplitude: Root mean square strength of the scatterers in each pixel, `[H, W]`.
        point_spread: The blur; it keeps the mean square of homogeneous tissue.

    Returns:
        The magnitude of the complex echo, `[H, W]`.
    """
    rows, columns = amplitude.shape
    margin = 2 + math.ceil(3 * max(point_spread.axial * rows, point_spread.lateral * columns))
    padded = np.pad(amplitude.astype(np.float32), margin, mode="edge")
    depth = (np.arange(padded.shape[0]) - margin + 0.5) / rows
    scatterers = complex_noise(rng, padded.shape) * padded
    field = _filter(scatterers, point_spread.beam_width(depth) * columns, axis=1)
    widths = np.full(padded.shape[1], point_spread.axial * rows)
    field = _filter(field, widths, axis=0, carrier=point_spread.carrier)
    inside = field[margin : margin + rows, margin : margin + columns]
    return np.abs(inside).astype(np.float64)


def _filter(
    field: NDArray[np.complex64], widths: Array, axis: int, carrier: float = 0.0
) -> NDArray[np.complex64]:
    """Convolve along `axis` with Gaussians, one of `widths` (px) per line, keeping the power."""
    from scipy import fft  # late: it would slow down the listing of datasets

    frequency = fft.fftfreq(field.shape[axis])
    # The nearest alias of the carrier: the kernel is sampled on the pixel grid.
    offset = (frequency - carrier + 0.5) % 1.0 - 0.5
    transfer = np.exp(-2 * (math.pi * offset[None, :] * widths[:, None]) ** 2)
    transfer /= np.sqrt(np.mean(transfer**2, axis=1, keepdims=True))
    transfer = transfer if axis == 1 else transfer.T
    spectrum = fft.fft(field, axis=axis) * transfer.astype(np.float32)
    return np.asarray(fft.ifft(spectrum, axis=axis, overwrite_x=True))


def homogeneous_envelope(
    rng: np.random.Generator, size: int, point_spread: PointSpread | None = None
) -> Array:
    """Envelope of a homogeneous medium without noise: fully developed speckle, `[size, size]`."""
    flat = np.ones((size, size))
    spread = point_spread or PointSpread(axial=0.006, lateral=0.007)
    return echo_envelope(rng, flat, spread)
