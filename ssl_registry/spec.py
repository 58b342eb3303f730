"""What a plugin declares: components and hooks.

A plugin is a module named by an entry point of the group `ssl_registry`. It sets
`SSL_REGISTRY_API = 1` and implements hooks of `HookSpec`, marked with `hookimpl`. The module
itself must stay light: targets are strings and are imported when a component is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

import pluggy

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
    "preset",
    "experiment",
]
KINDS: Final[tuple[str, ...]] = get_args(Kind)
FILE_KINDS: Final = frozenset({"preset", "experiment"})
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
            for the kinds `preset` and `experiment`, `"package:file.toml"`, a file shipped in the
            package.
        config: `"package.config:Model"`, its pydantic model; empty for presets and experiments.
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
        targets = [self.factory] if self.kind in FILE_KINDS else [self.factory, self.config]
        for target in targets:
            module, _, attribute = target.partition(":")
            if not module or not attribute:
                raise ValueError(
                    f"{self.kind} {self.name!r}: target {target!r} is not of the form "
                    "'package.module:Attribute'"
                )


class HookSpec:
    """The hooks a plugin may implement. All are optional, but one must be there."""

    @hookspec
    def ssl_registry_components(self) -> Iterable[Component]:  # type: ignore[empty-body]
        """Yield the components this plugin offers."""

    @hookspec
    def run_started(self, run: Path, config: Mapping[str, Any]) -> None:
        """Observe that a run began in the folder `run` with the resolved `config`."""

    @hookspec
    def epoch_ended(self, run: Path, epoch: int, row: Mapping[str, Any]) -> None:
        """Observe the row that was written to `log.jsonl` at the end of an epoch (from 1)."""

    @hookspec
    def run_finished(self, run: Path, summary: Mapping[str, Any]) -> None:
        """Observe that the run in folder `run` ended well, with its summary."""
