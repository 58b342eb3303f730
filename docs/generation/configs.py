"""The page of the configs: every key of a file, with type, default and meaning."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel

from generation.markdown import table, text_of
from ssl_registry.cli.settings import settings
from ssl_registry.config.comparison import ComparisonConfig
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.config.probes import (
    KnnProbeConfig,
    LinearProbeConfig,
    SegmentationProbeConfig,
)

HEAD: Final = ("key", "type", "default", "what")
FILES: Final[tuple[tuple[str, type[BaseModel]], ...]] = (
    ("Pre-training", PretrainConfig),
    ("Fine-tuning", FinetuneConfig),
)
PROBES: Final[tuple[tuple[str, type[BaseModel]], ...]] = (
    ("Probe `knn`", KnnProbeConfig),
    ("Probe `linear`", LinearProbeConfig),
    ("Probe `segmentation`", SegmentationProbeConfig),
)


def configs_page() -> str:
    """All keys of the files that `pretrain`, `finetune` and `probe` read."""
    parts = [
        "# Configs",
        "A config is a TOML file, or a table in Python. Keys with a dot are those of an inner "
        "table: `training.epochs` is `epochs` under `[training]`, and `--set training.epochs=5` "
        "on the command line. Unknown keys are errors. Made from the configs themselves by "
        "`docs/generate.py`.",
        "A component (method, backbone, decoder, augmentation, dataset, task) is a name, or a "
        "table with a `name` and its settings; each has [a page](../components/index.md). A file "
        "may start from [presets](../components/presets.md).",
    ]
    for title, model in FILES:
        parts += [f"## {title}", text_of(model).prose, _table(model)]
    parts += [
        "## Probes",
        "`[[probes]]` of a pre-training, or of a file for `ssl-registry probe`. `kind` chooses.",
    ]
    for title, model in PROBES:
        parts += [f"### {title}", text_of(model).prose, _table(model)]
    parts += [
        "## Experiments",
        text_of(ComparisonConfig).prose
        + " `ssl-registry quickstart` runs one. Its keys `pretrain` and `finetune` are the tables "
        "above.",
        table(HEAD, (row for row in _rows(ComparisonConfig) if "." not in row[0])),
    ]
    return "\n\n".join(parts) + "\n"


def _table(model: type[BaseModel]) -> str:
    return table(HEAD, _rows(model))


def _rows(model: type[BaseModel]) -> list[tuple[str, str, str, str]]:
    return [
        (f"`{key}`", kind, f"`{default}`" if default else "", what)
        for key, kind, default, what in settings(model)
    ]
