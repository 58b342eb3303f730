"""Image caches, data sets, and room on the disks."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ssl_registry.doctor.finding import Finding

_LITTLE: Final = 10**9
"""Bytes below which a disk is called full: a cache or a run's weights may take as much."""


def image_caches() -> Iterator[Finding]:
    """Where the caches lie, what they take, and what killed builds have left."""
    from ssl_registry.data.cache_inventory import cache_entries
    from ssl_registry.data.cache_place import cache_root
    from ssl_registry.data.room import in_words

    root = cache_root()
    entries = cache_entries(root)
    complete = [entry for entry in entries if entry.state == "complete"]
    size = in_words(sum(entry.bytes for entry in entries))
    yield _place("folder", root)
    yield Finding("caches", f"{len(complete)} complete, {size} in all")
    for entry in entries:
        told = f"{entry.state}, {in_words(entry.bytes)}, last used {entry.idle_days:.0f} days ago"
        remove = f"remove it: ssl-registry data cache clear {entry.key}"
        if entry.state == "interrupted":
            advice = f"the next run that needs it goes on with it; or {remove}"
            yield Finding(entry.key, told, "note", advice)
        elif entry.state == "damaged":
            yield Finding(entry.key, told, "note", remove)


def _place(name: str, folder: Path) -> Finding:
    """Whether a folder can be written to, or be made."""
    there = _nearest(folder)
    if folder.exists() and not folder.is_dir():
        advice = "remove it, or name another folder in SSL_REGISTRY_CACHE"
        return Finding(name, f"{folder} is no folder", "broken", advice)
    if not os.access(there, os.W_OK):
        advice = "make it writable, or name another folder in SSL_REGISTRY_CACHE"
        return Finding(name, f"{folder} cannot be written to", "broken", advice)
    return Finding(name, str(folder) + ("" if folder.is_dir() else " (made when needed)"))


def data_sets() -> Iterator[Finding]:
    """The home of the data sets, and which of them lie there."""
    from ssl_registry.config.folder import DATA_VARIABLE, data_home

    home = data_home()
    if home is None:
        yield Finding("home", f"{DATA_VARIABLE} is not set: configs name the folders of their data")
        return
    if not home.is_dir():
        advice = f"name the folder that holds your data sets in {DATA_VARIABLE}"
        yield Finding("home", f"{home}, named by {DATA_VARIABLE}, is no folder", "broken", advice)
        return
    yield Finding("home", str(home))
    names = list(_folder_datasets())
    found = [name for name in names if (home / name).is_dir()]
    yield Finding("found", ", ".join(found) or "none")
    yield Finding("not there", ", ".join(name for name in names if name not in found) or "none")


def _folder_datasets() -> Iterator[str]:
    """Names of the datasets that are looked for in the home."""
    from ssl_registry import registry
    from ssl_registry.config.folder import FolderDatasetConfig
    from ssl_registry.errors import UserError

    for found in registry.components("dataset"):
        name = found.component.name
        try:
            model = registry.config_model("dataset", f"{found.plugin.provider}/{name}")
        except UserError:
            continue  # `plugins check` says what is wrong with it
        if issubclass(model, FolderDatasetConfig):
            yield name


def disks() -> Iterator[Finding]:
    """Room where caches, runs and temporary files are written."""
    from ssl_registry.data.cache_place import cache_root

    for name, folder in (
        ("caches", cache_root()),
        ("runs", Path.cwd() / "runs"),
        ("temporary", Path(tempfile.gettempdir())),
    ):
        usage = shutil.disk_usage(_nearest(folder))
        told = f"{usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB free for {folder}"
        full = usage.free < _LITTLE
        yield Finding(name, told, "broken" if full else "ok", "make room" if full else "")


def _nearest(folder: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    whole = folder.absolute()
    return next(place for place in (whole, *whole.parents) if place.exists())
