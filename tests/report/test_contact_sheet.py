"""Contact sheets: where the images stand, and that outlines lie on the edges of the masks."""

from __future__ import annotations

import numpy as np
from PIL import Image as PillowImage

from ssl_registry.report.contact_sheet import COLORS, SheetItem, contact_sheet


def close_to(sheet: PillowImage.Image, color: str) -> np.ndarray:
    """Which pixels have nearly this colour."""
    wanted = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return np.abs(np.asarray(sheet).astype(int) - wanted).max(axis=2) < 40


def test_each_image_has_a_cell_with_its_shape_kept() -> None:
    wide = SheetItem(np.full((50, 100, 3), (200, 30, 30), np.uint8), [], ("wide",))
    tall = SheetItem(np.full((100, 50, 3), (200, 30, 30), np.uint8), [], ("tall",))
    sheet = contact_sheet([wide, tall, wide], side=100, columns=2)
    red = (np.asarray(sheet) == (200, 30, 30)).all(axis=2)
    half = sheet.width // 2
    rows = red[:, :half].any(axis=1), red[:, half:].any(axis=1)
    assert rows[0].sum() == 2 * 50 and rows[1].sum() == 100
    assert red[:, :half].any(axis=0).sum() == 100 and red[:, half:].any(axis=0).sum() == 50


def test_outlines_lie_on_the_edges_of_each_class() -> None:
    masks = np.zeros((2, 200, 200), np.uint8)
    masks[0, 40:160, 40:160] = 1
    masks[1, 90:110, 90:110] = 1
    item = SheetItem(np.zeros((200, 200), np.uint8), list(masks), ("squares",))
    sheet = contact_sheet([item], side=200, legend=("outer", "inner"))
    top = 6 + 15 + 6
    for number, (low, high) in enumerate(((40, 160), (90, 110))):
        rows, columns = np.nonzero(close_to(sheet, COLORS[number])[top:, 6:206])
        assert abs(rows.min() - low) <= 2 and abs(rows.max() - high) <= 2
        assert abs(columns.min() - low) <= 2 and abs(columns.max() - high) <= 2
        assert close_to(sheet, COLORS[number])[:top].any()  # the legend


def test_long_captions_keep_their_end_within_the_cell() -> None:
    name = "a/very/long/path/that/does/not/fit/into/the/cell/image-0001"
    items = [SheetItem(np.zeros((20, 20), np.uint8), [], (caption,)) for caption in (name, "b")]
    sheet = contact_sheet(items, side=60)
    ink = np.asarray(sheet.convert("L")) < 128
    gap = slice(6 + 60, 6 + 60 + 6)
    assert not ink[:, gap].any()
