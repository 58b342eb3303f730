"""Supervised segmentation: cross entropy and soft Dice over labelled images."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from ssl_registry import (
    ConfigError,
    ParameterGroup,
    SegmentationBatch,
    SegmentationNetwork,
    StepOutput,
    Task,
    TaskContext,
    decay_groups,
)
from ssl_registry.augment import LightPairedAugmentation
from ssl_registry.nn import foreground_probabilities, output_count
from ssl_registry_supervised.config import SupervisedConfig
from ssl_registry_supervised.loss import soft_dice_loss


class Supervised(Task):
    """bce_weight * (binary) cross entropy + dice_weight * soft Dice loss.

    One class, or classes that overlap: sigmoid outputs and binary cross entropy. Several
    exclusive classes: softmax with the background as output 0, cross entropy, and Dice over the
    foreground classes. Losses are computed in fp32, also under autocast.

    The encoder may be frozen, with its BatchNorm statistics, for the first part of the run or
    all of it, and may learn at a lower rate than the decoder (Howard and Ruder 2018, sections 3.2
    and 3.3: discriminative fine-tuning and gradual unfreezing).

    Raises:
        ConfigError: The network's outputs do not fit the classes.
    """

    def __init__(
        self, network: SegmentationNetwork, config: SupervisedConfig, context: TaskContext
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self._classes = len(context.classes)
        outputs = output_count(self._classes, context.exclusive)
        if self._classes == 0:
            raise ConfigError("supervised needs a dataset with masks; this one declares no classes")
        if network.head.out_channels != outputs:
            raise ConfigError(
                f"supervised needs a network with {outputs} outputs for the classes "
                f"{', '.join(context.classes)}, but this one has {network.head.out_channels}"
            )
        self._softmax = outputs > self._classes
        self._augmentation = LightPairedAugmentation() if config.augment == "light" else None
        self._frozen_steps = math.ceil(config.freeze_encoder * context.total_steps)
        # What was frozen before stays so.
        self._thawed = [p for p in network.backbone.parameters() if p.requires_grad]
        # Parameters that need no gradient when the run begins are not optimised at all.
        self._thaw(config.freeze_encoder < 1)

    def parameter_groups(self) -> Iterator[ParameterGroup]:
        """The encoder's parameters at its own rate, then the decoder's and the head's."""
        backbone, decoder, head = self.network.backbone, self.network.decoder, self.network.head
        yield from decay_groups(backbone.parameters(), rate_scale=self.config.encoder_rate)
        yield from decay_groups(itertools.chain(decoder.parameters(), head.parameters()))

    def before_step(self, step: int) -> None:
        """Freeze or thaw the encoder, as is due at `step`."""
        frozen = step < self._frozen_steps
        self._thaw(not frozen)
        if frozen:
            self.network.backbone.eval()

    def _thaw(self, learning: bool) -> None:
        for parameter in self._thawed:
            parameter.requires_grad_(learning)

    def augment(self, batch: SegmentationBatch) -> SegmentationBatch:
        """Move images and masks alike, and vary brightness, if the config says `light`."""
        if self._augmentation is None:
            return batch
        return SegmentationBatch(*self._augmentation(batch.images, batch.masks))

    def forward(self, labelled: SegmentationBatch, unlabelled: Tensor | None) -> StepOutput:
        """The loss over a labelled batch; `unlabelled` images are not used."""
        logits = self.network(labelled.images)  # [N, outputs, H, W]
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            targets = self._planes(labelled.masks)  # [N, K, H, W]
            if self._softmax:
                entropy = F.cross_entropy(logits, labelled.masks.long())
            else:
                entropy = F.binary_cross_entropy_with_logits(logits, targets)
            dice = soft_dice_loss(
                foreground_probabilities(logits, self._classes),
                targets,
                self.config.dice,
                self.config.smooth,
            )
            loss = self.config.bce_weight * entropy + self.config.dice_weight * dice
        name = "ce" if self._softmax else "bce"
        return StepOutput(loss, {name: entropy.detach(), "dice_loss": dice.detach()})

    def _planes(self, masks: Tensor) -> Tensor:
        """One plane of 0 and 1 per class, fp32 `[N, K, H, W]`."""
        if masks.ndim == 4:
            return masks.float()
        numbers = torch.arange(1, self._classes + 1, device=masks.device, dtype=masks.dtype)
        return (masks[:, None] == numbers[:, None, None]).float()
