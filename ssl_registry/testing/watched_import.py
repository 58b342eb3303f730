"""Import a plugin's modules in this fresh process and say who imports a heavy one; see `light`.

python -m ssl_registry.testing.watched_import HEAVY HEAVY_TO_LIST DECLARATION [CONFIG ...]
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any


class Watch:
    """Watches `import` itself: afterwards sys.modules does not tell who was the first.

    Args:
        heavy: Top-level names that are looked for.
        own: Top-level names of the plugin; they are blamed for what they make others import.
    """

    def __init__(self, heavy: Iterable[str], own: Iterable[str]) -> None:
        self.heavy, self._own = set(heavy), set(own)
        self.found: dict[str, Any] | None = None
        self._import = builtins.__import__

    def __call__(self, name: str, *rest: Any, **named: Any) -> Any:
        """Import as Python does, and note the first heavy library, by whom, and its seconds."""
        top = name.partition(".")[0]
        relative = (rest[3] if len(rest) > 3 else named.get("level", 0)) > 0
        if self.found or relative or top not in self.heavy or top in sys.modules:
            return self._import(name, *rest, **named)
        module, line = self._blamed()
        self.found = {"library": top, "module": module, "line": line, "seconds": 0.0}
        began = time.perf_counter()
        try:
            return self._import(name, *rest, **named)
        finally:
            self.found["seconds"] = time.perf_counter() - began

    def _blamed(self) -> tuple[str, int]:
        """The module and line of the plugin's that led here; else what led here directly."""
        callers = list(self._callers())
        own = [caller for caller in callers if caller[0].partition(".")[0] in self._own]
        return (own or callers)[0]

    def _callers(self) -> Iterator[tuple[str, int]]:
        frame = sys._getframe(3)
        while frame is not None:
            name = frame.f_globals.get("__name__", "")
            if not name.startswith("importlib"):
                yield name, frame.f_lineno
            frame = frame.f_back  # type: ignore[assignment]

    def there(self, module: str, began: float) -> None:
        """Note a heavy library that came in by another way than `import`, with `module`."""
        present = sorted(self.heavy & sys.modules.keys())
        if present and not self.found:
            took = time.perf_counter() - began
            self.found = {"library": present[0], "module": module, "line": 0, "seconds": took}


def main() -> None:
    """Import what the command line names, up to the first heavy library; write it as JSON."""
    heavy, to_list = (set(names.split(",")) for names in sys.argv[1:3])
    modules = sys.argv[3:]
    watch = Watch(heavy | to_list, (name.partition(".")[0] for name in modules))
    with contextlib.redirect_stdout(sys.stderr):
        builtins.__import__ = watch
        for number, name in enumerate(modules):
            began = time.perf_counter()
            module = importlib.import_module(name)
            if number == 0:  # the declaration, which is asked for every listing
                list(getattr(module, "ssl_registry_components", tuple)())
            watch.there(name, began)
            if watch.found:
                break
            watch.heavy = heavy
    sys.stdout.write(json.dumps(watch.found))


if __name__ == "__main__":
    main()
