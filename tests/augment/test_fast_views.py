"""The fast chain against torchvision, on the same draws, image by image."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

from ssl_registry.augment import (
    BatchGrayscale,
    BatchJitter,
    Draws,
    FastChain,
    Jitter,
    MatrixBlur,
    MatrixCrop,
    TwoViews,
    blur_kernel,
    contrastive_chain,
)
from ssl_registry.augment.colour import turn_hue
from ssl_registry.augment.crop import draw_boxes
from ssl_registry.augment.rows import transposed

JITTER = Jitter(0.8, 0.8, 0.8, 0.2, share=0.8)
SCALE, RATIO, SIGMA = (0.08, 1.0), (3 / 4, 4 / 3), (0.1, 2.0)
EVERYTHING: dict[str, Any] = {
    "crop_scale": SCALE,
    "crop_ratio": RATIO,
    "flip": 0.5,
    "jitter": JITTER,
    "grayscale": 0.3,
    "blur": 0.5,
    "blur_sigma": SIGMA,
}
ORDERS = [
    ("flip", "jitter", "grayscale", "blur"),
    ("jitter", "grayscale", "blur", "flip"),
    ("grayscale", "jitter", "flip", "blur"),
]


def pictures(number: int, channels: int, height: int, width: int) -> Tensor:
    """Smooth colours with noise, some images gray, black, white, and with pure colours."""
    generator = torch.Generator().manual_seed(height)
    coarse = torch.rand(number, channels, 5, 5, generator=generator)
    images = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    images = (images + 0.1 * torch.randn(images.shape, generator=generator)).clamp(0, 1)
    images[0], images[1], images[2] = 0.0, 1.0, images[2, :1]
    images[3] = images[3].round()
    return images


def cropped(image: Tensor, row: list[float], size: int) -> Tensor:
    top, left, height, width, flip = row
    box = [int(top), int(left), int(height), int(width)]
    view = F.resized_crop(image, *box, [size, size], antialias=True)
    turned: Tensor = F.horizontal_flip(view) if flip else view
    return turned


def jittered(image: Tensor, row: list[float]) -> Tensor:
    """By torchvision's functions, in the order and with the factors of a row of draws."""
    for turn in range(2, len(row), 4):
        factor, mean, own, hue = row[turn : turn + 4]
        if hue:
            image = F.adjust_hue(image, hue)
        elif mean:
            image = F.adjust_contrast(image, factor)
        elif own:
            image = F.adjust_saturation(image, factor)
        else:
            image = F.adjust_brightness(image, factor)
    return image


def by_torchvision(chain: FastChain, images: Tensor, rows: Tensor) -> Tensor:
    """The views of `images` with the draws `rows`, one image at a time."""
    views = []
    for image, row in zip(images, rows.tolist(), strict=True):
        view, place = cropped(image, row[:5], chain.crop.size), 5
        for operation in chain.operations:
            width = operation.draw(1).shape[1]
            drawn = row[place : place + width]
            place += width
            if isinstance(operation, BatchJitter):
                view = jittered(view, drawn)
            elif isinstance(operation, MatrixBlur) and drawn[0]:
                side = operation.kernel
                view = F.gaussian_blur(view, [side, side], [drawn[1], drawn[1]])
            elif isinstance(operation, BatchGrayscale) and drawn[0]:
                view = F.rgb_to_grayscale(view, num_output_channels=3)
        views.append(view)
    return torch.stack(views)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order[0])
@pytest.mark.parametrize(("channels", "tolerance"), [(1, 2e-6), (3, 1e-3)])
@pytest.mark.parametrize(("source", "size"), [((64, 64), 64), ((80, 80), 64), ((70, 90), 32)])
def test_views_equal_torchvisions(
    source: tuple[int, int], size: int, channels: int, tolerance: float, order: tuple[Any, ...]
) -> None:
    chain = contrastive_chain(size, channels, **EVERYTHING, order=order)
    assert isinstance(chain, FastChain)
    images = pictures(40, channels, *source)
    torch.manual_seed(4)
    views = chain(images, copies=2)
    torch.manual_seed(4)
    rows, _ = chain._draw(80, *source)
    expected = by_torchvision(chain, torch.cat([images, images]), rows)
    torch.testing.assert_close(views, expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize(("source", "size"), [(64, 64), (80, 64), (40, 32), (200, 32), (20, 64)])
def test_crops_equal_torchvisions(source: int, size: int) -> None:
    crop = MatrixCrop(size, SCALE, RATIO, flip=0.5)
    images = pictures(50, 3, source, source)
    torch.manual_seed(0)
    views = crop(images)
    torch.manual_seed(0)
    rows = crop.draw(50, source, source).tolist()
    for image, row, view in zip(images, rows, views, strict=True):
        torch.testing.assert_close(view, cropped(image, row, size), atol=2e-6, rtol=0)


@pytest.mark.parametrize("shape", [(4, 3, 9, 20), (5, 1, 64, 32), (2, 3, 1, 7), (2, 1, 7, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_transposed_images_are_contiguous(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    images = torch.rand(shape).to(dtype)[1:]  # does not begin where its memory does
    turned = transposed(images)
    assert turned.is_contiguous() and torch.equal(turned, images.mT)


def test_images_may_lie_in_any_order_in_memory() -> None:
    chain = contrastive_chain(16, 3, **EVERYTHING)
    images = pictures(12, 3, 20, 24)
    drawn = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        drawn.append(chain(images.contiguous(memory_format=layout)))
    assert torch.equal(*drawn)


def test_hue_equals_torchvisions() -> None:
    images, turns = pictures(60, 3, 24, 24), torch.rand(60) - 0.5
    turns[10:13] = torch.tensor([0.0, 0.5, -0.5])
    turned = images.clone()
    turn_hue(turned, turns)
    for image, turn, result in zip(images, turns.tolist(), turned, strict=True):
        torch.testing.assert_close(result, F.adjust_hue(image, turn), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kernel", [3, 7, 31])
def test_blur_equals_torchvisions(kernel: int) -> None:
    blur = MatrixBlur(24, kernel, (0.1, 3.0), share=0.5)
    images = pictures(40, 3, 24, 24)
    torch.manual_seed(0)
    blurred = blur(images)
    torch.manual_seed(0)
    for image, (on, sigma), result in zip(images, blur.draw(40).tolist(), blurred, strict=True):
        plain = F.gaussian_blur(image, [kernel, kernel], [sigma, sigma]) if on else image
        torch.testing.assert_close(result, plain, atol=2e-6, rtol=0)


@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.2, 1.0), (0.8, 1.0)])
@pytest.mark.parametrize(("height", "width"), [(80, 80), (60, 100), (30, 100)])
def test_boxes_are_drawn_as_by_the_loop_of_torchvision(
    scale: tuple[float, float], height: int, width: int
) -> None:
    """Its rejection loop, in plain Python with other random numbers."""
    n = 4000
    torch.manual_seed(0)
    boxes = draw_boxes(n, height, width, scale, RATIO)
    torch.manual_seed(1)
    slow = torch.tensor([slow_box(height, width, scale) for _ in range(n)])
    assert torch.equal(boxes, boxes.round())
    assert (boxes[:, 0] + boxes[:, 2] <= height).all() and (boxes >= 0).all()
    assert (boxes[:, 1] + boxes[:, 3] <= width).all()
    probabilities = torch.linspace(0.05, 0.95, 10)
    for column, extent in enumerate((height, width, height, width)):
        ours, theirs = boxes[:, column] / extent, slow[:, column] / extent
        gap = ours.quantile(probabilities) - theirs.quantile(probabilities)
        assert gap.abs().max() < 0.045
        assert abs(float(ours.mean() - theirs.mean())) < 0.016
        # of the full extent, at the edge
        for edge in (0.0, 1.0):
            assert (
                abs(float((ours == edge).float().mean() - (theirs == edge).float().mean())) < 0.03
            )


def slow_box(height: int, width: int, scale: tuple[float, float]) -> list[float]:
    def drawn(low: float, high: float) -> float:
        return float(torch.empty(1).uniform_(low, high))

    for _ in range(10):
        area = height * width * drawn(*scale)
        ratio = math.exp(drawn(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            top = int(torch.randint(0, height - h + 1, (1,)))
            return [top, int(torch.randint(0, width - w + 1, (1,))), h, w]
    w, h = width, height
    if width / height < RATIO[0]:
        h = round(width / RATIO[0])
    elif width / height > RATIO[1]:
        w = round(height * RATIO[1])
    return [(height - h) // 2, (width - w) // 2, h, w]


def test_small_boxes_have_a_uniform_area_and_log_aspect_and_lie_anywhere() -> None:
    torch.manual_seed(0)
    top, left, height, width = draw_boxes(20000, 400, 400, (0.1, 0.4), RATIO).unbind(1)
    area, aspect = height * width / 400**2, (width / height).log()
    assert abs(area.mean() - 0.25) < 0.003 and abs(area.std() - 0.3 / math.sqrt(12)) < 0.003
    assert abs(aspect.mean()) < 0.006
    assert abs(aspect.std() - 2 * math.log(4 / 3) / math.sqrt(12)) < 0.004
    for start, side in ((top, height), (left, width)):
        place = (start + 0.5) / (401 - side)
        assert abs(place.mean() - 0.5) < 0.01 and abs(place.std() - 1 / math.sqrt(12)) < 0.005


def test_jitter_draws_its_share_its_order_and_its_factors() -> None:
    n = 12000
    torch.manual_seed(0)
    rows = BatchJitter(JITTER, channels=3).draw(n)
    chosen, turns = rows[:, 0] > 0, rows[:, 2:].view(n, 4, 4)
    assert abs(float(chosen.float().mean()) - 0.8) < 0.012
    nothing = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(4, 4)
    assert torch.equal(turns[~chosen], nothing.expand(int((~chosen).sum()), 4, 4))
    turns = turns[chosen]
    kind = torch.where(turns[..., 3] != 0, 3, 0)
    kind = torch.where(turns[..., 1] != 0, 1, torch.where(turns[..., 2] != 0, 2, kind))
    assert torch.equal(kind.sort(dim=1).values, torch.arange(4).expand_as(kind))
    assert torch.equal(rows[chosen, 1].long(), (kind == 3).int().argmax(1))
    orders = (kind * torch.tensor([64, 16, 4, 1])).sum(1).bincount()
    orders = orders[orders > 0]
    assert len(orders) == 24  # each order once in 24
    assert (orders / len(kind) - 1 / 24).abs().max() < 0.008
    ranks = (torch.arange(len(kind)) + 0.5) / len(kind)
    for name, low, high in ((0, 0.2, 1.8), (1, 0.2, 1.8), (2, 0.2, 1.8), (3, -0.2, 0.2)):
        values = turns[kind == name][:, 3 if name == 3 else 0].sort().values
        assert ((values - low) / (high - low) - ranks).abs().max() < 0.02  # Kolmogorov


def test_operations_go_into_a_chain_of_any_modules() -> None:
    torch.manual_seed(0)
    size = 32
    parts = [
        MatrixCrop(size, SCALE, RATIO, 0.5),
        BatchJitter(JITTER, 3),
        BatchGrayscale(0.2),
        MatrixBlur(size, blur_kernel(size), SIGMA, 0.5),
    ]
    views = TwoViews(torch.nn.Sequential(*parts))(torch.rand(6, 3, 40, 40)).images
    assert views[0].shape == (6, 3, 32, 32) and not torch.equal(*views)


@pytest.mark.parametrize("channels", [1, 3])
def test_blocks_do_not_change_the_views(channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = TwoViews(contrastive_chain(16, channels, **EVERYTHING))
    images = torch.rand(37, channels, 20, 20)
    drawn = []
    # Blocks of 8 views; of 15, whose rows, 20 px wide before the columns, take two; and one.
    for size in (1, 16 * channels * 16 * 16 * 4, 1 << 30):
        monkeypatch.setattr("ssl_registry.augment.blocks._BLOCK_BYTES", size)
        torch.manual_seed(2)
        drawn.append(torch.stack(pipeline(images).images))
    for views in drawn[:2]:
        torch.testing.assert_close(views, drawn[2], atol=1e-6, rtol=0)


def test_the_order_that_views_are_made_in_does_not_change_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chain = contrastive_chain(32, 3, **EVERYTHING)
    assert isinstance(chain, FastChain)
    jitter, images = chain.operations[0], pictures(60, 3, 40, 40)
    ranks = jitter.rank(jitter.draw(60))
    assert ranks is not None and len(ranks.unique()) > 3
    torch.manual_seed(1)
    by_rank = chain(images)
    monkeypatch.setattr(jitter, "rank", lambda draws: None)
    torch.manual_seed(1)
    torch.testing.assert_close(chain(images), by_rank, atol=1e-6, rtol=0)


def test_draws_are_those_of_the_seed_whatever_the_images_and_their_precision() -> None:
    chain = contrastive_chain(16, 3, **EVERYTHING)
    assert isinstance(chain, FastChain)
    drawn = []
    for images in (torch.rand(5, 3, 20, 20), torch.zeros(5, 3, 20, 20, dtype=torch.float64)):
        torch.manual_seed(3)
        chain.to(images.dtype)(images)
        drawn.append(torch.rand(1))  # what comes next
    assert torch.equal(*drawn)
    rows, widths = chain._draw(5, 20, 20)
    assert (
        rows.dtype == torch.float32 and rows.device.type == "cpu" and sum(widths) == rows.shape[1]
    )


def test_autocast_does_not_touch_the_views() -> None:
    chain = contrastive_chain(16, 3, **EVERYTHING)
    images = torch.rand(6, 3, 20, 20)
    torch.manual_seed(3)
    plain = chain(images)
    torch.manual_seed(3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(chain(images), plain)


def test_nothing_is_done_where_nothing_is_asked_for() -> None:
    images = torch.rand(4, 3, 16, 16)
    draws = Draws(torch.zeros(4, 1), torch.zeros(4, 1))
    assert torch.equal(BatchGrayscale(0.0).change(images.clone(), draws), images)
    jitter = BatchJitter(Jitter(0.0, 0.0, 0.0, 0.0, share=1.0), 3)
    assert torch.equal(jitter(images), images)
    assert torch.equal(MatrixBlur(16, 3, SIGMA, 0.0)(images), images)
