"""A component under check: its config and how it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ssl_registry.config.load import validate
from ssl_registry.config.model import ComponentConfig
from ssl_registry.registry import Found, load_target, model_of


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
            ConfigError: They are not valid.
        """
        table = {"name": self.name, **self.settings, **settings}
        return validate(self.model, table, f"{self.found.described} with its check_settings")

    def factory(self) -> Callable[..., Any]:
        """What builds it.

        Raises:
            PluginError: It cannot be imported.
        """
        built: Callable[..., Any] = load_target(self.found.component.factory, self.found)
        return built
