"""Each check of an augmentation catches the augmentation that is wrong in just that."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_registry import Augmentation, Views

Failures = Callable[..., dict[str, str]]


class Right(Augmentation):
    """Two views: resized, shifted by whole pixels, brightened and noisy."""

    def __init__(self, config: object, image_size: int, channels: int) -> None:
        super().__init__()
        self.size = image_size

    def forward(self, images: Tensor) -> Views:
        source = F.interpolate(images, size=(self.size, self.size))
        (first, move), (second, other) = self.view(source), self.view(source)
        return Views((first, second), source, (move, other), (first[:, 0], second[:, 0]))

    def view(self, source: Tensor) -> tuple[Tensor, Tensor]:
        shifts = torch.randint(-4, 5, (len(source), 2))
        pairs = zip(source, shifts.tolist(), strict=True)
        moved = torch.stack([image.roll((y, x), (1, 2)) for image, (x, y) in pairs])
        matrices = torch.eye(3).repeat(len(source), 1, 1)
        matrices[:, :2, 2] = shifts.float()
        return self.paint(moved), matrices

    def paint(self, view: Tensor) -> Tensor:
        return (view + 0.05 * torch.randn_like(view)).clamp(0, 1)


class GrayViews(Right):
    def paint(self, view: Tensor) -> Tensor:
        return super().paint(view[:, :1])


class OtherSize(Right):
    def __init__(self, config: object, image_size: int, channels: int) -> None:
        super().__init__(config, image_size + 1, channels)


class MissingTransform(Right):
    def forward(self, images: Tensor) -> Views:
        views = super().forward(images)
        return Views(views.images, views.source, (torch.eye(3).repeat(len(images), 1, 1),))


class BeyondOne(Right):
    def paint(self, view: Tensor) -> Tensor:
        return super().paint(view) * 1.2


class InPlace(Right):
    def forward(self, images: Tensor) -> Views:
        return super().forward(images.mul_(0.9))


class OneDrawForAll(Right):
    def view(self, source: Tensor) -> tuple[Tensor, Tensor]:
        same = (source + 0.05 * torch.randn_like(source[:1])).clamp(0, 1)
        return same, torch.eye(3).repeat(len(source), 1, 1)


class EqualViews(Right):
    def forward(self, images: Tensor) -> Views:
        first = super().forward(images).images[0]
        return Views((first, first))


class Numpy(Right):
    def paint(self, view: Tensor) -> Tensor:
        noise = np.random.default_rng().normal(0, 0.05, view.shape)
        return (view + torch.from_numpy(noise).float()).clamp(0, 1)


class NothingDrawn(Right):
    def forward(self, images: Tensor) -> Views:
        source = F.interpolate(images, size=(self.size, self.size))
        return Views((source, source.flip(3)))


class TransformsOfNothing(Right):
    def forward(self, images: Tensor) -> Views:
        views = super().forward(images)
        shifted = torch.eye(3).repeat(len(images), 1, 1)
        shifted[:, 0, 2] = 9
        return Views(views.images, views.source, (shifted, shifted))


class LargeMasks(Right):
    def forward(self, images: Tensor) -> Views:
        views = super().forward(images)
        return Views(views.images, masks=(images[:, 0], images[:, 0]))


def test_a_right_augmentation_passes(failures: Failures) -> None:
    assert failures("augmentation", Right) == {}


@pytest.mark.parametrize(
    ("augmentation", "check", "told"),
    [
        (GrayViews, "shapes", "[8, 1, 32, 32], it must be [8, 3, H, W]"),
        (OtherSize, "shapes", "33 px wide"),
        (MissingTransform, "shapes", "transforms are not as many"),
        (BeyondOne, "ranges", "lie in 0.000 to 1.1"),
        (InPlace, "ranges", "changes the images"),
        (OneDrawForAll, "each_image", "8 equal views number 1"),
        (EqualViews, "views_differ", "views 1 and 2 of all images are equal"),
        (Numpy, "seed", "the same seed gives other views"),
        (NothingDrawn, "seed", "another seed gives the same views"),
        (TransformsOfNothing, "alignment", "px beside the view"),
        (LargeMasks, "alignment", "[8, 40, 48]"),
    ],
)
def test_a_wrong_augmentation_is_caught(
    failures: Failures, augmentation: type[Augmentation], check: str, told: str
) -> None:
    found = failures("augmentation", augmentation)
    assert check in found
    assert told in found[check]
