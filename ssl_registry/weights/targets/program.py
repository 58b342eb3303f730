"""The network as a program: a module of images alone, for targets that record its operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ssl_registry.errors import WeightsError
from ssl_registry.nn.normalization import Normalize
from ssl_registry.nn.segmentation import output_count
from ssl_registry.weights.card import MAX_IMAGE_SIZE, Card
from ssl_registry.weights.networks import backbone_of, network_of
from ssl_registry.weights.read import Weights
from ssl_registry.weights.targets.contract import ENCODER_ONLY, ExportOptions, example, refuse


class Program(nn.Module):
    """A network that may normalise its images itself."""

    def __init__(self, network: nn.Module, normalize: Normalize | None) -> None:
        super().__init__()
        self.normalize = normalize
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Its output or outputs."""
        outputs = self.network(images if self.normalize is None else self.normalize(images))
        return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


@dataclass(frozen=True)
class Recording:
    """What is recorded, and by what it is checked.

    Attributes:
        program: The module, in eval mode.
        names: Names of its outputs.
        example: Images `[2, C, H, W]` to record it with.
        checks: Batches of other sizes.
        card: Fields of the card that differ.
    """

    program: Program
    names: tuple[str, ...]
    example: Tensor
    checks: tuple[Tensor, ...]
    card: Mapping[str, Any]

    def outputs(self, images: Tensor) -> tuple[Tensor, ...]:
        """What the program itself gives."""
        with torch.inference_mode():
            outputs: tuple[Tensor, ...] = self.program(images)
        return outputs


def recording(weights: Weights, options: ExportOptions, target: str) -> Recording:
    """The network of a segmentation folder, or the encoder of any.

    Raises:
        WeightsError: A network is asked for and there is none, or the images are too small.
    """
    refuse(options, target, "architecture")
    card, size = weights.card, options.image_size or weights.card.image_size
    if size > MAX_IMAGE_SIZE:
        raise WeightsError(f"{size} px are too many; the side is {MAX_IMAGE_SIZE} px at most")
    part = options.part or ("network" if card.content == "segmentation" else "encoder")
    normalize = Normalize(card.mean, card.std) if options.with_normalization else None
    if part == "network":
        network: nn.Module = network_of(weights)
        names: tuple[str, ...] = ("logits",)
        changed: Mapping[str, Any] = {}
    else:
        network = backbone = backbone_of(weights)
        names = tuple(f"features_{reduction}" for reduction in backbone.reductions)
        changed = ENCODER_ONLY
    program = Program(network, normalize).eval()
    made = Recording(
        program=program,
        names=names,
        example=example(card, size),
        checks=(example(card, size, 1), example(card, size, 3)),
        card={**changed, "image_size": size, **normalization_left(weights, options)},
    )
    try:
        made.outputs(made.checks[0])
    except (RuntimeError, ValueError) as error:
        raise WeightsError(f"the network takes no images of {size}x{size} px: {error}") from error
    return made


def normalization_left(weights: Weights, options: ExportOptions) -> dict[str, tuple[float, ...]]:
    """What whoever uses the program has to apply to images in [0, 1]: nothing if it does it."""
    card = weights.card
    if options.with_normalization:
        return {"mean": (0.0,) * card.channels, "std": (1.0,) * card.channels}
    return {"mean": card.mean, "std": card.std}


def described(weights: Weights, made: Recording, options: ExportOptions) -> dict[str, str]:
    """What travels inside the file: enough to use it, and to find the card again."""
    card = weights.card.model_copy(update=dict(made.card))
    return {
        "made_by": "ssl_registry",
        "digest": card.digest,
        "licence": card.licence or "",
        "mean": ",".join(map(repr, card.mean)),
        "std": ",".join(map(repr, card.std)),
        "images": "in [0, 1]" if options.with_normalization else "normalised",
        **(_segmentation(card) if card.content == "segmentation" else {}),
    }


def _segmentation(card: Card) -> dict[str, str]:
    """What the logits of a segmentation network mean, channel by channel."""
    background = output_count(len(card.classes), card.exclusive) > len(card.classes)
    return {
        "classes": ",".join(card.classes),
        "output_channels": ",".join([*(["background"] if background else []), *card.classes]),
        "exclusive": "true" if card.exclusive else "false",
        "threshold": repr(card.threshold),
    }


def input_comment(options: ExportOptions, size: int, channels: int) -> str:
    """What the program takes, as a comment of its usage."""
    kind = "in [0, 1]" if options.with_normalization else "normalised as config.json says"
    return f"float32 [N, {channels}, {size}, {size}], {kind}"
