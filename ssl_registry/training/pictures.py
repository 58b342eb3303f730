"""Pictures for observers: what a pre-training sees, and how a fine-tuning outlines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_registry.data.load import LoadedData
from ssl_registry.evaluation.predictor import numbered
from ssl_registry.evaluation.segment import predicted_mask
from ssl_registry.interfaces.augmentation import Augmentation
from ssl_registry.report.colors import PREDICTIONS, TRUTH
from ssl_registry.report.contours import overlay, to_rgb
from ssl_registry.training.randomness import seed_torch

Picture = NDArray[np.uint8]

COUNT: Final = 4
"""Images that are shown, at most."""

_SIDE: Final = 256
"""Smaller images are enlarged by a whole factor to about this side in pixels."""


class ValidationPictures:
    """A few validation images, the same ones each time, with truth and prediction outlined.

    Args:
        data: The labelled dataset, cached with its masks.
        places: Places of the validation images; some with a lesion are chosen, if there are any.
        threshold: Probability above which a pixel is foreground.
    """

    def __init__(self, data: LoadedData, places: NDArray[np.int64], threshold: float) -> None:
        self._data, self._places, self._threshold = data, places, threshold
        self._chosen = self._choose()
        self._probabilities: dict[int, NDArray[np.float32]] = {}
        self._epoch = 0

    def _choose(self) -> NDArray[np.int64]:
        """Which of the places are shown: evenly spread over those with a lesion."""
        masks = self._data.cache.masks
        if masks is None or not len(self._places):
            return np.empty(0, dtype=np.int64)
        filled = np.asarray([place for place, p in enumerate(self._places) if masks[p].any()])
        among = filled if len(filled) else np.arange(len(self._places))
        return among[_evenly(len(among), COUNT)]

    def keep(self, epoch: int, part: slice, probabilities: NDArray[np.float32]) -> None:
        """Note what `epoch` gave for a part of the validation images, `[N, K, S, S]`."""
        if epoch != self._epoch:
            self._probabilities, self._epoch = {}, epoch
        for chosen in self._chosen.tolist():
            if part.start <= chosen < part.stop:
                self._probabilities[chosen] = probabilities[chosen - part.start].copy()

    def draw(self, epoch: int) -> dict[str, Picture]:
        """By name, each image beside itself with outlines; empty if `epoch` did not validate."""
        masks = self._data.cache.masks
        if masks is None or epoch != self._epoch:
            return {}
        exclusive = self._data.dataset.info.exclusive
        drawn = {}
        for chosen, probabilities in self._probabilities.items():
            place = self._places[chosen]
            predicted = predicted_mask(probabilities, self._threshold, exclusive)
            drawn[f"validation/{self._data.samples[place].id}"] = outlined(
                _picture(self._data.cache.images[place]),
                numbered(np.asarray(masks[place])),
                numbered(predicted),
            )
        return drawn


def outlined(image: Picture, truth: Picture, predicted: Picture) -> Picture:
    """An image `[H, W, 3]` beside itself with outlines of two masks `[H, W]` of class numbers.

    Bluish green is the truth, orange the prediction. Small images are enlarged.
    """
    factor = _factor(image)
    image, truth, predicted = (_enlarged(part, factor) for part in (image, truth, predicted))
    drawn = overlay(overlay(image, truth, TRUTH), predicted, PREDICTIONS[0])
    return np.concatenate([image, drawn], axis=1)


def view_pictures(augmentation: Augmentation, images: Tensor) -> dict[str, Picture]:
    """By name, each of some uint8 images `[N, C, H, W]` beside its views; draws no random number.

    The generators of torch are as before afterwards.
    """
    devices = [torch.cuda.current_device()] if images.is_cuda else []
    with torch.random.fork_rng(devices), torch.no_grad():
        seed_torch(0, "pictures")
        views = augmentation(images.float() / 255).images
    originals = images.cpu().numpy()
    return {
        f"views/{number + 1}": _side_by_side(
            [_picture(originals[number]), *(_picture(_stored(view[number])) for view in views)]
        )
        for number in range(len(originals))
    }


def shown_images(count: int) -> NDArray[np.int64]:
    """Places of the few among `count` images whose views are shown, evenly spread."""
    return _evenly(count, COUNT)


def _evenly(count: int, wanted: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64)


def _stored(view: Tensor) -> NDArray[np.uint8]:
    """A float view in [0, 1] as stored pixels."""
    pixels: NDArray[np.uint8] = (view.float().clamp(0, 1) * 255).round().byte().cpu().numpy()
    return pixels


def _picture(pixels: NDArray[np.uint8]) -> Picture:
    """Stored pixels `[1 or 3, H, W]` as RGB `[H, W, 3]`."""
    return to_rgb(pixels[0]) if len(pixels) == 1 else np.moveaxis(np.array(pixels), 0, -1)


def _factor(image: Picture) -> int:
    longest: int = max(image.shape[:2])
    return max(1, round(_SIDE / longest))


def _enlarged(pixels: Picture, factor: int) -> Picture:
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def _side_by_side(pictures: Sequence[Picture]) -> Picture:
    """Pictures in a row, the lower ones with black below them."""
    large = [_enlarged(picture, _factor(picture)) for picture in pictures]
    height = max(picture.shape[0] for picture in large)
    return np.concatenate(
        [np.pad(p, ((0, height - p.shape[0]), (0, 0), (0, 0))) for p in large], axis=1
    )
