"""What a plugin declares: components and hooks.

A plugin is a module named by an entry point of the group `ssl_registry`. It sets
`SSL_REGISTRY_API = 1` and implements hooks of `HookSpec`, marked with `hookimpl`. The module
itself must stay light: targets are strings and are imported when a component is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import pluggy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

API_VERSION: Final = 1
"""The number a plugin states as `SSL_REGISTRY_API`; raised when the contracts break."""

ENTRY_POINT_GROUP: Final = "ssl_registry"

Kind = Literal[
    "method",
    "backbone",
    "decoder",
    "augmentation",
    "dataset",
    "task",
    "executor",
    "preset",
    "experiment",
    "study",
    "published",
]
KINDS: Final[tuple[str, ...]] = get_args(Kind)
FILE_KINDS: Final = frozenset({"preset", "experiment", "study", "published"})
"""Kinds that are data: files in a package, with nothing to build."""

hookspec = pluggy.HookspecMarker("ssl_registry")
hookimpl = pluggy.HookimplMarker("ssl_registry")


@dataclass(frozen=True)
class Component:
    """One thing a plugin offers.

    Attributes:
        kind: One of `KINDS`.
        name: The name configs use, unique within its kind.
        factory: `"package.module:Attribute"`, the class or function that builds the component;
            for the kinds of `FILE_KINDS`, `"package:file.toml"`, a file shipped in the package
            (presets, experiments and studies are TOML, published figures CSV).
        config: `"package.config:Model"`, its pydantic model; empty for `FILE_KINDS`.
        summary: One line for listings.
    """

    kind: str
    name: str
    factory: str
    config: str = ""
    summary: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"kind {self.kind!r} of {self.name!r} is not one of {', '.join(KINDS)}"
            )
        if not self.name or "/" in self.name or self.name != self.name.strip():
            raise ValueError(f"{self.name!r} is no usable component name")
        for target in (self.factory, self.config) if self.config else (self.factory,):
            module, _, attribute = target.partition(":")
            if not module or not attribute:
                raise ValueError(
                    f"{self.kind} {self.name!r}: target {target!r} is not of the form "
                    "'package.module:Attribute'"
                )


class HookSpec:
    """The hooks a plugin may implement. All are optional, but one must be there.

    The observer hooks may be functions of the plugin's module, which see every run, or methods of
    the object that `run_observer` gives for one run. They are called by the first process of a
    run alone; one that raises is reported, and that observer is left out for the rest of the run.
    """

    @hookspec
    def ssl_registry_components(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Yield the components this plugin offers."""

    @hookspec
    def run_observer(self, run: Path, config: Mapping[str, Any]) -> object | None:
        """Give an object that observes this run with methods named as the hooks below, or None.

        Called before `run_started`. This is the place for an observer that keeps something open
        during a run, or that takes part only when it is asked to.
        """

    @hookspec
    def run_started(self, run: Path, config: Mapping[str, Any]) -> None:
        """Observe that a run began, or went on, in the folder `run` with the resolved `config`."""

    @hookspec
    def epoch_ended(self, run: Path, epoch: int, row: Mapping[str, Any]) -> None:
        """Observe the row that was written to `log.jsonl` at the end of an epoch (from 1)."""

    @hookspec
    def pictures_made(
        self, run: Path, epoch: int, pictures: Mapping[str, NDArray[np.uint8]]
    ) -> None:
        """Observe pictures, RGB uint8 `[H, W, 3]` by name.

        Fine-tuning draws outlines of truth and prediction over a few validation images, the same
        ones after each validation. Pre-training shows the views of a few images once, before its
        first step, as epoch 0. Pictures are only made for observers that have this hook.
        """

    @hookspec
    def run_finished(self, run: Path, summary: Mapping[str, Any]) -> None:
        """Observe that the run in folder `run` ended well, with its summary."""


OBSERVER_HOOKS: Final = ("run_started", "epoch_ended", "pictures_made", "run_finished")
"""The hooks that an observer object may have as methods."""
