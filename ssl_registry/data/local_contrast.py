"""Local contrast: what is left of an image without its large shapes, brightness and contrast.

In ultrasound this is mostly speckle, which is unique to a scan: two scans of the same anatomy
look alike at large, but their speckle is uncorrelated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, minimum_filter

Floats = NDArray[np.float64]

_BLACK = 6.0
"""Gray level up to which a smoothed pixel is background."""
_NOISE = 3.0
"""Contrast in gray levels that counts as none."""
_LIMIT = 2.5
"""Greater contrasts are cut, so that an overlaid text or marker weighs little."""


class Contrast(NamedTuple):
    """Local contrast and its weight, both float64 `[..., S, S]`.

    The weight falls to 0 where the neighbourhood touches the black background: the border of
    the picture or of the fan is the same in all images of a device and says nothing.
    """

    values: Floats
    weight: Floats


def local_contrast(gray: NDArray[np.number], sigma: float) -> Contrast:
    """Local contrast of gray squares `[..., S, S]` at the scale of `sigma` pixels.

    The difference from the Gaussian mean, divided by its own local standard deviation. A change
    of brightness or contrast leaves it as it is.
    """
    pixels = np.asarray(gray, np.float64)
    sigmas = (0.0,) * (pixels.ndim - 2)
    reach = int(2 * sigma) | 1
    bright = (gaussian_filter(pixels, (*sigmas, 1.0, 1.0)) > _BLACK).astype(np.float64)
    inner = minimum_filter(bright, size=(1,) * len(sigmas) + (reach, reach))
    weight = gaussian_filter(inner, (*sigmas, 1.0, 1.0))
    high = pixels - gaussian_filter(pixels, (*sigmas, sigma, sigma))
    power = gaussian_filter(high * high, (*sigmas, 2 * sigma, 2 * sigma))
    values = np.clip(high / (np.sqrt(power) + _NOISE), -_LIMIT, _LIMIT)
    return Contrast(values * weight, weight)


def weighted_correlation(first: Contrast, second: Contrast) -> float:
    """Correlation of two contrasts `[S, S]` where both have weight; 0 if they share little."""
    weight = np.minimum(first.weight, second.weight)
    least = min(first.weight.sum(), second.weight.sum())
    if weight.sum() < max(_LEAST_SHARED * least, _LEAST_AREA * weight.size):
        return 0.0
    one = float((weight * first.values**2).sum())
    other = float((weight * second.values**2).sum())
    product = float((weight * first.values * second.values).sum())
    return product / np.sqrt(one * other) if one > 0 and other > 0 else 0.0


_LEAST_SHARED = 0.4
"""Share of the smaller foreground that must be seen in both."""
_LEAST_AREA = 0.02
"""Share of the square that must be foreground in both."""
