"""The configs of a study's runs: the study's tables laid over each other, and validated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.config.presets import KEY, Merged, preset_names, with_presets
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.config.run import RunConfig
from ssl_registry.config.study import StudyConfig, Table, VariantConfig
from ssl_registry.errors import ConfigError
from ssl_registry.study.combinations import Combination

Config = TypeVar("Config", bound=RunConfig)

DECIDED = ("weights", "seed", "fraction")
"""Settings of a fine-tuning that the axes decide."""


def check_tables(config: StudyConfig, origin: str) -> None:
    """Refuse settings of fine-tunings that the axes decide.

    Raises:
        ConfigError: There are such settings.
    """
    variants = [v for values in config.axes.named().values() for v in values.values()]
    for table in (config.finetune, *(variant.finetune for variant in variants)):
        for key in DECIDED:
            if key in table:
                raise ConfigError(
                    f"{origin}: finetune.{key} is decided by the axes; use axes.{key}, or the "
                    "`weights` of a value of an axis"
                )


def pretraining_of(study: StudyConfig, combination: Combination, origin: str) -> PretrainConfig:
    """The config of the pre-training that a combination needs.

    Raises:
        ConfigError: It has mistakes.
    """
    values = combination.values
    plain = {"image_size": values.get("image_size"), "seed": values.get("pretrain_seed")}
    table = _table("pretrain", study, combination, plain)
    if values.get("scope") == "encoder":
        table.pop("decoder", None)
    elif values.get("scope") == "encoder_decoder":
        decoder = _table("finetune", study, combination, {}).get("decoder")
        table.setdefault("decoder", decoder)
    return _validated(PretrainConfig, table, origin)


def finetuning_of(
    study: StudyConfig,
    combination: Combination,
    pretraining: PretrainConfig | None,
    origin: str,
) -> FinetuneConfig:
    """The config of a combination's fine-tuning; the weights are not in it.

    Raises:
        ConfigError: It has mistakes, or does not fit the pre-training.
    """
    values = combination.values
    plain = {name: values.get(name) for name in ("image_size", "fraction", "seed")}
    table = _table("finetune", study, combination, plain)
    if pretraining is not None:
        table.setdefault("scope", pretraining.scope)
    config = _validated(FinetuneConfig, table, origin)
    if pretraining is not None:
        _check_fit(pretraining, config, origin)
    return config


def _validated(model: type[Config], table: dict[str, Any], origin: str) -> Config:
    """The config that a table with all settings of its presets makes; it remembers their names."""
    names = table.pop(KEY)
    return validate(model, table, origin).model_copy(update={KEY: names})


def _table(
    section: str, study: StudyConfig, combination: Combination, plain: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings of one stage: presets first, then the tables of the study and of the axes."""
    merged, presets = Merged(), list[str]()
    layers: list[StudyConfig | VariantConfig] = [study, *combination.variants]
    for layer in layers:
        table: Table = getattr(layer, section)
        presets += preset_names(table.get(KEY, ()))
        merged.lay({key: value for key, value in table.items() if key != KEY})
    merged.lay({key: value for key, value in plain.items() if value is not None})
    table = with_presets({**merged.table, KEY: tuple(dict.fromkeys(presets))}, section).table
    for layer in layers:
        table = _with_data(table, layer.data)
    return dict(table)


def _with_data(table: Table, settings: Mapping[str, Table]) -> Table:
    """The table with `settings`, by name of a dataset, laid over each use of it."""
    data = table.get("data")
    if not settings or data is None:
        return table
    if isinstance(data, list):
        return {**table, "data": [_dataset(entry, settings) for entry in data]}
    return {**table, "data": _dataset(data, settings)}


def _dataset(entry: Any, settings: Mapping[str, Table]) -> Any:
    table = {"name": entry} if isinstance(entry, str) else entry
    name = table.get("name") if isinstance(table, Mapping) else None
    over = settings.get(name.rpartition("/")[2]) if isinstance(name, str) else None
    if over is None:
        return entry
    merged = Merged()
    merged.lay(table)
    merged.lay(over)
    return merged.table


def _check_fit(pretraining: PretrainConfig, finetuning: FinetuneConfig, origin: str) -> None:
    """What a run would only notice once its pre-training is done."""
    channels = finetuning.channels
    before = pretraining.normalization.for_channels(channels)
    now = finetuning.normalization.for_channels(channels)
    if before != now:
        raise ConfigError(f"{origin}: normalization differs from that of its pre-training")
    if pretraining.backbone.name != finetuning.backbone.name:
        raise ConfigError(
            f"{origin}: backbone {finetuning.backbone.name!r} is not the one that is pre-trained, "
            f"{pretraining.backbone.name!r}"
        )
    if finetuning.scope == "encoder_decoder" and pretraining.decoder is None:
        raise ConfigError(f"{origin}: scope = 'encoder_decoder', but no decoder is pre-trained")
