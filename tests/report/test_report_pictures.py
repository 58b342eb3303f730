from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image

from ssl_registry.report.contours import outlines, overlay
from ssl_registry.report.gallery import GalleryItem, dice_text, figure_png, gallery_figure
from ssl_registry.report.panels import gallery_rows


def area(line: np.ndarray) -> float:
    """Signed area of a closed polygon by the shoelace formula."""
    x, y = line.T
    return 0.5 * abs(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))))


def test_outline_encloses_the_mask() -> None:
    y, x = np.mgrid[:60, :80]
    mask = ((y - 20) ** 2 + (x - 50) ** 2 <= 15**2).astype(np.uint8)
    (line,) = outlines(mask)
    assert area(line) == pytest.approx(mask.sum(), rel=0.02)
    assert line.mean(axis=0) == pytest.approx([50.5, 20.5], abs=0.3)
    np.testing.assert_allclose(line[0], line[-1])


def test_outlines_at_the_edge_are_closed_and_inside_the_image() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[:8, :10] = 1
    (line,) = outlines(mask)
    assert line.min() >= 0
    assert area(line) == pytest.approx(80, rel=0.05)
    (full,) = outlines(np.ones((20, 30), np.uint8))
    assert area(full) == pytest.approx(600, rel=0.02)


def test_a_single_pixel_and_each_class_are_outlined() -> None:
    mask = np.zeros((20, 30), np.uint8)
    assert outlines(mask) == []
    mask[5, 5] = 1
    mask[10:15, 10:15] = 2
    assert len(outlines(mask)) == 2


def test_overlay_marks_the_edge_and_leaves_the_rest() -> None:
    image = np.full((50, 60), 90, np.uint8)
    mask = np.zeros((50, 60), np.uint8)
    mask[15:35, 20:40] = 1
    drawn = overlay(image, mask, color="#ff0000", width=2.0)
    assert drawn.shape == (50, 60, 3) and drawn.dtype == np.uint8
    red = drawn[..., 0].astype(int) - drawn[..., 1] > 100
    assert red[25, 19:21].all() and red[25, 39:41].all()
    assert not red[25, 25:35].any() and not red[:10].any()
    assert (drawn[25, 30] == 90).all() and (drawn[2, 2] == 90).all()
    assert (image == 90).all()


@pytest.mark.parametrize("value", [0, 1])
def test_overlay_of_an_empty_and_a_full_mask(value: int) -> None:
    image = np.full((40, 40, 3), 90, np.uint8)
    drawn = overlay(image, np.full((40, 40), value, np.uint8))
    assert (drawn[20, 20] == 90).all()
    assert ((drawn[0, 20] != 90).any()) == bool(value)


def items() -> list[GalleryItem]:
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 20:40] = 1
    gray = np.full((40, 60), 60, np.uint8)
    color = np.full((40, 60, 3), 60, np.uint8)
    return [
        GalleryItem("$a_1$", "benign", gray, mask, {"x": mask, "y": 0 * mask}, {"x": 1, "y": 0}),
        GalleryItem("b", None, color, 0 * mask, {"x": mask, "y": 0 * mask}, {"x": 0}),
    ]


def test_gallery_figure_is_a_picture_with_both_colours() -> None:
    picture = Image.open(io.BytesIO(figure_png(gallery_figure(items())))).convert("RGB")
    pixels = np.asarray(picture).astype(int)
    assert picture.width > 800
    for color in ((0x2E, 0xE6, 0xA6), (0xFF, 0x9F, 0x1C)):
        assert (np.abs(pixels - color).sum(axis=2) < 60).any()
    assert figure_png(gallery_figure([]))


def test_gallery_rows_share_one_picture_and_name_what_happened() -> None:
    first, second = gallery_rows(items())
    assert [panel.caption for panel in first.panels] == [
        "image",
        "truth",
        "x: Dice 1.00",
        "y: Dice 0.00",
    ]
    assert [panel.caption for panel in second.panels[2:]] == [
        "x: false positive",
        "y: rightly empty",
    ]
    assert (first.width, first.height) == (60, 40)
    assert first.panels[1].outlines and not second.panels[1].outlines
    assert len(first.panels[2].outlines) == 2
    assert len(first.panels[3].outlines) == 1


def test_undefined_dice_is_a_dash() -> None:
    first = items()[0]
    unknown = GalleryItem("c", None, first.image, first.truth, first.predictions, {"x": math.nan})
    assert dice_text(unknown, "x") == "Dice \N{EN DASH}"
