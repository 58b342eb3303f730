"""`ssl-registry data list` and `ssl-registry data info`: what datasets there are."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssl_registry.cli.text import align, verbatim

if TYPE_CHECKING:
    from ssl_registry.config.model import DatasetConfig
    from ssl_registry.interfaces.dataset import DatasetInfo, Release
    from ssl_registry.registry import Found

NOTHING = "-"


@click.command(
    "list",
    epilog=verbatim(
        """
        Examples:  ssl-registry data list
                   ssl-registry data list --json
                   SSL_REGISTRY_DATA=/images ssl-registry data list
        """
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: a JSON list.")
def list_datasets(as_json: bool) -> None:
    """List all datasets, and which of them are found.

    The folder of a dataset is looked for by its name in the folder SSL_REGISTRY_DATA.
    """
    from ssl_registry import registry
    from ssl_registry.config.folder import DATA_VARIABLE, data_home

    rows = [_row(found) for found in registry.components("dataset")]
    if as_json:
        import json

        click.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        click.echo("no plugin offers a dataset")
        return
    head = [key.upper() for key in rows[0]]
    click.echo(align([head, *([_cell(value) for value in row.values()] for row in rows)]))
    home = data_home()
    place = f"looked in {home}" if home else "set it to the folder that holds your datasets"
    click.echo(f"\n{DATA_VARIABLE}: {place}")


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry data info busi
                   ssl-registry data info busi --json
        """
    )
)
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: a JSON object.")
def info(name: str, as_json: bool) -> None:
    """Tell all that is known of the dataset NAME.

    Organ, licence, how to cite it, what its official release holds and how to get it, where it is
    looked for, and its settings.
    """
    from ssl_registry import registry
    from ssl_registry.cli.settings import settings

    found = registry.find("dataset", name)
    facts, config = _described(found)
    if as_json:
        import json

        click.echo(json.dumps({"name": name, **asdict(facts)}, indent=2))
        return
    click.echo(f"{found.component.name}: {found.component.summary or NOTHING}")
    click.echo(align(_facts(found, facts, config), indent="  "))
    click.echo(f"\ncite it as\n  {facts.citation or NOTHING}")
    click.echo(f"\n{_release(facts.release)}")
    head = ("SETTING", "TYPE", "DEFAULT", "DESCRIPTION")
    rows = settings(registry.config_model("dataset", name))
    click.echo("\n" + align([head, *rows]))


def _described(found: Found) -> tuple[DatasetInfo, DatasetConfig | None]:
    """The facts of a dataset with its default settings; without, if it has no such.

    Raises:
        UserError: The dataset cannot be loaded.
    """
    from ssl_registry.errors import PluginError, UserError

    try:
        return _facts_and_config(found)
    except UserError:
        raise
    except Exception as error:
        raise PluginError(
            f"{found.described} fails with {type(error).__name__}: {error}"
        ) from error


def _facts_and_config(found: Found) -> tuple[DatasetInfo, DatasetConfig | None]:
    from ssl_registry import registry
    from ssl_registry.build import build_dataset
    from ssl_registry.config.load import validate
    from ssl_registry.errors import ConfigError
    from ssl_registry.interfaces.dataset import DatasetInfo

    name = f"{found.plugin.provider}/{found.component.name}"
    model: Any = registry.config_model("dataset", name)
    try:
        config: DatasetConfig = validate(model, {"name": name}, name)
    except ConfigError:  # it has settings without a default
        facts = getattr(registry.factory("dataset", name), "info", None)
        if isinstance(facts, DatasetInfo):
            return facts, None
        config = validate(model, {**model.check_settings, "name": name}, name)
        return build_dataset(config).info, None
    return build_dataset(config).info, config


def _row(found: Found) -> dict[str, Any]:
    """What the list says of one dataset; one that cannot be loaded says why."""
    from ssl_registry.errors import UserError

    row: dict[str, Any] = dict.fromkeys(("name", "organ", "modality", "images", "found", "licence"))
    row["name"] = found.component.name
    try:
        facts, config = _described(found)
    except UserError as error:
        return {**row, "licence": f"cannot be loaded: {error}"}
    totals = facts.release.totals if facts.release else {}
    folder = _folder(config)
    return row | {
        "organ": facts.organ,
        "modality": facts.modality,
        "images": totals.get("images"),
        "found": folder.is_dir() if folder else None,
        "licence": facts.licence,
    }


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return NOTHING if value in (None, "") else str(value)


def _folder(config: DatasetConfig | None) -> Path | None:
    """Where the dataset is looked for, if it lies in a folder and that is known."""
    root = getattr(config, "root", None)
    return root.expanduser() if isinstance(root, Path) else None


def _facts(found: Found, facts: DatasetInfo, config: DatasetConfig | None) -> list[tuple[str, str]]:
    kind = "exclude each other" if facts.exclusive else "may overlap"
    classes = ", ".join(facts.classes)
    if len(facts.classes) > 1:
        classes += f" ({kind})"
    return [
        ("provider", f"{found.plugin.provider} {found.plugin.version}"),
        ("organ", facts.organ or NOTHING),
        ("modality", facts.modality or NOTHING),
        ("licence", facts.licence or NOTHING),
        ("source", facts.source or NOTHING),
        ("channels", str(facts.channels)),
        ("mask classes", classes or "none: there are no masks"),
        ("looked for in", _place(config)),
    ]


def _place(config: DatasetConfig | None) -> str:
    from ssl_registry.config.folder import DATA_VARIABLE, FolderDatasetConfig

    folder = _folder(config)
    if folder is not None:
        return f"{folder} ({'found' if folder.is_dir() else 'not there'})"
    if isinstance(config, FolderDatasetConfig):
        return f"the folder of its name in ${DATA_VARIABLE}, which is not set"
    return "no folder of its own" if config is not None else "the folder that its settings name"


def _release(release: Release | None) -> str:
    """What is known of the official release, in lines."""
    from ssl_registry.data.room import in_words

    if release is None:
        return "release\n  nothing is said of an official release"
    lines = [f"release {release.version}"]
    for name, number in release.totals.items():
        lines.append(f"  {name}: {number}")
    for part in release.downloads:
        lines.append(f"  {part.file_name}: {part.url}")
        lines.append(f"    size {in_words(part.size) if part.size else 'not known'}")
        lines.append(f"    checksum {part.checksum or 'none: it changes or is not known'}")
    if release.by_hand:
        lines.append(f"  by hand: {release.by_hand}")
    return "\n".join(lines)
