"""Paths as users write them: `~` is their home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator


def expanded(path: Path | str) -> Path:
    """The path with a `~` at its beginning replaced by the home that it stands for."""
    return Path(path).expanduser()


UserPath = Annotated[Path, AfterValidator(expanded)]
"""The type of a setting that is a path."""
