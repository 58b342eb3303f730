"""What an augmentation is held to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ssl_registry.interfaces.augmentation import Augmentation, Views
from ssl_registry.registry import Found
from ssl_registry.testing.check import Rule, require
from ssl_registry.testing.images import blobs
from ssl_registry.testing.subject import Subject

SIZE, COUNT = 32, 8
_STORED = (40, 48)
"""Height and width of the images; an augmentation may be given any."""
_DRAWS = 4
"""Seeds that are tried: what is drawn may change an image rarely."""
_BRIGHT = 0.5
_NEAR = 2.0


class AugmentationBench(Subject):
    """An augmentation under check."""

    def build(self, channels: int) -> Augmentation:
        """The augmentation for views of 32 px."""
        built: Augmentation = self.factory()(
            config=self.config(), image_size=SIZE, channels=channels
        )
        return built

    def views(self, images: Tensor, seed: int = 0) -> Views:
        """Its views, drawn from `seed`."""
        augmentation = self.build(images.shape[1])
        torch.manual_seed(seed)
        views: Views = augmentation(images)
        return views


def subject(found: Found) -> AugmentationBench:
    """What the rules below take."""
    return AugmentationBench(found)


def _images(channels: int) -> Tensor:
    torch.manual_seed(11)
    return blobs(COUNT, channels, *_STORED)


def _shapes(bench: AugmentationBench) -> None:
    for channels in (1, 3):
        require(isinstance(bench.build(channels), Augmentation), "it is no Augmentation")
        views = bench.views(_images(channels))
        require(isinstance(views, Views), f"its forward gives a {type(views).__name__}, not Views")
        require(len(views.images) > 0, "it gives no view")
        for view in views.images:
            fits = view.ndim == 4 and view.shape[:2] == (COUNT, channels)
            wanted = f"[{COUNT}, {channels}, H, W]"
            require(fits, f"a view has the shape {list(view.shape)}, it must be {wanted}")
        side = views.images[0].shape[-1]
        require(side == SIZE, f"the first view is {side} px wide, image_size is {SIZE}")
        _require_extras(views)


def _require_extras(views: Views) -> None:
    for name in ("transforms", "masks"):
        extra = getattr(views, name)
        equal = extra is None or len(extra) == len(views.images)
        require(equal, f"{name} are not as many as the views")
    for matrix in views.transforms or ():
        fits = matrix.shape == (COUNT, 3, 3) and bool(matrix.isfinite().all())
        require(fits, f"a transform has the shape {list(matrix.shape)}, or is not finite")


def _ranges(bench: AugmentationBench) -> None:
    for channels in (1, 3):
        for images in (_images(channels), torch.zeros(COUNT, channels, *_STORED)):
            given = images.clone()
            for view in bench.views(images).images:
                require(view.dtype == torch.float32, f"a view is {view.dtype}")
                low, high = float(view.min()), float(view.max())
                inside = low >= 0 and high <= 1
                require(inside, f"the values of a view lie in {low:.3f} to {high:.3f}")
            require(torch.equal(images, given), "it changes the images it is given")


def _each_image(bench: AugmentationBench) -> None:
    copies = _images(1)[:1].expand(COUNT, -1, -1, -1)
    drawn = [bench.views(copies.clone(), seed).images for seed in range(_DRAWS)]
    for number, views in enumerate(zip(*drawn, strict=True), start=1):
        alike = all(torch.equal(view, view[:1].expand_as(view)) for view in views)
        # A view in which nothing is drawn, such as the image itself, is alike in every draw.
        fixed = all(torch.equal(view, views[0]) for view in views)
        require(
            fixed or not alike,
            f"{COUNT} times the same image give {COUNT} equal views number {number}, others in "
            "the next batch",
        )


def _views_differ(bench: AugmentationBench) -> None:
    images = _images(1)
    drawn = [bench.views(images, seed).images for seed in range(_DRAWS)]
    for number, pairs in enumerate(zip(*map(pairwise, drawn), strict=True), start=1):
        differ = any(not torch.equal(first, second) for first, second in pairs)
        require(differ, f"views {number} and {number + 1} of all images are equal")


def _seed(bench: AugmentationBench) -> None:
    images = _images(1)
    first, *others = (bench.views(images, seed).images for seed in range(_DRAWS))
    again = bench.views(images, seed=0).images
    require(_equal(first, again), "the same seed gives other views")
    same = all(_equal(first, other) for other in others)
    require(not same, "another seed gives the same views")


def _equal(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def _alignment(bench: AugmentationBench) -> None:
    views = bench.views(_images(1))
    for view, mask in zip(views.images, views.masks or (), strict=False):
        fits = mask.shape[0] == COUNT and mask.shape[-2:] == view.shape[-2:]
        require(fits, f"masks of shape {list(mask.shape)} for a view of {list(view.shape)}")
    if views.transforms is None or views.source is None:
        return
    for view, matrix in zip(views.images, views.transforms, strict=True):
        distances = sorted(_distances(views.source, view, matrix))
        if distances:  # of the middle one: a disc may be cut off or blurred away
            middle = distances[len(distances) // 2]
            require(middle <= _NEAR, f"what `transforms` say is {middle:.1f} px beside the view")


def _distances(source: Tensor, view: Tensor, matrix: Tensor) -> Iterator[float]:
    """Per image, how far its disc in the view is from where the matrix moves it, px."""
    for before, after, move in zip(source, view, matrix, strict=True):
        there, here = _centre(before), _centre(after)
        if there is not None and here is not None:
            moved = move.float() @ torch.tensor([*there, 1.0])
            expected = moved[:2] / moved[2]
            inside = bool(((expected > 4) & (expected < min(view.shape[-2:]) - 4)).all())
            if inside:
                yield float((expected - torch.tensor(here)).norm())


def _centre(image: Tensor) -> tuple[float, float] | None:
    """The x and y of what is bright in `[C, H, W]`, if anything is."""
    gray = image.float().mean(dim=0)
    level = float(gray.min() + _BRIGHT * (gray.max() - gray.min()))
    y, x = torch.nonzero(gray > level, as_tuple=True)
    return (float(x.float().mean()), float(y.float().mean())) if len(x) else None


RULES: tuple[Rule[AugmentationBench], ...] = (
    Rule(
        "shapes",
        "Views are [N, channels, H, W], the first one image_size px wide, for 1 and 3 channels.",
        "Return Views(images=(...)) with the number of channels that came in.",
        _shapes,
    ),
    Rule(
        "ranges",
        "Values are float32 and stay in [0, 1]; the images that came in are left alone.",
        "End with clamp(0, 1), and work on a copy.",
        _ranges,
    ),
    Rule(
        "each_image",
        "Each image of a batch has its own draws.",
        "Draw one value per image (kornia does with same_on_batch=False).",
        _each_image,
    ),
    Rule(
        "views_differ",
        "The views of an image differ from each other.",
        "Draw anew for each view, or give a single one.",
        _views_differ,
    ),
    Rule(
        "seed",
        "The same seed of torch gives the same views, another seed others.",
        "Draw from torch's global generator only, not from random or numpy.",
        _seed,
    ),
    Rule(
        "alignment",
        "Masks have the size of their view, and transforms say where each pixel went.",
        "Apply the same draws to masks, and give the 3x3 matrices from source to view pixels.",
        _alignment,
    ),
)
