"""The card of an exchange folder: what the weights are and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from ssl_registry.config.mistakes import describe
from ssl_registry.config.strict import StrictModel
from ssl_registry.errors import RunError, WeightsError
from ssl_registry.files import read_json

CARD = "ssl_registry.json"
TENSORS: Final = "model.safetensors"
MAX_CARD_BYTES = 2**24
"""A longer card is not read: a run's record takes a few kilobytes."""
MAX_DEPTH = 64
"""A card nested more deeply is not taken: whatever walks through it must come to an end."""
MAX_IMAGE_SIZE = 2**11
"""A card of larger images, px, is not taken: no run has them, and they could fill the memory."""

Content = Literal["encoder", "encoder_decoder", "segmentation"]
Target = Literal["timm", "torchvision", "smp", "onnx", "torch-export"]
File = Literal["model.safetensors", "model.onnx", "model.pt2"]


class Card(StrictModel):
    """`ssl_registry.json`.

    Attributes:
        format: Version of this layout.
        content: Which parts `model.safetensors` holds.
        backbone: The backbone component's resolved config.
        decoder: The decoder component's, if it is inside.
        channels: Channels of the images the network takes.
        gray: Whether images are reduced to luma first (and repeated for three channels).
        image_size: Side of the images it was trained on, px.
        mean: Normalisation of images in [0, 1], per channel; and `std`.
        classes: Names of the foreground classes of a segmentation network.
        exclusive: Whether a pixel belongs to at most one class.
        threshold: Probability above which a pixel is foreground.
        library: The library whose own keys and `config.json` the folder holds; `ssl_registry`
            where only this library can build the network.
        architecture: That library's name of the network.
        licence: Licence of the weights, such as an SPDX name; None: whoever made them did not
            state one. It is asked for at export, never guessed.
        file: The file that holds the weights.
        target: What the folder was exported for, if only that can load it.
        sha256: Digest of `file`.
        digest: Digest of the tensors themselves, whatever their order in the file.
        exported_from: `digest` of the folder these weights were exported from, if they were.
        run: The record of the run that made the weights: config, components, data, environment.
        summary: Steps, epochs, losses, scores.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: Literal[1] = 1
    content: Content
    backbone: dict[str, Any]
    decoder: dict[str, Any] | None = None
    channels: Literal[1, 3]
    gray: bool
    image_size: int = Field(ge=1, le=MAX_IMAGE_SIZE)
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...] = ()
    exclusive: bool = True
    threshold: float = Field(default=0.5, ge=0, le=1)
    library: str = "ssl_registry"
    architecture: str = ""
    licence: str | None = None
    file: File = TENSORS
    target: Target | None = None
    sha256: str
    digest: str = ""
    exported_from: str = ""
    run: Mapping[str, Any] = Field(default_factory=dict)
    summary: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _normalises_each_channel(self) -> Self:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError("mean and std need one value per channel")
        if min(self.std) <= 0:
            raise ValueError("std must be positive")
        return self

    @model_validator(mode="after")
    def _segments_something(self) -> Self:
        if self.content == "segmentation" and not self.classes:
            raise ValueError("a segmentation network needs classes")
        return self


def read_card(folder: Path) -> Card:
    """Read the card of an exchange folder, without its tensors.

    Raises:
        WeightsError: The folder is not there or is no exchange folder; says what is wrong.
    """
    if not folder.is_dir():
        raise WeightsError(
            f"{folder} is no folder of weights; give the folder that holds {TENSORS} and {CARD}, "
            "such as runs/NAME/weights"
        )
    _check_holds(folder, CARD)
    size = (folder / CARD).stat().st_size
    if size > MAX_CARD_BYTES:
        raise WeightsError(f"the card {folder / CARD} has {size} bytes, far more than any card")
    try:
        table = read_json(folder / CARD)
    except (RunError, RecursionError) as error:
        raise WeightsError(f"the card {folder / CARD} is damaged: {error}") from error
    if not _shallow(table, MAX_DEPTH):
        raise WeightsError(f"the card {folder / CARD} is damaged: it is nested too deeply")
    try:
        card = Card.model_validate(table)
    except ValidationError as error:
        mistakes = "; ".join(describe(Card, table, error))
        raise WeightsError(f"the card {folder / CARD} is damaged: {mistakes}") from error
    _check_holds(folder, card.file)
    return card


def _shallow(value: Any, depth: int) -> bool:
    """Whether lists and tables are nested at most `depth` deep."""
    if isinstance(value, dict):
        value = list(value.values())
    return not isinstance(value, list) or (
        depth > 0 and all(_shallow(item, depth - 1) for item in value)
    )


def _check_holds(folder: Path, name: str) -> None:
    if not (folder / name).is_file():
        hint = " (did you mean its subfolder weights?)" if (folder / "weights").is_dir() else ""
        raise WeightsError(f"{folder} holds no {name}, so it is no folder of weights{hint}")
