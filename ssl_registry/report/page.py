"""Rendering of a report's template into one self-contained page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_registry.files import write_text
from ssl_registry.report.numbers import aggregate_value, duration, fact, number


def write_page(path: Path, template: str, **content: Any) -> None:
    """Render a template of this package and write it at once.

    Everything that comes from a run is escaped; the page holds its pictures and its style, and
    loads nothing.

    Raises:
        RunError: The place is not writable.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ssl_registry.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "fact": fact, "duration": duration}
    environment.globals["aggregate_value"] = aggregate_value
    write_text(path, environment.get_template(template).render(**content))


def as_json(value: Mapping[str, object]) -> str:
    """A config as indented JSON; paths and the like as text."""
    return json.dumps(value, indent=2, default=str, ensure_ascii=False)
