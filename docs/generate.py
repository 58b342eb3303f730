"""Writes the generated pages: `docs/components/` and `docs/reference/`.

They are made from components, commands, configs and docstrings. Run it after a change to one of
these, and commit what it writes:

    python docs/generate.py

A test compares.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from generation.commands import commands_page
from generation.components import component_pages
from generation.configs import configs_page
from generation.python_names import python_pages

DOCS: Final = Path(__file__).parent
FOLDERS: Final = ("components", "reference")
"""Folders that hold generated pages and nothing else."""


def pages() -> dict[str, str]:
    """All generated pages by their place in `docs/`."""
    reference = {
        "commands.md": commands_page(),
        "configs.md": configs_page(),
        **python_pages(),
    }
    return {f"components/{name}": text for name, text in component_pages().items()} | {
        f"reference/{name}": text for name, text in reference.items()
    }


def main() -> None:
    """Write all pages, and remove those of what is gone."""
    written = pages()
    for folder in FOLDERS:
        (DOCS / folder).mkdir(exist_ok=True)
        for old in (DOCS / folder).glob("*.md"):
            if f"{folder}/{old.name}" not in written:
                old.unlink()
    for name, text in written.items():
        (DOCS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
