"""What a Ray actor does: one piece of work after another, in a process that stays."""

from __future__ import annotations

from typing import Any

from ssl_registry import Work


class RayWorker:
    """Becomes an actor; imports, data and weights stay in its memory between pieces of work."""

    def perform(self, work: dict[str, Any]) -> Any:
        """Do a piece of work, given as its fields; gives what it gives."""
        return Work(**work).perform()
