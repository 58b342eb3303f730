"""Imports torch at its top, which every listing pays for."""

from collections.abc import Iterable

import torch

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


DEVICE = torch.device("cpu")


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    return [Component("task", "heavy", "example_heavy:Task", "example_heavy:Config")]
