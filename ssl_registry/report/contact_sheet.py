"""A contact sheet: many images of a dataset with the outlines of their masks, in one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from ssl_registry.data.reading import class_planes, read_image, read_mask
from ssl_registry.interfaces.dataset import Dataset, Sample
from ssl_registry.report.colors import PREDICTIONS, TRUTH
from ssl_registry.report.contours import overlay_classes, to_rgb

COLORS: Final = (TRUTH, *PREDICTIONS)
"""Outline of the first class, the second, ..."""

_GAP: Final = 6
_LINE: Final = 15
_PAPER: Final = "white"
_INK: Final = "#24292f"


@dataclass(frozen=True)
class SheetItem:
    """One image of a sheet.

    Attributes:
        image: uint8 `[H, W]` or `[H, W, 3]`.
        masks: By class, bool or uint8 `[H, W]`; may be empty.
        caption: Lines written below it.
    """

    image: NDArray[np.uint8]
    masks: Sequence[NDArray[np.uint8]]
    caption: Sequence[str]


def sheet_item(dataset: Dataset, sample: Sample) -> SheetItem:
    """A sample as its dataset reads it, captioned with its id, label and size.

    Raises:
        DataError: It cannot be read; names the file.
    """
    image = read_image(dataset, sample)
    mask = read_mask(dataset, sample) if sample.has_mask else None
    planes = [] if mask is None else class_planes(mask, len(dataset.info.classes))
    size = f"{image.shape[1]} x {image.shape[0]}"
    caption = (sample.id, size if sample.label is None else f"{sample.label}, {size}")
    return SheetItem(image, planes, caption)


def contact_sheet(
    items: Sequence[SheetItem], *, side: int = 180, columns: int = 6, legend: Sequence[str] = ()
) -> PillowImage.Image:
    """The items in rows, each shown within a square of `side` px, its shape kept.

    Args:
        items: At least one.
        side: Side of a cell, px.
        columns: Cells in a row.
        legend: Names of the classes, in the order of the masks; written at the top in the
            colours of their outlines.
    """
    columns = min(columns, len(items))
    lines = max(len(item.caption) for item in items)
    top = _GAP + (_LINE + _GAP if legend else 0)
    cell = side + lines * _LINE + 2 * _GAP
    rows = math.ceil(len(items) / columns)
    sheet = PillowImage.new(
        "RGB", (columns * (side + _GAP) + _GAP, top + rows * cell), color=_PAPER
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    _write_legend(draw, font, legend)
    for number, item in enumerate(items):
        x = _GAP + number % columns * (side + _GAP)
        y = top + number // columns * cell
        picture = _drawn(item, side)
        sheet.paste(picture, (x + (side - picture.width) // 2, y + side - picture.height))
        for place, line in enumerate(item.caption):
            text = _fitting(line, side, font)
            draw.text((x, y + side + 2 + place * _LINE), text, fill=_INK, font=font)
    return sheet


def _write_legend(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    legend: Sequence[str],
) -> None:
    x: float = _GAP
    for number, name in enumerate(legend):
        draw.line((x, _GAP + 8, x + 18, _GAP + 8), fill=COLORS[number % len(COLORS)], width=3)
        draw.text((x + 24, _GAP), name, fill=_INK, font=font)
        x += 24 + draw.textlength(name, font) + 3 * _GAP


def _drawn(item: SheetItem, side: int) -> PillowImage.Image:
    """The image within the square, with the outlines drawn at the shown size."""
    height, width = item.image.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = PillowImage.fromarray(to_rgb(item.image))
    picture = picture.resize(size, PillowImage.Resampling.LANCZOS)
    shown = []
    for mask in item.masks:
        plane = PillowImage.fromarray((np.asarray(mask) > 0).astype(np.uint8) * 255)
        small = np.asarray(plane.resize(size, PillowImage.Resampling.BOX)) > 127
        shown.append(small.astype(np.uint8))
    return PillowImage.fromarray(overlay_classes(np.asarray(picture), shown, COLORS, 1.5))


def _fitting(line: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The line, its beginning cut away where it is too long: the end tells images apart."""
    if font.getlength(line) <= width:
        return line
    while line and font.getlength("…" + line) > width:
        line = line[1:]
    return "…" + line
