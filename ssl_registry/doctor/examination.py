"""The whole examination; whatever is broken, it comes to its end."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable

from ssl_registry.doctor.finding import Finding, Section

# Imported one by one, because what a module imports may be what is broken.
_SUBJECTS = {
    "versions": "versions:versions",
    "devices": "versions:devices",
    "packages": "packages:packages",
    "plugins": "installed_plugins:installed_plugins",
    "image caches": "storage:image_caches",
    "data sets": "storage:data_sets",
    "disks": "storage:disks",
}


def examine() -> list[Section]:
    """Look at everything; what cannot be looked at is itself a finding."""
    return [Section(title, tuple(_look(place))) for title, place in _SUBJECTS.items()]


def _look(place: str) -> list[Finding]:
    module, _, name = place.partition(":")
    try:
        look: Callable[[], Iterable[Finding]] = getattr(
            importlib.import_module(f"ssl_registry.doctor.{module}"), name
        )
        return list(look())
    except (Exception, SystemExit) as error:  # a doctor must not fall ill of what it looks at
        return [
            Finding(
                name.replace("_", " "),
                f"cannot be looked at: {type(error).__name__}: {' '.join(str(error).split())}",
                "broken",
                "install the library again: pip install --force-reinstall ssl-registry",
            )
        ]
