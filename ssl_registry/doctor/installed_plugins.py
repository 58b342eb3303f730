"""Plugins that are broken or disabled, and names that several of them offer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution

from ssl_registry.discovery import DISABLE_VARIABLE, PluginRecord, disabled_names, plugins
from ssl_registry.doctor.finding import Finding
from ssl_registry.requirements import OWN_NAME, needs_of


def installed_plugins() -> Iterator[Finding]:
    """How many work, and each one that does not or only in part."""
    records = plugins()
    working = [record for record in records if record.status == "ok"]
    yield Finding("working", f"{len(working)} of {len(records)}")
    for record in records:
        title = f"{record.name} ({record.distribution} {record.version})"
        if record.status == "broken":
            yield Finding(title, f"broken: {record.reason}", "broken", record.advice)
        elif record.status == "disabled":
            advice = f"take it out of {DISABLE_VARIABLE} to have it back"
            yield Finding(title, f"disabled: {record.reason}", "note", advice)
    yield from _clashes(working)
    yield from _disabled_for_nothing(records)
    yield from _lacking(working)


def _clashes(records: Sequence[PluginRecord]) -> Iterator[Finding]:
    """Names that several plugins offer, which have to be written with their provider."""
    providers: dict[tuple[str, str], list[str]] = {}
    for record in records:
        for component in record.components:
            offered = (component.kind, component.name)
            providers.setdefault(offered, []).append(record.provider)
    for (kind, name), offering in providers.items():
        if len(offering) > 1:
            value = f"is offered by {' and '.join(offering)}: the bare name is refused"
            advice = (
                f"write {offering[0]}/{name} in configs, or leave one out with {DISABLE_VARIABLE}"
            )
            yield Finding(f"{kind} {name}", value, "broken", advice)


def _disabled_for_nothing(records: Sequence[PluginRecord]) -> Iterator[Finding]:
    """Names in the variable that no plugin has."""
    for name in sorted(disabled_names()):
        if not any(record.answers_to(name) for record in records):
            yield Finding(DISABLE_VARIABLE, f"names {name!r}, which is no plugin", "note")


def _lacking(records: Sequence[PluginRecord]) -> Iterator[Finding]:
    """What working plugins of others ask for in their metadata that is not there."""
    for name in sorted({record.distribution for record in records} - {OWN_NAME}):
        try:
            needs = needs_of(distribution(name))
        except (PackageNotFoundError, ValueError):
            continue
        for need in needs:
            if not need.met:
                advice = f"pip install --upgrade '{need.text}'"
                yield Finding(name, f"asks for {need.text}: {need.told}", "note", advice)
