"""What distributions ask for in their metadata, and whether it is installed."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, version
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

OWN_NAME: Final = "ssl-registry"


@dataclass(frozen=True)
class Need:
    """One thing that a distribution asks for.

    Attributes:
        name: The distribution it asks for, in lower case with dashes.
        text: With its versions, as pip takes it: `tensorboard>=2.16`.
        installed: The version that is there; empty if there is none.
        met: Whether it is there in a version that is asked for.
        extra: The extra that asks for it; empty for what is always needed.
    """

    name: str
    text: str
    installed: str
    met: bool
    extra: str = ""

    @property
    def told(self) -> str:
        """What is installed of it, in words."""
        if not self.installed:
            return "not installed"
        return f"{self.installed} is installed" + ", which will not do" * (not self.met)


def needs_of(distribution: Distribution | None, extra: str = "") -> list[Need]:
    """What a distribution always asks for here, or what its `extra` asks for beyond that.

    A line that cannot be understood is passed over.
    """
    found = (_need(line, extra) for line in (distribution and distribution.requires) or ())
    return [need for need in found if need is not None]


def extras_of(distribution: Distribution) -> list[str]:
    """The extras that a distribution declares."""
    return distribution.metadata.get_all("Provides-Extra") or []


def installed_version(name: str) -> str:
    """The version of an installed distribution; empty if it is not there, or lost its version."""
    try:
        return version(name) or ""
    except (PackageNotFoundError, KeyError):
        return ""


def _need(line: str, extra: str) -> Need | None:
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return None
    marker = requirement.marker
    always = marker is None or marker.evaluate({"extra": ""})
    by_extra = marker is not None and not always and marker.evaluate({"extra": extra})
    if not (by_extra if extra else always):
        return None
    name = canonicalize_name(requirement.name)
    installed = installed_version(name)
    return Need(name, _text(requirement), installed, _is_met(requirement, installed), extra)


def _text(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


def _is_met(requirement: Requirement, installed: str) -> bool:
    try:
        return bool(installed) and requirement.specifier.contains(installed, prereleases=True)
    except InvalidVersion:
        return False
