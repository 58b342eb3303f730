"""Colours of contours and curves, told apart also with colour-blind eyes."""

from __future__ import annotations

from typing import Final

TRUTH: Final = "#2ee6a6"
"""Bluish green: the contour of the truth, on dark images."""

PREDICTIONS: Final = ("#ff9f1c", "#ff6ad5", "#5cc8ff", "#f5ee5a")
"""Orange, magenta, sky blue, yellow: contours of the predictions, one per arm."""

LINES: Final = (
    "#d97a06",
    "#c23b9b",
    "#1f83c4",
    "#666a00",
    "#00a854",
    "#7830cc",
    "#003cfc",
    "#fc30fc",
)
"""The same hues for curves, and green, violet, ultramarine and pink.

All are dark enough for a white page and light enough for a black one.
"""

INK: Final = "#7d8590"
"""Gray for axes and text of figures, legible on white and on black."""


def prediction_color(index: int) -> str:
    """Contour colour of the arm with this number."""
    return PREDICTIONS[index % len(PREDICTIONS)]


def line_color(index: int) -> str:
    """Curve colour of the arm with this number."""
    return LINES[index % len(LINES)]
