"""Weights that timm knows by name, such as those of ImageNet: `timm:resnet50.a1_in1k`."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, cast

import timm
from torch import Tensor

from ssl_registry.config.importing import ImportConfig
from ssl_registry.config.run import NormalizationConfig
from ssl_registry.errors import WeightsError
from ssl_registry.interfaces.backbone import Backbone
from ssl_registry.weights.fit import LoadReport, fit
from ssl_registry.weights.importing import (
    Origin,
    Prepared,
    check_free,
    fresh_backbone,
    write_imported,
)
from ssl_registry.weights.layouts import COUNTERS

_GUESSES = 5


def import_from_timm(name: str, config: ImportConfig, out: Path) -> tuple[Origin, LoadReport]:
    """Bring pre-trained weights of timm into an exchange folder.

    timm takes them from the cache of the Hugging Face Hub, or downloads them.

    Args:
        name: Architecture and tag as in `timm.list_pretrained()`, such as `resnet50.a1_in1k`.
        config: What the weights are; the image size and normalisation are timm's by default.
        out: The new folder.

    Raises:
        WeightsError: timm has no such weights or cannot get them, or they belong to another
            architecture than the backbone; nothing is written then.
    """
    check_free(out)
    _check_known(name)
    backbone = fresh_backbone(config)
    arguments = _arguments(name, config, backbone)
    tensors, known = _pretrained(name, arguments)
    found = fit(
        backbone.exported().state_dict(),
        tensors,
        "backbone",
        adapt_stem=True,
        allow_missing=(*config.allow_missing, *COUNTERS),
    )
    if not found.report.fits:
        raise WeightsError(
            f"timm's {name} does not fit the backbone {config.backbone.name} with "
            f"{config.channels} channels: {found.report}. Nothing was written"
        )
    licence = known.get("license")
    stated = licence and not config.licence
    note = f"timm states the licence {licence}; to record it as that of the weights, name it"
    origin = Origin(
        file=f"timm:{name}",
        sha256="",
        layout=f"timm {timm.__version__}",
        notes=(note,) if stated else (),
    )
    prepared = Prepared(
        image_size=int(known["input_size"][-1]),
        normalization=NormalizationConfig(mean=tuple(known["mean"]), std=tuple(known["std"])),
    )
    return write_imported(out, backbone, found, config, origin, prepared), found.report


def _check_known(name: str) -> None:
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), _GUESSES, cutoff=0.6)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise WeightsError(f"timm {timm.__version__} has no model {architecture!r}{hint}")
    if name == architecture:
        return
    tagged = timm.list_pretrained(f"{architecture}.*")
    if name not in tagged:
        raise WeightsError(
            f"timm {timm.__version__} has no weights {name!r}; of {architecture} it has "
            f"{', '.join(tagged) or 'none'}"
        )


def _arguments(name: str, config: ImportConfig, backbone: Backbone) -> dict[str, Any]:
    """What timm builds the backbone's architecture with; empty if the backbone does not say."""
    library = backbone.library_config()
    architecture = name.partition(".")[0]
    if library and library.get("architecture") != architecture:
        raise WeightsError(
            f"{name} are weights of {architecture}, but the backbone {config.backbone.name} is "
            f"timm's {library.get('architecture')}"
        )
    arguments = dict(library.get("model_args", {}))
    arguments.pop("in_chans", None)  # the first kernels are adapted here, as for any source
    return arguments


def _pretrained(name: str, arguments: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, and what timm knows of them."""
    try:
        model = timm.create_model(name, pretrained=True, num_classes=0, **arguments)
    except Exception as error:
        # timm and the libraries it downloads with raise errors of many kinds.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        known = timm.models.get_pretrained_cfg(name)
        repository = getattr(known, "hf_hub_id", None) or f"timm/{name}"
        raise WeightsError(
            f"timm cannot get the weights {name}: {reason}\n"
            f"They are looked for in the cache of the Hugging Face Hub ($HF_HOME) and then on the "
            f"Hub, as {repository}. Without a connection, download model.safetensors from there "
            "elsewhere and import that file: ssl-registry weights import model.safetensors "
            "--from timm --backbone NAME --out DIR"
        ) from error
    return model.state_dict(), dict(cast("Any", model).pretrained_cfg)
