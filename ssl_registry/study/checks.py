"""What is made sure of before a study is begun: its data are there, and finished runs are whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ssl_registry import registry
from ssl_registry.build import build_dataset
from ssl_registry.config.load import validate
from ssl_registry.config.model import DatasetConfig
from ssl_registry.data.load import load_data
from ssl_registry.errors import DatasetNotFoundError, RunError
from ssl_registry.files import read_json
from ssl_registry.study.folder import StudyFolder
from ssl_registry.study.plan import Plan, PlannedRun
from ssl_registry.weights.card import CARD, read_card

Facts = tuple[str, str]
"""Fingerprint of a dataset's pixels, and digest of its split."""


def check_study(plan: Plan, folder: StudyFolder) -> None:
    """Make sure, before anything is begun, that a study can be gone on with.

    Raises:
        UserError: Data of missing runs are not there or cannot be listed; data have changed since
            runs were finished; or files of a finished run are damaged or gone.
    """
    done = {run.id for run in plan.runs.values() if folder.done(run.id)}
    _check_data(plan, done)
    _check_weights(plan, folder, done)
    _check_begun(plan, folder, done)
    _check_finished(plan, folder, done)


def _check_data(plan: Plan, done: set[str]) -> None:
    """The data of the missing runs are there."""
    seen = set()
    for run in plan.runs.values():
        for table in _tables(run):
            key = json.dumps(_without_split(table), sort_keys=True)
            if key not in seen and run.id not in done:
                seen.add(key)
                build_dataset(_config(table, run)).samples()


def _check_weights(plan: Plan, folder: StudyFolder, done: set[str]) -> None:
    """Finished pre-trainings that missing runs start from still have their weights."""
    for identity in {run.needs for run in plan.runs.values() if run.id not in done} & done:
        run, path = plan.runs[identity], folder.run(identity)
        # Runs that write no config.json are not of this library's training.
        if (path / "config.json").is_file() and not (path / "weights" / CARD).is_file():
            raise RunError(
                f"{run.title} has finished, but its weights are gone from {path}; remove that "
                "folder, and the pre-training is done again"
            )


def _check_begun(plan: Plan, folder: StudyFolder, done: set[str]) -> None:
    """What was begun and not finished started from the weights that its pre-training has now."""
    for run in plan.runs.values():
        record, card = folder.run(run.id) / "config.json", folder.run(run.needs) / "weights" / CARD
        if run.id in done or run.needs not in done or not (record.is_file() and card.is_file()):
            continue
        if read_json(record)["initial_weights"] != read_card(card.parent).sha256:
            raise RunError(
                f"{run.title} was begun from other weights than its pre-training has now, which "
                f"was done again meanwhile; remove the folder {record.parent}, and it is begun anew"
            )


def _check_finished(plan: Plan, folder: StudyFolder, done: set[str]) -> None:
    """The data of finished runs are as they were, so that no table mixes old ones and new ones."""
    now: dict[tuple[Any, ...], Facts | None] = {}
    for identity in done:
        run, file = plan.runs[identity], folder.run(identity) / "config.json"
        folder.summary(identity)
        if not file.is_file():
            continue
        record = read_json(file)
        for table, then in zip(_tables(run), record["data"], strict=True):
            size, channels = _stored_size(run), 1 if record["gray"] else 3
            key = (json.dumps(table, sort_keys=True), size, channels, run.kind)
            if key not in now:
                now[key] = _facts(_config(table, run), size, channels, run.kind == "finetune")
            if now[key] not in (None, (then["fingerprint"], then["split"])):
                raise RunError(
                    f"the dataset {table['name']!r} has changed since {run.title} was finished "
                    f"({file.parent}); restore it as it was, or choose another --out"
                )


def _facts(config: DatasetConfig, size: int, channels: int, masks: bool) -> Facts | None:
    """What a dataset holds now; None if it is not here, which harms no run that has finished."""
    try:
        found = load_data(config, size=size, channels=channels, masks=masks).describe()
    except DatasetNotFoundError:
        return None
    return str(found["fingerprint"]), str(found["split"])


def _stored_size(run: PlannedRun) -> int:
    """Side of the cached images of a run, px."""
    size: int = run.config["image_size"]
    if run.kind == "finetune":
        return size
    return run.config["cache_size"] or 2 * size


def _tables(run: PlannedRun) -> list[Mapping[str, Any]]:
    """The configs of a run's datasets."""
    data = run.config["data"]
    return list(data) if isinstance(data, list) else [data]


def _config(table: Mapping[str, Any], run: PlannedRun) -> DatasetConfig:
    model = registry.config_model("dataset", table["name"])
    config = validate(model, table, run.title)
    if not isinstance(config, DatasetConfig):
        raise TypeError(f"{table['name']!r} is no dataset")
    return config


def _without_split(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in ("split", "weight")}
