"""Which module of a plugin imports a heavy library, found out in a fresh process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from ssl_registry.fresh_interpreter import NotDoneError, run_module
from ssl_registry.testing.check import CheckFailure

HEAVY: Final = (
    "torch",
    "torchvision",
    "timm",
    "kornia",
    "numpy",
    "scipy",
    "pandas",
    "matplotlib",
    "PIL",
    "nibabel",
    "av",
)
"""Libraries whose import takes a noticeable part of a second."""
HEAVY_TO_LIST: Final = ("pydantic",)
"""Further ones that only configs may import: the declaration is imported for every listing."""


@dataclass(frozen=True)
class HeavyImport:
    """A heavy library that is imported when a plugin is listed.

    Attributes:
        library: The library, such as `torch`.
        module: The module that imports it.
        line: In which line; 0 if that is not known.
        seconds: What its import takes.
    """

    library: str
    module: str
    line: int
    seconds: float

    def __str__(self) -> str:
        """Who imports what, at what cost."""
        where = f"{self.module}, line {self.line}," if self.line else self.module
        return f"{where} imports {self.library}, which takes {self.seconds:.1f} s"


def heavy_import(declaration: str, configs: tuple[str, ...] = ()) -> HeavyImport | None:
    """The first heavy library that a plugin's declaration or its config modules import.

    Args:
        declaration: The module that the entry point names.
        configs: The modules of its configs.

    Raises:
        CheckFailure: A module cannot be imported in a process of its own.
    """
    sets = (",".join(HEAVY), ",".join(HEAVY_TO_LIST))
    try:
        done = run_module("ssl_registry.testing.watched_import", [*sets, declaration, *configs])
    except NotDoneError as error:
        raise CheckFailure(f"its import in a fresh process is {error}") from error
    if done.returncode:
        told = done.stderr.decode(errors="replace").strip().splitlines()
        last = told[-1] if told else f"it ended with status {done.returncode}, without a message"
        raise CheckFailure(f"it cannot be imported in a fresh process: {last}")
    found = json.loads(done.stdout)
    return None if found is None else HeavyImport(**found)
