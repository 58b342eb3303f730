"""The generated pages of the components in the navigation, grouped by their kind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

FOLDER = "components/"
_LINK = re.compile(r"\]\((\w+)-\w+\.md\)")


def on_config(config: Any) -> Any:
    """Put the pages in the place of the entry that names their folder."""
    config.nav = _filled(config.nav, Path(config.docs_dir) / FOLDER)
    return config


def _filled(entry: Any, folder: Path) -> Any:
    if isinstance(entry, list):
        return [_filled(item, folder) for item in entry]
    if isinstance(entry, dict):
        return {title: _filled(item, folder) for title, item in entry.items()}
    return _pages(folder) if entry == FOLDER else entry


def _pages(folder: Path) -> list[Any]:
    """The pages of each kind in the order in which their overview names the kinds."""
    overview = (folder / "index.md").read_text(encoding="utf-8")
    groups: list[Any] = [f"{FOLDER}index.md"]
    for kind in dict.fromkeys(_LINK.findall(overview)):
        pages = sorted(folder.glob(f"{kind}-*.md"))
        named = [{page.stem.partition("-")[2]: f"{FOLDER}{page.name}"} for page in pages]
        groups.append({f"{kind.capitalize()}s": named})
    others = sorted(page.name for page in folder.glob("*.md") if "-" not in page.name)
    groups += [f"{FOLDER}{name}" for name in others if name != "index.md"]
    return groups
