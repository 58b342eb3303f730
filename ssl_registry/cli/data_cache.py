"""`ssl-registry data cache`: the image caches, and how their room is had back."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ssl_registry.cli.groups import DefaultGroup
from ssl_registry.cli.text import align, verbatim

if TYPE_CHECKING:
    from ssl_registry.data.cache_inventory import CacheEntry


@click.group(
    cls=DefaultGroup,
    default="list",
    epilog=verbatim(
        """
        Examples:  ssl-registry data cache
                   ssl-registry data cache clear --older-than 30
        """
    ),
)
def cache() -> None:
    """Images that runs have decoded and keep; made anew when they are needed and not there."""


@cache.command(
    "list",
    epilog=verbatim(
        """
        Examples:  ssl-registry data cache list
                   ssl-registry data cache list --json
        """
    ),
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: a JSON list.")
def list_caches(as_json: bool) -> None:
    """List the caches, finished or not, with what they take."""
    from ssl_registry.data.cache_inventory import cache_entries
    from ssl_registry.data.cache_place import cache_root

    entries = cache_entries(cache_root())
    if as_json:
        import json

        click.echo(json.dumps([_as_json(entry) for entry in entries], indent=2))
        return
    click.echo(f"folder: {cache_root()}")
    click.echo(_table(entries) if entries else "no caches")


@cache.command(
    "clear",
    epilog=verbatim(
        """
        Examples:  ssl-registry data cache clear busi-80px
                   ssl-registry data cache clear --dataset busi --older-than 7
                   ssl-registry data cache clear --all --yes
        """
    ),
)
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All caches.")
@click.option("--dataset", metavar="NAME", help="Only caches of this dataset.")
@click.option(
    "--older-than",
    "days",
    metavar="DAYS",
    type=click.FloatRange(min=0),
    help="Only caches that were not used for so many days.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def clear(
    keys: tuple[str, ...], every: bool, dataset: str | None, days: float | None, yes: bool
) -> None:
    """Remove caches after asking: those whose names begin with a KEY, or those of the options.

    A cache that a run is building stays.
    """
    from ssl_registry.data.cache_inventory import cache_entries, remove_cache
    from ssl_registry.data.cache_place import cache_root
    from ssl_registry.data.room import in_words

    if every and keys:
        raise click.UsageError("name caches, or say --all; not both")
    if not (keys or every or dataset or days is not None):
        raise click.UsageError("say which caches: KEY..., --dataset, --older-than or --all")
    entries = _named(cache_entries(cache_root()), keys)
    chosen = [
        entry
        for entry in entries
        if dataset in (None, entry.dataset) and (days is None or entry.idle_days > days)
    ]
    if not chosen:
        click.echo("no such caches; nothing was removed")
        return
    if not yes:
        click.echo(_table(chosen), err=True)
        if not _agreed(f"Remove {len(chosen)} of them?" if len(chosen) > 1 else "Remove it?"):
            click.echo("nothing was removed")
            return
    removed = [entry for entry in chosen if remove_cache(entry)]
    for entry in chosen:
        if entry not in removed:
            click.echo(f"{entry.key} stays: a run is building it", err=True)
    click.echo(f"removed {len(removed)} caches, {in_words(sum(entry.bytes for entry in removed))}")


def _named(entries: Sequence[CacheEntry], keys: Sequence[str]) -> list[CacheEntry]:
    """The entries whose keys begin with one of `keys`; all if none is given."""
    if "" in keys:
        # Such as a variable that is not set: it would mean all of them.
        raise click.UsageError("a KEY is empty; say --all for all caches")
    for key in keys:
        if not any(entry.key.startswith(key) for entry in entries):
            raise click.UsageError(f"no cache begins with {key!r}; see: ssl-registry data cache")
    return [entry for entry in entries if not keys or entry.key.startswith(tuple(keys))]


def _agreed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise click.UsageError("there is nobody to ask; say --yes to remove the caches above")
    return click.confirm(question, err=True)


def _table(entries: Sequence[CacheEntry]) -> str:
    from ssl_registry.data.room import in_words

    head = ("KEY", "DATASET", "SIZE", "CHANNELS", "MASKS", "IMAGES", "DISK", "LAST USED", "STATE")
    rows = [
        (
            entry.key,
            entry.dataset or "?",
            f"{entry.settings['size']} px" if "size" in entry.settings else "?",
            str(entry.settings.get("channels", "?")),
            "yes" if entry.settings.get("masks") else "no",
            str(entry.images),
            in_words(entry.bytes),
            _ago(entry.idle_days),
            entry.state,
        )
        for entry in entries
    ]
    return align([head, *rows])


def _ago(days: float) -> str:
    for unit, length in (("days", 1.0), ("hours", 1 / 24), ("minutes", 1 / 1440)):
        if days >= 2 * length:
            return f"{days / length:.0f} {unit} ago"
    return "just now"


def _as_json(entry: CacheEntry) -> dict[str, object]:
    return {
        "key": entry.key,
        "folder": str(entry.folder),
        "state": entry.state,
        "dataset": entry.dataset,
        "settings": entry.settings,
        "images": entry.images,
        "bytes": entry.bytes,
        "idle_days": round(entry.idle_days, 3),
    }
