"""From a study to its plan: every run with its id, pre-trainings shared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ssl_registry import registry
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.presets import SECTIONS
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.config.run import RunConfig
from ssl_registry.config.study import NONE, AxisValue, StudyConfig, VariantConfig
from ssl_registry.errors import ConfigError
from ssl_registry.provenance import components_used, resolved, run_id
from ssl_registry.study.chosen_paths import Place, chosen_paths, chosen_places
from ssl_registry.study.combinations import Combination, check_without, combinations, left_out
from ssl_registry.study.plan import Plan, PlannedRun, Row
from ssl_registry.study.settings import check_tables, finetuning_of, pretraining_of
from ssl_registry.study.source import Source

_NOT_OF_PRETRAINING = ("fraction", "seed")
_SEEDS = ("pretrain_seed", "seed")


def plan_study(source: Source) -> Plan:
    """All runs and rows of a study.

    Raises:
        ConfigError: The study has mistakes, or asks for nothing.
    """
    check_without(source.parts, f"study {source.name!r}")
    expander = _Expander()
    for name, config in source.parts.items():
        expander.add(name, config)
    if not expander.rows:
        raise ConfigError(f"study {source.name!r} has no run: its axes leave nothing to do")
    out = [text for config in source.parts.values() for text in left_out(config)]
    published = source.config.published or next(
        (config.published for config in source.parts.values() if config.published), None
    )
    return Plan(
        title=source.config.title,
        runs={**expander.pretrainings, **expander.finetunings},
        rows=tuple(expander.rows),
        published=resolved(published) if published else None,
        left_out=tuple(dict.fromkeys(out)),
    )


class _Expander:
    """Collects runs; what differs by seed alone is validated once."""

    def __init__(self) -> None:
        self.pretrainings: dict[str, PlannedRun] = {}
        self.finetunings: dict[str, PlannedRun] = {}
        self.rows: list[Row] = []
        self._pretrain_configs: dict[tuple[Any, ...], tuple[str, PretrainConfig]] = {}
        self._finetunes: dict[
            tuple[Any, ...], tuple[FinetuneConfig, list[dict[str, str]], dict[str, str]]
        ] = {}
        self._places: dict[str, frozenset[Place]] = {}
        self._digests: dict[str, str] = {}

    def add(self, part: str, config: StudyConfig) -> None:
        """Add the runs of one part of a study."""
        check_tables(config, part)
        layers: list[StudyConfig | VariantConfig] = [config]
        layers += (v for axis in config.axes.named().values() for v in axis.values())
        for name in dict.fromkeys(name for layer in layers for name in layer.data):
            registry.find("dataset", name)
        self._places = {section: chosen_places(config, section) for section in SECTIONS}
        for combination in combinations(config):
            self._add(part, config, combination)

    def _add(self, part: str, study: StudyConfig, combination: Combination) -> None:
        values = combination.values
        origin = f"study {part!r}, {_title(values)}"
        needs, pretraining = "", None
        if combination.pretrained:
            needs, pretraining = self._pretraining(part, study, combination, origin)
        cell = (part, *(value for name, value in values.items() if name != "seed"))
        if cell not in self._finetunes:
            config = finetuning_of(study, combination, pretraining, origin)
            paths = chosen_paths(config, self._places["finetune"])
            self._finetunes[cell] = config, components_used(config), paths
        config, components, paths = self._finetunes[cell]
        config = config.model_copy(update={"seed": values["seed"]})
        start = needs or self._digest(combination.weights)
        identity = run_id(config, components, {"weights": start, **paths})
        self.rows.append(Row(part, values, identity))
        keep = study.keep_weights == "all" or (
            study.keep_weights == "first-seed" and values["seed"] == study.axes.seed[0]
        )
        if identity in self.finetunings:
            # The same run in another place of the table, which may want its weights.
            if keep and not self.finetunings[identity].keep_weights:
                known = self.finetunings[identity]
                self.finetunings[identity] = replace(known, keep_weights=True)
            return
        if combination.weights:
            config = config.model_copy(update={"weights": Path(combination.weights)})
        self.finetunings[identity] = _run(
            "finetune", identity, config, values, needs=needs, keep=keep
        )

    def _pretraining(
        self, part: str, study: StudyConfig, combination: Combination, origin: str
    ) -> tuple[str, PretrainConfig]:
        values = {n: v for n, v in combination.values.items() if n not in _NOT_OF_PRETRAINING}
        key = (part, *values.values())
        if key not in self._pretrain_configs:
            config = pretraining_of(study, combination, origin)
            paths = chosen_paths(config, self._places["pretrain"])
            identity = run_id(config, components_used(config), paths)
            self._pretrain_configs[key] = identity, config
            if identity not in self.pretrainings:
                run = _run("pretrain", identity, config, values, needs="", keep=True)
                self.pretrainings[identity] = run
        return self._pretrain_configs[key]

    def _digest(self, weights: str | None) -> str:
        """What identifies given weights; "" for none."""
        if weights is None:
            return ""
        if weights not in self._digests:
            from ssl_registry.weights.card import read_card

            self._digests[weights] = read_card(Path(weights)).sha256
        return self._digests[weights]


def _run(
    kind: Literal["pretrain", "finetune"],
    identity: str,
    config: RunConfig,
    values: Mapping[str, AxisValue],
    *,
    needs: str,
    keep: bool,
) -> PlannedRun:
    stage = "pre-training" if kind == "pretrain" else "fine-tuning"
    without_seeds = {name: value for name, value in values.items() if name not in _SEEDS}
    return PlannedRun(
        id=identity,
        kind=kind,
        config=resolved(config),
        presets=config.preset,
        needs=needs,
        title=f"{stage} {_title(values)}",
        cell=f"{stage} {_title(without_seeds)}",
        keep_weights=keep,
    )


def _title(values: Mapping[str, AxisValue]) -> str:
    return ", ".join(_word(name, value) for name, value in values.items() if value != NONE)


def _word(axis: str, value: AxisValue) -> str:
    if axis == "fraction":
        return f"{100 * float(value):g} %"
    words = {"image_size": f"{value} px", "pretrain_seed": f"pre-training seed {value}"}
    return words.get(axis, f"seed {value}" if axis == "seed" else str(value))
