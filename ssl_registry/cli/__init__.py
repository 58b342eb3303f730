"""The runner `ssl-registry`: one small file a command group, imported when it is used."""

from ssl_registry.cli.runner import main

__all__ = ["main"]
