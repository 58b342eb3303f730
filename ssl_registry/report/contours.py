"""Outlines of masks, as lines for drawing and as antialiased pixels on an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ssl_registry.report.colors import PREDICTIONS

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8]
Line = NDArray[np.float64]

_SMOOTHING: Final = 0.7
"""Gaussian sigma in pixels that takes the staircase off an outline without moving it."""


def to_rgb(image: Image) -> Image:
    """uint8 `[H, W]` or `[H, W, 3]` as `[H, W, 3]`."""
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def outlines(mask: Mask) -> list[Line]:
    """The outlines of every class of a mask.

    Args:
        mask: uint8 `[H, W]` of class numbers, or of 0 and 1.

    Returns:
        Lines `[n, 2]` of x, y in pixels, where the first pixel covers 0 to 1; an outline ends
        where it began, also where the mask touches the image's edge.
    """
    from matplotlib.figure import Figure
    from scipy.ndimage import gaussian_filter

    lines: list[Line] = []
    for value in np.unique(mask[mask > 0]):
        padded = np.pad((mask == value).astype(np.float64), 2)
        smooth = np.maximum(gaussian_filter(padded, _SMOOTHING), 0.0)
        # A lesion of a pixel or two would be smoothed away below one half.
        level = min(0.5, 0.5 * float(smooth.max()))
        axes = Figure().add_subplot()
        drawn = axes.contour(smooth, levels=[level])
        # Pixel centres lie at whole numbers of the padded grid, two rows and columns further.
        lines += [np.asarray(segment, dtype=np.float64) - 1.5 for segment in drawn.allsegs[0]]
    height, width = mask.shape
    return [np.clip(line, 0, (width, height)) for line in lines]


def overlay(
    image: Image, mask: Mask, color: str = PREDICTIONS[0], width: float | None = None
) -> Image:
    """Draw the outline of a mask over an image of the same height and width.

    The line is antialiased, centred on the edge of the mask, and has a thin dark rim so that it
    shows on bright tissue too.

    Args:
        image: uint8 `[H, W]` (gray) or `[H, W, 3]` (RGB).
        mask: uint8 `[H, W]`; each class is outlined.
        color: Such as `#ff9f1c`.
        width: Of the line in pixels; default: a 200th of the image, at least 1.5.

    Returns:
        uint8 `[H, W, 3]`, a new array.
    """
    height, breadth = mask.shape
    half = 0.5 * (width if width is not None else max(1.5, (height + breadth) / 400))
    distance = np.full(mask.shape, np.inf)
    for value in np.unique(mask[mask > 0]):
        distance = np.minimum(distance, np.abs(_signed_distance(mask == value)))
    blended = to_rgb(image).astype(np.float64)
    rim = 0.55 * np.clip(half + 1.5 - distance, 0, 1)[..., None]
    line = np.clip(half + 0.5 - distance, 0, 1)[..., None]
    blended *= 1 - rim
    blended = (1 - line) * blended + line * np.asarray(_rgb(color), dtype=np.float64)
    result: Image = np.rint(blended).astype(np.uint8)
    return result


def overlay_classes(
    image: Image,
    masks: Sequence[Mask],
    colors: Sequence[str] = PREDICTIONS,
    width: float | None = None,
) -> Image:
    """Draw the outlines of several masks over an image, each class in its own colour.

    Args:
        image: uint8 `[H, W]` (gray) or `[H, W, 3]` (RGB).
        masks: By class, uint8 `[H, W]`; the first is drawn last: where two share a border, the
            inner one comes first.
        colors: Of the classes, in turn.
        width: Of the line; see `overlay`.

    Returns:
        uint8 `[H, W, 3]`, a new array.
    """
    drawn = to_rgb(image).copy()
    for number, mask in reversed(list(enumerate(masks))):
        drawn = overlay(drawn, mask, colors[number % len(colors)], width)
    return drawn


def _signed_distance(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance of each pixel's centre to the edge of a region, positive inside, smoothed."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    if inside.all():
        # There is no outside to measure from: the image's own edge is the outline.
        inside = np.pad(inside, 1)
        return _signed_distance(inside)[1:-1, 1:-1]
    within = distance_transform_edt(inside) - 0.5
    outside = distance_transform_edt(~inside) - 0.5
    smooth: NDArray[np.float64] = gaussian_filter(np.where(inside, within, -outside), _SMOOTHING)
    return smooth


def _rgb(color: str) -> tuple[int, int, int]:
    digits = color.removeprefix("#")
    return int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)
