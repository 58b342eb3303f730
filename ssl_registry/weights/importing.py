"""Weights from elsewhere: recognised, renamed, compared with a backbone, written as our folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ssl_registry.build import build_backbone
from ssl_registry.config.importing import ImportConfig
from ssl_registry.config.run import NormalizationConfig
from ssl_registry.errors import WeightsError
from ssl_registry.interfaces.backbone import Backbone
from ssl_registry.provenance import components_used, resolved
from ssl_registry.weights.card import Card
from ssl_registry.weights.fit import Fit, LoadReport, fit, put
from ssl_registry.weights.foreign_file import ForeignFile, read_foreign
from ssl_registry.weights.layouts import (
    COUNTERS,
    HEADS,
    Layout,
    Source,
    matching,
    recognised,
    unwrapped,
)
from ssl_registry.weights.rename import Rename, renamed
from ssl_registry.weights.tensors import file_digest
from ssl_registry.weights.write import write_encoder

IMAGE_SIZE = 224
"""The side of images, px, where nothing is said: that of ImageNet's usual crops."""

_STATISTICS = (".running_mean", ".running_var")
_SMALL_KERNEL = 3
_MAX_SPLITS = 2**10


@dataclass(frozen=True)
class Origin:
    """Where imported weights come from, as the card records it under `run.origin`.

    Attributes:
        file: The file's name, or the name that timm gives the weights.
        sha256: The file's digest; empty where there was no file.
        layout: As what the names were recognised.
        entry: The entry of the checkpoint that held the tensors.
        rules: The rename rules that were applied, in order.
        left_out: Names of tensors beside the encoder.
        adapted: Tensors that were changed to fit, with what was done.
        fresh: Tensors that the file lacks.
        notes: What was assumed and what differs.
    """

    file: str
    sha256: str
    layout: str
    entry: str = ""
    rules: tuple[Rename, ...] = ()
    left_out: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    fresh: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Adopted:
    """The tensors of an encoder under its own names, and how they were found."""

    tensors: Mapping[str, Tensor]
    layout: Layout
    rules: tuple[Rename, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Prepared:
    """How images are prepared for weights whose source says it itself."""

    image_size: int
    normalization: NormalizationConfig


def import_file(
    file: Path, source: Source | None, config: ImportConfig, out: Path
) -> tuple[Origin, LoadReport]:
    """Bring the encoder in a file of another library into an exchange folder.

    Args:
        file: A safetensors file or a PyTorch checkpoint.
        source: Which library's names it has; None: found out.
        config: What the weights are.
        out: The new folder.

    Raises:
        WeightsError: The file cannot be read, has other names than `source` says, or its tensors
            do not fit the backbone; nothing is written then.
    """
    check_free(out)
    given = read_foreign(file, config.entry)
    backbone = fresh_backbone(config)
    own = backbone.exported().state_dict()
    adopted = adopt(given, source, own)
    found = fit(
        own,
        adopted.tensors,
        "backbone",
        adapt_stem=True,
        allow_missing=_allowed(config, adopted.layout, backbone),
    )
    if not found.report.fits:
        raise WeightsError(
            f"{file}, read as {adopted.layout}, does not fit the backbone {config.backbone.name} "
            f"with {config.channels} channels: {found.report}. Nothing was written"
        )
    origin = Origin(
        file=file.name,
        sha256=file_digest(file),
        layout=str(adopted.layout),
        entry=given.entry,
        rules=adopted.rules,
        left_out=adopted.left_out,
        notes=_stem_notes(adopted),
    )
    return write_imported(out, backbone, found, config, origin), found.report


def adopt(given: ForeignFile, source: Source | None, own: Mapping[str, Tensor]) -> Adopted:
    """Find the encoder among tensors and give it the names it has in `own`.

    Raises:
        WeightsError: The names are not laid out as `source` says.
    """
    wrappers = unwrapped(given.tensors)
    tensors = renamed(given.tensors, wrappers)
    layout = recognised(tensors, source)
    beside = matching(layout.beside, tensors)
    rest = {name: value for name, value in tensors.items() if name not in beside}
    encoder = renamed(rest, layout.rules)
    heads = matching(HEADS, (name for name in encoder if name not in own))
    encoder = {name: value for name, value in encoder.items() if name not in heads}
    if layout.split_statistics:
        encoder = {name: _averaged(name, value, own) for name, value in encoder.items()}
    return Adopted(encoder, layout, (*wrappers, *layout.rules), (*beside, *heads))


def write_imported(
    out: Path,
    backbone: Backbone,
    found: Fit,
    config: ImportConfig,
    origin: Origin,
    prepared: Prepared | None = None,
) -> Origin:
    """Put tensors that fit into the backbone and write it; gives the origin with all notes.

    Args:
        out: The new folder.
        backbone: A fresh one.
        found: Tensors that fit it.
        config: What the weights are; goes before what `prepared` says.
        origin: Where they come from.
        prepared: How images are prepared, if the source says it.
    """
    put(backbone.exported(), found)
    normalization = config.normalization or (prepared and prepared.normalization)
    image_size = config.image_size or (prepared and prepared.image_size)
    mean, std = (normalization or NormalizationConfig()).for_channels(config.channels)
    notes = [*origin.notes]
    if normalization is None:
        notes.append("mean and std were not given; those of ImageNet are assumed")
    if image_size is None:
        notes.append(f"the image size was not given; {IMAGE_SIZE} px is assumed")
    if found.report.allowed:
        notes.append(
            f"the file lacks {len(found.report.allowed)} tensors that may be missing; they have "
            "their initial values"
        )
    final = {
        **asdict(origin),
        "adapted": found.report.adapted,
        "fresh": found.report.allowed,
        "notes": tuple(notes),
    }
    card = Card(
        content="encoder",
        backbone=config.backbone.model_dump(mode="json"),
        channels=config.channels,
        gray=config.channels == 1,
        image_size=image_size or IMAGE_SIZE,
        mean=mean,
        std=std,
        licence=config.licence,
        sha256="",
        run={"config": resolved(config), "components": components_used(config), "origin": final},
    )
    write_encoder(out, backbone, card)
    return Origin(**{**final, "rules": origin.rules})


def fresh_backbone(config: ImportConfig) -> Backbone:
    """The backbone with the same initial values each time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_backbone(config.backbone, config.channels)


def check_free(out: Path) -> None:
    """Check that nothing lies where a folder of weights is to be made.

    Raises:
        WeightsError: It is a file, or a folder with something in it.
    """
    if out.is_dir() and not out.is_symlink() and not any(out.iterdir()):
        return
    if out.exists() or out.is_symlink():
        raise WeightsError(
            f"{out} is there already and is not overwritten; move it away or name another folder"
        )


def _allowed(config: ImportConfig, layout: Layout, backbone: Backbone) -> Sequence[str]:
    unused = _unused(backbone.exported()) if layout.partial else ()
    return (*config.allow_missing, *COUNTERS, *unused)


def _unused(module: nn.Module) -> list[str]:
    """Names of what no feature map depends on: frozen parameters, and buffers beside them."""
    names = []
    for prefix, part in module.named_modules(prefix="backbone"):
        parameters = dict(part.named_parameters(recurse=False))
        frozen = [name for name, value in parameters.items() if not value.requires_grad]
        names += [f"{prefix}.{name}" for name in frozen]
        if parameters and len(frozen) == len(parameters):
            names += [f"{prefix}.{name}" for name, _ in part.named_buffers(recurse=False)]
    return names


def _averaged(name: str, value: Tensor, own: Mapping[str, Tensor]) -> Tensor:
    """Batch statistics of a split batch, `[parts * channels]`, as one, `[channels]`."""
    if not name.endswith(_STATISTICS) or name not in own or value.ndim != 1:
        return value
    channels = own[name].numel()
    if value.numel() == channels or value.numel() % channels:
        return value
    if value.numel() > _MAX_SPLITS * channels:
        return value  # a batch has fewer parts, and a tensor may only say to be so large
    parts = value.view(-1, channels)
    # Saved in eval mode they are equal, and a mean of equal numbers may be off by a rounding.
    return parts[0] if torch.equal(parts, parts[:1].expand_as(parts)) else parts.mean(0)


def _stem_notes(adopted: Adopted) -> tuple[str, ...]:
    stem = adopted.tensors.get("conv1.weight")
    small = stem is not None and stem.shape[-1] == _SMALL_KERNEL
    return (adopted.layout.small_stem,) if small and adopted.layout.small_stem else ()
