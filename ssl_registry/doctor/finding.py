"""One thing that was looked at, and how it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "note", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: What.
        value: How it is, in words.
        level: `ok`; `note`, worth knowing; or `broken`, to be mended by the user.
        advice: What to do about it.
    """

    name: str
    value: str
    level: Level = "ok"
    advice: str = ""


@dataclass(frozen=True)
class Section:
    """Findings about one subject."""

    title: str
    findings: tuple[Finding, ...]
