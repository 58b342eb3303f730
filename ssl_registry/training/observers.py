"""Calling the observer hooks of plugins; one that raises is reported and left out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_registry.discovery import PluginRecord, plugins


class ObserverWarning(UserWarning):
    """An observer plugin raised; the run goes on without it."""


class Observers:
    """The observers of one run."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._watching = [plugin for plugin in plugins() if plugin.manager is not None]

    def started(self, config: Mapping[str, Any]) -> None:
        """Tell them that the run began."""
        self._call("run_started", config=config)

    def epoch_ended(self, epoch: int, row: Mapping[str, Any]) -> None:
        """Tell them what was logged at the end of an epoch."""
        self._call("epoch_ended", epoch=epoch, row=row)

    def finished(self, summary: Mapping[str, Any]) -> None:
        """Tell them that the run ended well."""
        self._call("run_finished", summary=summary)

    def _call(self, hook: str, **arguments: Any) -> None:
        for plugin in tuple(self._watching):
            self._call_one(plugin, hook, arguments)

    def _call_one(self, plugin: PluginRecord, hook: str, arguments: Mapping[str, Any]) -> None:
        if plugin.manager is None:
            return
        try:
            getattr(plugin.manager.hook, hook)(run=self._run, **arguments)
        except Exception as error:  # a foreign observer must never stop a run
            self._watching.remove(plugin)
            warnings.warn(
                f"observer {plugin.provider} raised {type(error).__name__} in {hook}: {error}; "
                "it is left out for the rest of the run",
                ObserverWarning,
                stacklevel=2,
            )
