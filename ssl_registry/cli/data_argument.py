"""How data are named on the command line of every `data` command.

A word DATA is one of

- `busi`: a dataset by its name (or provider/name), with its default settings;
- `busi=/images/busi`: the same, lying in another folder;
- `finetune.toml`: the datasets in the `data` of a pre-training or fine-tuning config.

`--set KEY=VALUE` lays a setting over the dataset's table. Where several are named, the key begins
with the place, counted from 0 over all of them: `--set 1.split.kind=official`.

A command of one dataset or of several is written so:

    @click.command()
    @data_argument
    def verify(data: str, overrides: tuple[str, ...]) -> None:
        config = data_config(data, overrides)

    @click.command()
    @data_arguments
    def duplicates(data: tuple[str, ...], overrides: tuple[str, ...]) -> None:
        configs = data_configs(data, overrides)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssl_registry.cli.options import Command

if TYPE_CHECKING:
    from ssl_registry.config.model import DatasetConfig

CONFIG_SUFFIX = ".toml"

_overrides = click.option(
    "--set",
    "overrides",
    metavar="KEY=VALUE",
    multiple=True,
    help="Override a setting of the dataset, e.g. --set split.kind=official; repeatable. Of "
    "several datasets, begin with the place: --set 0.split.kind=official.",
)


def data_argument(command: Command) -> Command:
    """The argument DATA of a command for one dataset, and its `--set`."""
    return click.argument("data", metavar="DATA")(_overrides(command))


def data_arguments(command: Command) -> Command:
    """The arguments DATA... of a command for one dataset or several, and their `--set`."""
    return click.argument("data", metavar="DATA...", nargs=-1, required=True)(_overrides(command))


def data_configs(words: Sequence[str], overrides: Sequence[str] = ()) -> list[DatasetConfig]:
    """The validated configs of the datasets that the command line names, in its order.

    Args:
        words: The words DATA; each is `NAME`, `NAME=ROOT` or a TOML file with `data`.
        overrides: What `--set` gave; the keys are those of the dataset's table, or, if there
            are several datasets, `PLACE.KEY`.

    Raises:
        ComponentNotFoundError: No plugin offers such a dataset; lists what there is.
        ConfigError: A file has no data, or a setting is wrong; says which.
    """
    from ssl_registry.config.load import apply_overrides

    named = [entry for word in words for entry in _tables(word)]
    return [
        _config(apply_overrides(table, _of_place(overrides, place, len(named))), origin)
        for place, (origin, table) in enumerate(named)
    ]


def data_config(word: str, overrides: Sequence[str] = ()) -> DatasetConfig:
    """The validated config of the one dataset that the command line names.

    Raises:
        ComponentNotFoundError: No plugin offers such a dataset; lists what there is.
        ConfigError: A file has no data or several, or a setting is wrong; says which.
    """
    from ssl_registry.errors import ConfigError

    several = len(_tables(word))
    if several > 1:
        raise ConfigError(
            f"{word} has {several} datasets, but one is needed; name it, e.g. NAME=FOLDER"
        )
    return data_configs([word], overrides)[0]


def _of_place(overrides: Sequence[str], place: int, several: int) -> list[str]:
    """The overrides of the dataset at `place`, without that place."""
    from ssl_registry.errors import ConfigError

    if several == 1:
        return list(overrides)
    chosen = []
    for override in overrides:
        first, dot, rest = override.partition(".")
        if not dot or not first.isdecimal() or int(first) >= several:
            raise ConfigError(
                f"override {override!r}: of {several} datasets, begin with the place of the one "
                f"that is meant, 0 to {several - 1}, e.g. --set 0.{override}"
            )
        if int(first) == place:
            chosen.append(rest)
    return chosen


def _tables(word: str) -> list[tuple[str, dict[str, Any]]]:
    """Where each dataset that `word` stands for is described, and its table."""
    if word.endswith(CONFIG_SUFFIX):
        return _of_file(Path(word))
    table = data_table(word)
    return [(f"dataset {table['name']!r}", table)]


def data_table(word: str) -> dict[str, Any]:
    """The table of the dataset that `NAME` or `NAME=ROOT` stands for.

    Raises:
        ConfigError: Nothing follows the `=`.
    """
    name, equals, root = word.partition("=")
    if equals and not root:
        from ssl_registry.errors import ConfigError

        # Such as busi=$FOLDER with a variable that is not set: it would mean the current folder.
        raise ConfigError(f"{word} names no folder after the =; write {name}=. for this folder")
    return {"name": name, "root": root} if equals else {"name": name}


def _of_file(path: Path) -> list[tuple[str, dict[str, Any]]]:
    from ssl_registry.cli.config import detect
    from ssl_registry.config.load import read_toml
    from ssl_registry.config.presets import KEY, with_presets
    from ssl_registry.errors import ConfigError

    table = read_toml(path)
    if KEY in table:
        table = with_presets(table, detect(table)).table
    found = table.get("data")
    entries = found if isinstance(found, list) else [] if found is None else [found]
    if not entries:
        raise ConfigError(
            f"{path} has no `data`; give the config of a pre-training or a fine-tuning, or NAME"
        )
    many = isinstance(found, list)
    places = [f"{path}, data.{place}" if many else f"{path}, data" for place in range(len(entries))]
    return [(place, _table(entry, place)) for place, entry in zip(places, entries, strict=True)]


def _table(entry: Any, origin: str) -> dict[str, Any]:
    from ssl_registry.errors import ConfigError

    if isinstance(entry, str):
        return {"name": entry}
    if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str):
        raise ConfigError(f"{origin} must be the name of a dataset, or a table with a name")
    return dict(entry)


def _config(table: Any, origin: str) -> DatasetConfig:
    from ssl_registry import registry
    from ssl_registry.config.load import validate
    from ssl_registry.config.model import DatasetConfig
    from ssl_registry.errors import ComponentNotFoundError, PluginError

    name = _table(table, origin)["name"]
    try:
        model = registry.config_model("dataset", name)
    except ComponentNotFoundError as error:
        if not Path(name).is_dir():
            raise
        raise ComponentNotFoundError(
            f"{error}; {name} is a folder: write DATASET={name} to say which dataset lies there"
        ) from error
    config = validate(model, table, origin)
    if not isinstance(config, DatasetConfig):
        raise PluginError(f"{origin}: the settings of {name!r} are no DatasetConfig")
    return config
