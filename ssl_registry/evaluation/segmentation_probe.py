"""A linear map from frozen features to masks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ssl_registry.config.probes import SegmentationProbeConfig
from ssl_registry.config.split import Part
from ssl_registry.evaluation.bootstrap import ImageScores, plain_scores
from ssl_registry.evaluation.probes import Probe, ProbeInput
from ssl_registry.evaluation.segment import predicted_planes, truth_planes
from ssl_registry.nn.segmentation import foreground_probabilities, output_count
from ssl_registry.nn.trunk import Trunk

FINEST = 64
"""Feature maps of more pixels a side are pooled to this: they would not fit into memory."""

_THRESHOLD = 0.5
_AT_ONCE = 64

Pyramid = list[Tensor]


class SegmentationProbe(Probe):
    """Dice over lesions of a linear map from every level of the feature pyramid.

    Each level is standardised per channel, mapped by a 1x1 convolution, and enlarged bilinearly;
    the logits of the levels are added. Of a trunk with a decoder its map is a level too.
    """

    main_score = "dice/lesion"
    config: SegmentationProbeConfig

    def __init__(self, config: SegmentationProbeConfig, given: ProbeInput) -> None:
        super().__init__(config, given, masks=True)
        self._train = self._masked("train")
        # A lesion may vanish when its mask is shrunk; an image without one has no Dice.
        scored = self._masked(config.part)
        masks = self._masks(scored)
        self._scored = scored[masks.any(axis=tuple(range(1, masks.ndim)))]
        for part, places in (("train", self._train), (config.part, self._scored)):
            if not len(places):
                raise self._wrong(
                    f"no image of the part {part} has a mask with a lesion at "
                    f"{given.image_size} px; name a dataset with masks, or another split"
                )
        info = self.data.dataset.info
        self._classes, self._exclusive = len(info.classes), info.exclusive

    def measure(self, trunk: Trunk) -> dict[str, ImageScores]:
        """Dice of each scored image with a lesion, averaged over its classes."""
        train, scored = self._features(trunk, self._train), self._features(trunk, self._scored)
        statistics = [(level.float().mean((0, 2, 3)), _deviation(level)) for level in train]
        with torch.random.fork_rng([]):
            torch.manual_seed(self._given.seed)
            head = LinearMasks(
                statistics,
                output_count(self._classes, self._exclusive),
                self._given.image_size,
            )
            self._fit(head, train)
        return {self.main_score: plain_scores(self._dice(head, scored))}

    @property
    def facts(self) -> dict[str, object]:
        """Images and classes."""
        return {
            "train_images": len(self._train),
            "part": self.config.part,
            "images": len(self._scored),
            "classes": list(self.data.dataset.info.classes),
        }

    def _masked(self, part: Part) -> NDArray[np.int64]:
        places = [p for p in self.data.places([part]) if self.data.samples[p].has_mask]
        return np.asarray(places, dtype=np.int64)

    def _masks(self, places: NDArray[np.int64]) -> NDArray[np.uint8]:
        if self.data.cache.masks is None:
            raise self._wrong("it was loaded without its masks")
        return np.asarray(self.data.cache.masks[places])

    def _features(self, trunk: Trunk, places: NDArray[np.int64]) -> Pyramid:
        """Levels fp16 `[N, c, h, w]` on the CPU."""
        images = self.data.cache.images[places]
        batches = self._given.reader.outputs(trunk, lambda x: _levels(trunk, x), images)
        return [torch.cat(level) for level in zip(*batches, strict=True)]

    def _fit(self, head: LinearMasks, train: Pyramid) -> None:
        """Adam on cross-entropy plus soft Dice, with a cosine to a rate of 0."""
        config = self.config
        masks = torch.from_numpy(self._masks(self._train))
        optimizer = torch.optim.Adam(head.parameters(), lr=config.learning_rate)
        generator = np.random.default_rng(self._given.seed)
        size = min(config.batch_size, len(masks))
        order = np.empty(0, dtype=np.int64)
        with torch.enable_grad():
            for step in range(config.steps):
                if len(order) < size:
                    order = generator.permutation(len(masks)).astype(np.int64)
                chosen, order = torch.from_numpy(order[:size]), order[size:]
                cosine = (1 + math.cos(math.pi * step / config.steps)) / 2
                optimizer.param_groups[0]["lr"] = config.learning_rate * cosine
                logits = head([level[chosen] for level in train])
                loss = mask_loss(logits, masks[chosen], self._classes)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()

    @torch.no_grad()
    def _dice(self, head: LinearMasks, scored: Pyramid) -> NDArray[np.float64]:
        parts = zip(*(torch.split(level, _AT_ONCE) for level in scored), strict=True)
        probabilities = torch.cat(
            [foreground_probabilities(head(list(part)), self._classes) for part in parts]
        ).numpy()
        truths = self._masks(self._scored)
        return np.asarray(
            [self._image_dice(p, t) for p, t in zip(probabilities, truths, strict=True)]
        )

    def _image_dice(self, probabilities: NDArray[np.float32], mask: NDArray[np.uint8]) -> float:
        """Mean Dice over the classes that the truth shows."""
        predicted = predicted_planes(probabilities, _THRESHOLD, self._exclusive)
        truth = truth_planes(mask, self._classes)
        shown = truth.any(axis=(1, 2))
        overlap = (predicted & truth).sum(axis=(1, 2))
        total = predicted.sum(axis=(1, 2)) + truth.sum(axis=(1, 2))
        return float((2 * overlap[shown] / total[shown]).mean())


class LinearMasks(nn.Module):
    """Logits `[N, outputs, size, size]` as a linear map of feature maps.

    Args:
        statistics: Mean and standard deviation `[c]` of each level.
        outputs: How many logits a pixel has.
        size: Side of the masks, px.
    """

    def __init__(
        self, statistics: Sequence[tuple[Tensor, Tensor]], outputs: int, size: int
    ) -> None:
        super().__init__()
        self._statistics = [(m[:, None, None], d[:, None, None]) for m, d in statistics]
        self._size = (size, size)
        self.maps = nn.ModuleList(nn.Conv2d(len(m), outputs, 1) for m, _ in statistics)
        for layer in self.maps.children():
            # Logits of 0 at first, whatever the features.
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    def forward(self, levels: Pyramid) -> Tensor:
        """Logits of levels fp16 or fp32 `[N, c, h, w]`."""
        logits = [
            F.interpolate(layer((level.float() - mean) / deviation), self._size, mode="bilinear")
            for layer, level, (mean, deviation) in zip(
                self.maps, levels, self._statistics, strict=True
            )
        ]
        return torch.stack(logits).sum(dim=0)


def mask_loss(logits: Tensor, masks: Tensor, classes: int) -> Tensor:
    """Cross-entropy plus one minus soft Dice over the batch, a scalar.

    Args:
        logits: `[N, outputs, S, S]`, one more output than classes for a softmax.
        masks: uint8 `[N, S, S]` of class numbers, or `[N, K, S, S]` of planes.
        classes: K.
    """
    if masks.ndim == 4:
        truth = masks.float()
    else:
        numbers = torch.arange(1, classes + 1, dtype=masks.dtype)
        truth = (masks[:, None] == numbers[:, None, None]).float()  # [N, K, S, S]
    if logits.shape[1] > classes:
        entropy = F.cross_entropy(logits, masks.long())
    else:
        entropy = F.binary_cross_entropy_with_logits(logits, truth)
    probabilities = foreground_probabilities(logits, classes)
    axes = (0, 2, 3)
    overlap = 2 * (probabilities * truth).sum(axes) + 1
    dice = overlap / (probabilities.sum(axes) + truth.sum(axes) + 1)
    return entropy + 1 - dice.mean()


def _levels(trunk: Trunk, images: Tensor) -> Pyramid:
    features: list[Tensor] = trunk.backbone(images)
    levels = list(features)
    if trunk.decoder is not None:
        levels.append(trunk.decoder(features, (images.shape[-2], images.shape[-1])))
    return [_pooled(level.float()).half().cpu() for level in levels]


def _pooled(level: Tensor) -> Tensor:
    side = max(level.shape[-2:])
    return level if side <= FINEST else F.adaptive_avg_pool2d(level, FINEST)


def _deviation(level: Tensor) -> Tensor:
    """Standard deviation per channel; 1 where nothing varies."""
    deviation = level.float().std((0, 2, 3), correction=0)
    return torch.where(deviation > 1e-5, deviation, torch.ones_like(deviation))
