"""A component under check: its config and how it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ssl_registry.config.load import validate
from ssl_registry.config.model import ComponentConfig
from ssl_registry.errors import ConfigError, PluginError
from ssl_registry.registry import Found, load_target, model_of
from ssl_registry.testing.check import SubjectFailure


class Subject:
    """A component, found without regard to others of its name.

    Attributes:
        found: The component and its plugin.
    """

    def __init__(self, found: Found) -> None:
        self.found = found

    @property
    def name(self) -> str:
        """The component's name."""
        return self.found.component.name

    @property
    def model(self) -> type[ComponentConfig]:
        """Its config model; the core's where it declares none.

        Raises:
            PluginError: It cannot be imported, or is no `ComponentConfig`.
        """
        return model_of(self.found)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings under which it is checked, as its config model names them."""
        return self.model.check_settings

    def config(self, **settings: Any) -> ComponentConfig:
        """Its config with `check_settings`, and `settings` over them.

        Raises:
            SubjectFailure: They are not valid.
        """
        table = {"name": self.name, **self.settings, **settings}
        try:
            return validate(self.model, table, f"{self.found.described} with its check_settings")
        except ConfigError as error:
            raise SubjectFailure(f"its default settings are refused: {error}") from error

    def factory(self) -> Callable[..., Any]:
        """What builds it.

        Raises:
            SubjectFailure: It cannot be imported.
        """
        try:
            built: Callable[..., Any] = load_target(self.found.component.factory, self.found)
        except PluginError as error:
            raise SubjectFailure(str(error)) from error
        return built
