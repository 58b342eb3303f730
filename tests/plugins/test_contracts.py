"""The bundled plugins keep the contracts that every plugin is held to."""

from __future__ import annotations

from ssl_registry.testing import Check, parametrize_checks


@parametrize_checks("ssl-registry")
def test_contract(check: Check) -> None:
    check()
