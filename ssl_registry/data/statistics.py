"""What a dataset's images and masks are like: sizes, brightness, areas, and what vanishes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from ssl_registry.data.reading import class_planes, read_image, read_mask
from ssl_registry.data.resize import shrink_mask
from ssl_registry.errors import DataError
from ssl_registry.interfaces.dataset import Dataset, Image, Mask, Sample
from ssl_registry.progress import track

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, str | int | float | bool | None]


def image_statistics(
    dataset: Dataset, samples: Sequence[Sample], sizes: Sequence[int]
) -> pd.DataFrame:
    """A row per readable sample, in their order.

    Columns: `id`, `label`, `width` and `height` (px), `mean` and `sd` of its luma (0 to 255),
    `black` (share of pixels that are 0); and for samples with a mask, by class: `area/CLASS`
    (share of the image, NaN where the class is absent) and `lost/CLASS@SIZE` (whether none of
    its pixels is left when the mask is shrunk to a square of SIZE).

    Args:
        dataset: Reads the images and masks, in several threads.
        samples: The samples to look at.
        sizes: Sides of the squares, px, at which masks may vanish.

    Raises:
        DataError: A file cannot be read, unless the dataset's config skips such.
    """
    import pandas as pd

    def row(sample: Sample) -> Row | None:
        try:
            image = read_image(dataset, sample)
            mask = read_mask(dataset, sample) if sample.has_mask else None
        except DataError:
            if not dataset.config.skip_unreadable:
                raise
            return None
        return {
            "id": sample.id,
            "label": sample.label,
            **_of_image(image),
            **({} if mask is None else _of_mask(mask, dataset.info.classes, sizes)),
        }

    title = f"reading {dataset.config.name}"
    with ThreadPoolExecutor() as pool, track(title, len(samples), unit="image") as bar:
        rows: list[Row] = []
        try:
            for found in pool.map(row, samples):
                bar.advance()
                if found is not None:
                    rows.append(found)
        finally:
            pool.shutdown(cancel_futures=True)
    if not rows:
        raise DataError(f"no image of {dataset.config.name!r} can be read")
    return pd.DataFrame(rows)


def _of_image(image: Image) -> Row:
    luma = image if image.ndim == 2 else image @ np.array([0.299, 0.587, 0.114])
    return {
        "width": image.shape[1],
        "height": image.shape[0],
        "mean": float(luma.mean()),
        "sd": float(luma.std()),
        "black": float((luma == 0).mean()),
    }


def _of_mask(mask: Mask, classes: Sequence[str], sizes: Sequence[int]) -> Row:
    row: Row = {}
    planes = class_planes(mask, len(classes))
    small = {size: shrink_mask(mask, size, len(classes)) for size in sizes}
    for number, (name, plane) in enumerate(zip(classes, planes, strict=True)):
        area = float(np.asarray(plane, bool).mean())
        if area == 0:
            continue
        row[f"area/{name}"] = area
        for size, shrunk in small.items():
            left = shrunk[number] if shrunk.ndim == 3 else shrunk == number + 1
            row[f"lost/{name}@{size}"] = not left.any()
    return row
