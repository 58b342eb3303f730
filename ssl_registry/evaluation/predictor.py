"""A segmentation network with all that leads from stored pixels to probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ssl_registry.data.load import LoadedData
from ssl_registry.data.reading import read_image, read_mask
from ssl_registry.evaluation.portions import portions
from ssl_registry.evaluation.segment import predicted_mask, resize_probabilities
from ssl_registry.evaluation.table import EvaluatedImage
from ssl_registry.nn.normalization import Normalize
from ssl_registry.nn.segmentation import SegmentationNetwork, foreground_probabilities
from ssl_registry.report.gallery import GalleryItem
from ssl_registry.training.device import Execution

BATCH = 64
"""So many images at a time, or fewer if they are large."""


class Predictor:
    """Gives foreground probabilities of uint8 images."""

    def __init__(
        self,
        network: SegmentationNetwork,
        normalize: Normalize,
        classes: int,
        execution: Execution,
    ) -> None:
        self._network, self._classes, self._execution = network, classes, execution
        self._normalize = normalize.to(execution.device)

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Foreground probabilities `[N, K, S, S]` of images `[N, C, S, S]`, in batches."""
        places = np.arange(len(images))
        return np.concatenate([part for _, part in self.portions(images, places)])

    def portions(
        self, images: NDArray[np.uint8], places: NDArray[np.int64]
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Probabilities of the images at `places`, some at a time, so that no more are held.

        The network is in eval mode for each portion, and afterwards in the mode it was in.

        Yields:
            Which of the places, and their probabilities `[B, K, S, S]`.
        """
        for part in portions(len(places), BATCH, images.shape[-1]):
            was_training = self._network.training
            self._network.eval()
            try:
                probabilities = self._batch(images[places[part]])
            finally:
                self._network.train(was_training)
            yield part, probabilities

    def _batch(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            batch = torch.from_numpy(np.array(images)).to(self._execution.device)
            normalized = self._normalize(batch.float() / 255)
            with self._execution.autocast():
                logits = self._network(normalized)
            result: NDArray[np.float32] = (
                foreground_probabilities(logits, self._classes).cpu().numpy()
            )
        return result


def evaluated_images(
    data: LoadedData, places: NDArray[np.int64], probabilities: Iterable[NDArray[np.float32]]
) -> Iterator[EvaluatedImage]:
    """Each image's prediction with its truth at training size and, read afresh, at native size.

    Args:
        data: The dataset, cached with its masks.
        places: Which samples.
        probabilities: Of each of them, `[K, S, S]`; may be a generator.
    """
    if data.cache.masks is None:
        return
    for place, probability in zip(places, probabilities, strict=True):
        sample = data.samples[place]
        yield EvaluatedImage(
            id=sample.id,
            label=sample.label,
            group=sample.group,
            probabilities=probability,
            mask=np.array(data.cache.masks[place]),
            native_mask=read_mask(data.dataset, sample),
        )


def gallery_items(
    data: LoadedData,
    places: Sequence[int],
    predictions: dict[str, dict[int, NDArray[np.float32]]],
    dice: dict[str, dict[str, float]],
    threshold: float,
) -> list[GalleryItem]:
    """Images at native size with their truth and the predictions of one or several arms.

    Args:
        data: The dataset.
        places: Which samples.
        predictions: By arm and place, probabilities `[K, S, S]`.
        dice: By arm and sample id, the Dice to print.
        threshold: Probability above which a pixel is foreground.
    """
    info = data.dataset.info
    items = []
    for place in places:
        sample = data.samples[place]
        image, truth = read_image(data.dataset, sample), read_mask(data.dataset, sample)
        if truth is None:
            continue
        size = (truth.shape[-2], truth.shape[-1])
        masks = {
            arm: predicted_mask(
                resize_probabilities(by_place[place], size), threshold, info.exclusive
            )
            for arm, by_place in predictions.items()
        }
        items.append(
            GalleryItem(
                id=sample.id,
                label=sample.label,
                image=image,
                truth=numbered(truth),
                predictions={arm: numbered(mask) for arm, mask in masks.items()},
                dice={arm: scores[sample.id] for arm, scores in dice.items()},
            )
        )
    return items


def numbered(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One plane of class numbers; where classes overlap, the last one shows."""
    if mask.ndim == 2:
        return mask
    numbers = np.arange(1, len(mask) + 1, dtype=np.uint8)[:, None, None]
    shown: NDArray[np.uint8] = (mask * numbers).max(axis=0)
    return shown
