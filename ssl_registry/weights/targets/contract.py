"""What a target is given and gives, and how its outputs are checked before they are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from ssl_registry.errors import WeightsError
from ssl_registry.weights.card import Card
from ssl_registry.weights.read import Weights

TOLERANCE = 1e-4
"""Largest difference of outputs allowed, relative to the largest output or to 1."""

Part = Literal["encoder", "network"]


@dataclass(frozen=True)
class ExportOptions:
    """What can be chosen of an export.

    Attributes:
        part: The encoder alone, or the whole segmentation network; None: what the target takes.
        architecture: The target's name of the network, where it has several for the same one.
        image_size: Side of the images, px, where the target fixes it; None: that of the training.
        with_normalization: Whether the exported network normalises images itself, so that it
            takes them in [0, 1].
    """

    part: Part | None = None
    architecture: str | None = None
    image_size: int | None = None
    with_normalization: bool = False


@dataclass(frozen=True)
class Exported:
    """What a target has written into the folder.

    Attributes:
        card: Fields of the card that differ from those of the source.
        usage: Python that uses the folder `FOLDER`, for its README.
        tensors: The tensors in the file under the target's names; empty if it holds a program.
    """

    card: Mapping[str, Any]
    usage: str
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


class Exporter(Protocol):
    """`export` of a target's module."""

    def __call__(self, weights: Weights, folder: Path, options: ExportOptions) -> Exported:
        """Write the weights into `folder` as the target reads them, and check them.

        Raises:
            WeightsError: The target has no such network, or gives other outputs.
        """


ENCODER_ONLY: Mapping[str, Any] = {
    "content": "encoder",
    "decoder": None,
    "classes": (),
}
"""Fields of a card whose folder holds the encoder of a larger network."""


def example(card: Card, size: int | None = None, count: int = 2) -> Tensor:
    """Random images `[count, C, size, size]`, always the same."""
    side = card.image_size if size is None else size
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, card.channels, side, side, generator=generator)


def check_same(target: str, theirs: Sequence[Tensor], ours: Sequence[Tensor]) -> None:
    """Compare outputs within `TOLERANCE`.

    Raises:
        WeightsError: They differ; nothing is to be exported then.
    """
    for index, (their, our) in enumerate(zip(theirs, ours, strict=True)):
        if their.shape != our.shape:
            raise WeightsError(
                f"{target} gives output {index} of shape {list(their.shape)} where this library "
                f"gives {list(our.shape)}; nothing was exported"
            )
        difference = (their - our).abs().max().item()
        # NaN is no number that lies within a bound.
        if not difference <= TOLERANCE * max(1.0, our.abs().max().item()):
            raise WeightsError(
                f"output {index} of {target} differs from this library's by up to "
                f"{difference:.2g}; nothing was exported"
            )


def refuse(options: ExportOptions, target: str, *names: str) -> None:
    """Raise if one of the options `names` is set, because `target` has no use for it.

    Raises:
        WeightsError: It is set.
    """
    for name in names:
        if getattr(options, name):
            flag = name.replace("_", "-")
            raise WeightsError(f"--{flag} means nothing for {target}; leave it out")
