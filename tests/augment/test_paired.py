"""Images and masks that are moved together."""

from __future__ import annotations

import torch
from torch import Tensor

from ssl_registry.augment import LightPairedAugmentation


def blobs(n: int, size: int = 64) -> Tensor:
    """Bright discs `[n, 1, size, size]` on black, off centre."""
    line = torch.arange(size, dtype=torch.float32)
    y, x = torch.meshgrid(line, line, indexing="ij")
    disc = ((x - 22) ** 2 + (y - 30) ** 2 < 12**2).float() * 0.8
    return disc.expand(n, 1, size, size).contiguous()


def test_masks_follow_their_images() -> None:
    torch.manual_seed(0)
    images = blobs(64)
    masks = (images[:, 0] > 0.4).to(torch.uint8)
    moved, moved_masks = LightPairedAugmentation()(images, masks)
    assert moved_masks.dtype == torch.uint8 and moved_masks.shape == masks.shape
    seen = moved[:, 0] > 0.5 * moved.amax(dim=(1, 2, 3))[:, None, None]
    wanted = moved_masks.bool()
    overlap = 2 * (seen & wanted).sum(dim=(1, 2)) / (seen.sum(dim=(1, 2)) + wanted.sum(dim=(1, 2)))
    assert float(overlap.min()) > 0.97
    # and they did move
    still = 2 * (wanted & masks.bool()).sum(dim=(1, 2)) / (wanted.sum((1, 2)) + masks.sum((1, 2)))
    assert float(still.mean()) < 0.9


def test_class_numbers_and_planes_move_alike() -> None:
    images = torch.rand(8, 3, 32, 32)
    numbers = torch.randint(0, 4, (8, 32, 32), dtype=torch.uint8)
    planes = torch.stack([numbers == k for k in (1, 2, 3)], dim=1).to(torch.uint8)
    augmentation = LightPairedAugmentation()
    torch.manual_seed(5)
    moved, moved_numbers = augmentation(images, numbers)
    torch.manual_seed(5)
    again, moved_planes = augmentation(images, planes)
    assert torch.equal(moved, again)
    assert set(moved_numbers.unique().tolist()) <= {0, 1, 2, 3}
    for k in (1, 2, 3):
        assert torch.equal(moved_planes[:, k - 1].bool(), moved_numbers == k)


def test_draws_are_per_image_and_within_bounds() -> None:
    torch.manual_seed(0)
    images = blobs(400)
    moved, masks = LightPairedAugmentation()(images, (images[:, 0] > 0.4).to(torch.uint8))
    assert float(moved.min()) >= 0 and float(moved.max()) <= 1
    assert len({tuple(mask.flatten().tolist()) for mask in masks[:50]}) == 50
    line = torch.arange(64, dtype=torch.float32)
    area = masks.sum(dim=(1, 2)).float()
    x = (masks.sum(dim=1) * line).sum(dim=1) / area
    flipped = x > 31.5
    assert abs(float(flipped.float().mean()) - 0.5) < 0.08
    scale = (area / (images[0] > 0.4).sum()).sqrt()
    assert 0.88 < float(scale.min()) < 0.93 and 1.07 < float(scale.max()) < 1.12
    y = (masks.sum(dim=2) * line).sum(dim=1) / area
    x = torch.where(flipped, 63 - x, x)
    angle = torch.atan2(y - 31.5, x - 31.5) - torch.atan2(torch.tensor(-1.5), torch.tensor(-9.5))
    angle = torch.rad2deg(torch.atan2(angle.sin(), angle.cos()))
    assert 12 < float(angle.abs().max()) < 17


def test_the_seed_alone_decides() -> None:
    images, masks = torch.rand(4, 1, 32, 32), torch.randint(0, 2, (4, 32, 32), dtype=torch.uint8)
    augmentation = LightPairedAugmentation()
    torch.manual_seed(1)
    first = augmentation(images, masks)
    torch.manual_seed(1)
    second = augmentation(images, masks)
    assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])
