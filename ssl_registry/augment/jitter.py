"""Strengths of colour jitter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Jitter:
    """Strengths of colour jitter.

    Attributes:
        brightness: Factors are drawn from [max(0, 1 - b), 1 + b]; `contrast`, `saturation` alike.
        contrast: See `brightness`.
        saturation: See `brightness`; of no effect on gray images.
        hue: Turns of the colour circle are drawn from [-hue, hue], at most 0.5; of no effect on
            gray images.
        share: Probability that an image is jittered at all.
    """

    brightness: float
    contrast: float
    saturation: float
    hue: float
    share: float
