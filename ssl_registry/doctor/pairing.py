"""Whether torch and torchvision belong together.

torchvision's compiled operators fit one release of torch. With another one they are not
registered, and the import fails with `operator torchvision::nms does not exist`, which says
nothing of the reason; timm and kornia fail with it.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution

from ssl_registry.doctor.finding import Finding, Level
from ssl_registry.requirements import Need, needs_of

_KNOWN_UNTIL = 11
"""Up to torch 2.11, torchvision 0.(N + 15) belongs to torch 2.N; later ones are left to pip."""

_WHEELS = "https://download.pytorch.org/whl"


def pairing(torch: str, torchvision: str, error: str) -> Finding | None:
    """What is wrong between two installed versions; None if nothing is.

    Args:
        torch: Installed version, with its build, such as `2.11.0+cpu`.
        torchvision: The same.
        error: Of the import of torchvision; empty if it went well.
    """
    need = _need_of_torch()
    operators = "torchvision::" in error or "libtorch" in error or "undefined symbol" in error
    unmet = need is not None and not need.met
    builds = _build(torch), _build(torchvision)
    if not unmet and not (error and (operators or builds[0] != builds[1])):
        return None
    if unmet and need is not None:
        reason = f"torchvision {torchvision} asks for {need.text}, but torch is {torch}"
    elif builds[0] != builds[1]:
        reason = (
            f"torch {torch} and torchvision {torchvision} are of different builds "
            f"({builds[0] or 'that of PyPI'} and {builds[1] or 'that of PyPI'})"
        )
    else:
        reason = f"torchvision {torchvision} was not built for torch {torch}"
    if error:
        reason += f": its compiled operators are missing, so that it cannot be imported ({error})"
    level: Level = "broken" if error else "note"
    return Finding("torch and torchvision", reason, level, _advice(torch))


def partner_command(torch: str, options: str = "") -> str:
    """The command that installs the torchvision that belongs to this torch."""
    release, build = torch.partition("+")[0], _build(torch)
    command = f"pip install {options}'torch=={release}' torchvision{_partner(release)}"
    return f"{command} --index-url {_WHEELS}/{build}" if build else command


def _advice(torch: str) -> str:
    """What to install beside this torch."""
    release, command = torch.partition("+")[0], partner_command(torch, "--force-reinstall ")
    partner = _partner(release).strip("=.*")
    told = f"torchvision {partner} belongs to torch {release}" if partner else ""
    return f"{told}: {command}" if told else f"let pip choose what belongs together: {command}"


def _partner(release: str) -> str:
    """`==0.26.*` for torch 2.11; empty where it is not known."""
    found = re.match(r"2\.(\d+)", release)
    if found is None or int(found[1]) > _KNOWN_UNTIL:
        return ""
    return f"==0.{int(found[1]) + 15}.*"


def _build(version: str) -> str:
    return version.partition("+")[2]


def _need_of_torch() -> Need | None:
    """What torchvision asks of torch, in its metadata."""
    try:
        needs = needs_of(distribution("torchvision"))
    except PackageNotFoundError:
        return None
    return next((need for need in needs if need.name == "torch"), None)
