"""What a resumed run must have in common with its beginning, to end with the same bits."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from ssl_registry.nn.distributed import world_size
from ssl_registry.training.device import Execution


class ResumeWarning(UserWarning):
    """A resumed run computes otherwise than before, so its bits will differ."""


def deciding_facts(execution: Execution) -> dict[str, Any]:
    """What decides the bits of a result besides the config; a checkpoint keeps it."""
    return {
        "threads": execution.threads,
        "precision": execution.precision,
        "device": execution.device.type,
        "processes": world_size(),
    }


def warn_of_changes(kept: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Say what differs from the run's beginning.

    Args:
        kept: A checkpoint's state; those of earlier versions were all of one process.
        now: The facts of this process.

    Warns:
        ResumeWarning: Something differs.
    """
    before = {"processes": 1, **kept}
    changed = [f"{key} {before[key]} -> {now[key]}" for key in now if before[key] != now[key]]
    if changed:
        warnings.warn(
            f"resumed with {', '.join(changed)}: the result will not equal bit for bit that "
            "of the uninterrupted run; set training.threads, training.precision and "
            "training.device as before, and launch as many processes, if it must",
            ResumeWarning,
            stacklevel=3,
        )
