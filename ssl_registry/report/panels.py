"""A gallery for a page: each panel an image with vector outlines, sharp at any width."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ssl_registry.report.colors import TRUTH, prediction_color
from ssl_registry.report.contours import outlines
from ssl_registry.report.gallery import GalleryItem, arms_of, dice_text

_LONGEST: Final = 640
"""Longer images are shrunk to this side in pixels, to keep the page small."""


@dataclass(frozen=True)
class Outline:
    """One outline: the `d` of an SVG path in pixels of the image, its colour, its style."""

    path: str
    color: str
    broken: bool = False


@dataclass(frozen=True)
class Panel:
    """An image with outlines over it, and a caption."""

    caption: str
    outlines: tuple[Outline, ...] = ()


@dataclass(frozen=True)
class GalleryRow:
    """The panels of one image, which share the picture `source` (a data URI)."""

    id: str
    label: str | None
    source: str
    width: int
    height: int
    panels: tuple[Panel, ...]


def gallery_rows(items: Sequence[GalleryItem]) -> list[GalleryRow]:
    """The rows of a gallery: image, truth, and each arm's prediction over the truth."""
    arms = arms_of(items)
    return [_row(item, arms) for item in items]


def _row(item: GalleryItem, arms: Sequence[str]) -> GalleryRow:
    truth = outline_path(item.truth)
    panels = [Panel("image"), Panel("truth", (Outline(truth, TRUTH),) if truth else ())]
    for number, arm in enumerate(arms):
        if arm in item.predictions:
            drawn = [
                Outline(truth, TRUTH, broken=True),
                Outline(outline_path(item.predictions[arm]), prediction_color(number)),
            ]
            name = "" if len(arms) == 1 else f"{arm}: "
            panels.append(
                Panel(name + dice_text(item, arm), tuple(line for line in drawn if line.path))
            )
    height, width = item.image.shape[:2]
    return GalleryRow(item.id, item.label, _image_uri(item.image), width, height, tuple(panels))


def outline_path(mask: NDArray[np.uint8]) -> str:
    """The outlines of a mask as the `d` of an SVG path, in pixels; "" for an empty mask."""
    return " ".join(
        "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in line) + "Z" for line in outlines(mask)
    )


def _image_uri(image: NDArray[np.uint8]) -> str:
    from PIL import Image

    picture = Image.fromarray(image)
    picture.thumbnail((_LONGEST, _LONGEST))
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=88)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def legend(items: Sequence[GalleryItem]) -> dict[str, object]:
    """The colours of the truth and of each arm's predictions."""
    arms = arms_of(items)
    return {"truth": TRUTH, "predictions": {a: prediction_color(n) for n, a in enumerate(arms)}}
