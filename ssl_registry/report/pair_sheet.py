"""A page of near-duplicate pairs side by side, for a person to judge the border cases."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from ssl_registry.report.page import write_page

_LONGEST: Final = 320
"""Longer images are shrunk to this side in pixels, to keep the page small."""
_SMALLEST: Final = 96
"""Images with both sides below this are enlarged to it, so that they can be seen."""


@dataclass(frozen=True)
class PairSide:
    """One image of a pair.

    Attributes:
        name: Its dataset and id.
        about: Part, label and group, as far as they are known.
        read: Reads its pixels, uint8 `[H, W]` or `[H, W, 3]`.
    """

    name: str
    about: str
    read: Callable[[], NDArray[np.uint8]]


@dataclass(frozen=True)
class PairRow:
    """A pair of near-duplicates.

    Attributes:
        score: Correlation of the fine detail.
        relation: Such as `copy` or `cropped, mirrored`.
        first: The one image.
        second: The other.
        leak: The part beside train that the pair straddles, if it does.
    """

    score: float
    relation: str
    first: PairSide
    second: PairSide
    leak: str = ""


def write_pair_sheet(
    path: Path,
    title: str,
    facts: Mapping[str, object],
    sections: Mapping[str, Sequence[PairRow]],
    *,
    pictures: int = 500,
) -> None:
    """Write the page, which holds its pictures and loads nothing.

    Args:
        path: The HTML file.
        title: Its heading.
        facts: Figures that head it.
        sections: The pairs under their headings, in the order given.
        pictures: At most so many pairs are shown, the first of each section before the rest.

    Raises:
        RunError: The place is not writable.
        DataError: An image cannot be read.
    """
    shown, left = [], pictures
    for heading, rows in sections.items():
        some = [_row(rank, row) for rank, row in enumerate(rows[:left], start=1)]
        shown.append({"title": heading, "rows": some})
        left -= len(some)
    total = sum(len(rows) for rows in sections.values())
    report = {
        "title": title,
        "facts": facts,
        "sections": shown,
        "left_out": total - (pictures - left),
    }
    write_page(path, "pairs.html", report=report)


def _row(rank: int, row: PairRow) -> dict[str, object]:
    return {
        "rank": rank,
        "score": row.score,
        "relation": row.relation,
        "leak": row.leak,
        "sides": [_side(row.first), _side(row.second)],
    }


def _side(side: PairSide) -> dict[str, object]:
    picture = PillowImage.fromarray(side.read())
    longest = max(picture.size)
    target = _LONGEST if longest > _LONGEST else max(longest, _SMALLEST)
    width, height = (max(1, round(length * target / longest)) for length in picture.size)
    buffer = io.BytesIO()
    picture.resize((width, height), PillowImage.Resampling.BILINEAR).save(
        buffer, format="JPEG", quality=85
    )
    source = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return {
        "name": side.name,
        "about": side.about,
        "source": source,
        "width": width,
        "height": height,
    }
