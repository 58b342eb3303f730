"""How numbers are written in reports: rounded, and a dash where there is none."""

from __future__ import annotations

import math
from typing import Final

from ssl_registry.evaluation.statistics import Summary

DASH: Final = "\N{EN DASH}"


def number(value: object, digits: int = 3) -> str:
    """A number with `digits` decimals, counts without any, a dash for None and NaN, else text."""
    if value is None:
        return DASH
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if not math.isfinite(value):
        return DASH if math.isnan(value) else str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def fact(value: object) -> str:
    """A value of a summary: floats with four significant digits."""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:,.0f}" if value.is_integer() or abs(value) >= 1e4 else f"{value:.4g}"
    return number(value)


def aggregate_value(name: str, value: object) -> str:
    """The value of an aggregate: counts of images as whole numbers, the rest as shares."""
    counted = "images" in name.split("/") and isinstance(value, float) and math.isfinite(value)
    return f"{value:.0f}" if counted else number(value)


def mean_sd(summary: Summary, digits: int = 3, sign: bool = False) -> str:
    """`0.712 ± 0.021`; without the spread where one value or none gives no spread."""
    if math.isnan(summary.mean):
        return DASH
    text = f"{summary.mean:{'+' if sign else ''}.{digits}f}"
    return text if math.isnan(summary.sd) else f"{text} ± {summary.sd:.{digits}f}"


def duration(seconds: object) -> str:
    """Seconds as `1 h 05 min`, `3 min 20 s` or `4.2 s`."""
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds):
        return DASH
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
