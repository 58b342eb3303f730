"""Calling observers, those of plugins and those a caller gives; none of them can stop a run."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pluggy
from numpy.typing import NDArray

from ssl_registry.discovery import plugins
from ssl_registry.errors import ConfigError
from ssl_registry.spec import ENTRY_POINT_GROUP, OBSERVER_HOOKS, HookSpec

Pictures = Mapping[str, NDArray[np.uint8]]


class ObserverWarning(UserWarning):
    """An observer raised; the run goes on without it."""


@dataclass(frozen=True)
class _Observer:
    """One observer: whose it is, and its hooks."""

    name: str
    hooks: pluggy.PluginManager


class _ObjectManager(pluggy.PluginManager):
    """Takes an object's methods that are named as observer hooks, marked or not."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> pluggy.HookimplOpts | None:
        """The options of a method: none but the defaults; None for what is no hook."""
        if name not in OBSERVER_HOOKS or not callable(getattr(plugin, name)):
            return None
        return pluggy.HookimplOpts(
            wrapper=False,
            hookwrapper=False,
            optionalhook=False,
            tryfirst=False,
            trylast=False,
            specname=None,
        )


class Observers:
    """The observers of one run, which are called one by one.

    Args:
        run: The run's folder.
        given: Objects with observer hooks as methods, beside those of plugins.

    Raises:
        ConfigError: A given object has none of the methods, or takes an argument there is not.
    """

    def __init__(self, run: Path, given: Sequence[object] = ()) -> None:
        self._run = run
        self._can_draw = True
        self._watching = [
            _Observer(f"observer {plugin.provider}", plugin.manager)
            for plugin in plugins()
            if plugin.manager is not None
        ]
        self._watching += [_given(observer) for observer in given]

    @property
    def want_pictures(self) -> bool:
        """Whether anybody is there to look at pictures."""
        return self._can_draw and any(
            observer.hooks.hook.pictures_made.get_hookimpls() for observer in self._watching
        )

    def started(self, config: Mapping[str, Any]) -> None:
        """Ask plugins for observers of this run, and tell all that it began."""
        for plugin in tuple(self._watching):
            for answer in self._call_one(plugin, "run_observer", {"config": config}):
                self._admit(plugin, answer)
        self._call("run_started", config=config)

    def epoch_ended(self, epoch: int, row: Mapping[str, Any]) -> None:
        """Tell them what was logged at the end of an epoch."""
        self._call("epoch_ended", epoch=epoch, row=row)

    def pictures_made(self, epoch: int, make: Callable[[int], Pictures]) -> None:
        """Show them the pictures that `make(epoch)` gives, if any; drawn only if they are wanted.

        If they cannot be drawn, that is reported, and there are none for the rest of the run.
        """
        if not self.want_pictures:
            return
        try:
            pictures = make(epoch)
        except Exception as error:  # pictures are for onlookers alone
            self._can_draw = False
            warnings.warn(
                f"there are no pictures for observers: {type(error).__name__}: {error}",
                ObserverWarning,
                stacklevel=2,
            )
            return
        if pictures:
            self._call("pictures_made", epoch=epoch, pictures=pictures)

    def finished(self, summary: Mapping[str, Any]) -> None:
        """Tell them that the run ended well."""
        self._call("run_finished", summary=summary)

    def _admit(self, plugin: _Observer, observer: object) -> None:
        """Take in what a plugin gave for this run."""
        with self._reported(plugin, "run_observer"):
            self._watching.append(_Observer(plugin.name, _manager_of(observer)))

    def _call(self, hook: str, **arguments: Any) -> None:
        for observer in tuple(self._watching):
            self._call_one(observer, hook, arguments)

    def _call_one(self, observer: _Observer, hook: str, arguments: Mapping[str, Any]) -> list[Any]:
        answers: list[Any] = []
        caller = getattr(observer.hooks.hook, hook)
        if not caller.get_hookimpls():
            return answers
        with self._reported(observer, hook):
            # Each gets copies: what one of them changes must not reach the run or another.
            answers = caller(run=self._run, **copy.deepcopy(dict(arguments)))
        return answers

    @contextmanager
    def _reported(self, observer: _Observer, hook: str) -> Iterator[None]:
        """Report what the block raises, and leave the observer out from then on."""
        try:
            yield
        except (Exception, SystemExit) as error:  # a foreign observer must never stop a run
            self._watching.remove(observer)
            warnings.warn(
                f"{observer.name} raised {type(error).__name__} in {hook}: "
                f"{' '.join(str(error).split())}; "
                "it is left out for the rest of the run",
                ObserverWarning,
                stacklevel=2,
            )


def _given(observer: object) -> _Observer:
    """An observer that the caller of a run gives."""
    try:
        return _Observer(f"the observer {type(observer).__name__}", _manager_of(observer))
    except (ValueError, pluggy.PluginValidationError) as error:
        raise ConfigError(f"observers: {' '.join(str(error).split())}") from error


def _manager_of(observer: object) -> pluggy.PluginManager:
    """Calls the hooks of an object that is no plugin."""
    manager = _ObjectManager(ENTRY_POINT_GROUP)
    manager.add_hookspecs(HookSpec)
    manager.register(observer, name=type(observer).__name__)
    if not manager.get_hookcallers(observer):
        raise ValueError(
            f"{type(observer).__name__} observes nothing: it has none of the methods "
            f"{', '.join(OBSERVER_HOOKS)}"
        )
    return manager
