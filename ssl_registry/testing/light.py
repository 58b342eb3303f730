"""Which module of a plugin imports a heavy library, found out in a fresh process."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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

# Watches `import` itself, because afterwards sys.modules does not tell who was the first.
_PROGRAM: Final = """
import builtins, importlib, json, sys, time
heavy, to_list = (set(names.split(",")) for names in sys.argv[1:3])
modules = sys.argv[3:]
heavy |= to_list
own = {name.partition(".")[0] for name in modules}
plain, found = builtins.__import__, []

def blamed():
    frame, first = sys._getframe(2), None
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if not name.startswith("importlib"):
            first = first or (name, frame.f_lineno)
            if name.partition(".")[0] in own:
                return name, frame.f_lineno
        frame = frame.f_back
    return first

def watching(name, globals=None, locals=None, fromlist=(), level=0):
    top = name.partition(".")[0]
    if found or level or top not in heavy or top in sys.modules:
        return plain(name, globals, locals, fromlist, level)
    module, line = blamed()
    found.append({"library": top, "module": module, "line": line})
    start = time.perf_counter()
    try:
        return plain(name, globals, locals, fromlist, level)
    finally:
        found[0]["seconds"] = time.perf_counter() - start

report = sys.stdout
sys.stdout = sys.stderr
builtins.__import__ = watching
for name in modules:
    start = time.perf_counter()
    module = importlib.import_module(name)
    if name == modules[0]:
        list(getattr(module, "ssl_registry_components", tuple)())
    took = time.perf_counter() - start
    there = sorted(heavy & sys.modules.keys())
    if there and not found:
        found.append({"library": there[0], "module": name, "line": 0, "seconds": took})
    if found:
        break
    heavy -= to_list
report.write(json.dumps(found[0] if found else None))
"""
_LONGEST_SECONDS: Final = 120


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
    # A plugin that is found through a changed sys.path is found there, too.
    start = f"import sys; sys.path[:] = {json.dumps(sys.path)}\n"
    sets = (",".join(HEAVY), ",".join(HEAVY_TO_LIST))
    done = subprocess.run(
        [sys.executable, "-c", start + _PROGRAM, *sets, declaration, *configs],
        cwd=Path.home().anchor,
        capture_output=True,
        text=True,
        timeout=_LONGEST_SECONDS,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ended without a message"])[-1]
        raise CheckFailure(f"it cannot be imported in a fresh process: {last}")
    found = json.loads(done.stdout)
    return None if found is None else HeavyImport(**found)
