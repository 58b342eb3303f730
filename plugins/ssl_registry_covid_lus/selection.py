"""Which frames of a video are taken."""

from __future__ import annotations

from fractions import Fraction
from itertools import count, takewhile


def evenly_spread(frames: int, wanted: int) -> tuple[int, ...]:
    """The middle frames of `wanted` equal stretches of a video, or all frames if it has fewer.

    The middles do not depend on whether the last frames can be decoded, and keep away from the
    dark or torn frames at the ends of cut videos.

    Args:
        frames: How many frames the video has.
        wanted: How many to take.

    Returns:
        Frame numbers from 0, in order.
    """
    wanted = min(wanted, frames)
    return tuple((2 * i + 1) * frames // (2 * wanted) for i in range(wanted))


def sampled(frames: int, rate: Fraction, wanted_rate: float) -> tuple[int, ...]:
    """One frame of every `1 / wanted_rate` seconds, from the middle of each such stretch.

    A video shorter than half a stretch gives its middle frame; a wanted rate above the video's
    own gives every frame once.

    Args:
        frames: How many frames the video has.
        rate: Its frames per second.
        wanted_rate: Frames per second to take.

    Returns:
        Frame numbers from 0, in order.
    """
    # The decimals as written, so that no rounding error decides.
    stretch = max(rate / Fraction(str(wanted_rate)), Fraction(1))
    middles = (int((i + Fraction(1, 2)) * stretch) for i in count())
    return tuple(takewhile(lambda frame: frame < frames, middles)) or evenly_spread(frames, 1)
