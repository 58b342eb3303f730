"""What to do about a plugin that cannot be used, as far as its own metadata tell."""

from __future__ import annotations

from importlib.metadata import Distribution

import ssl_registry
from ssl_registry.requirements import OWN_NAME, Need, needs_of
from ssl_registry.spec import API_VERSION


def advice_for_api(number: object, distribution: Distribution | None) -> str:
    """What to install where a plugin states another API number than this ssl-registry has."""
    own = _own_need(distribution)
    if isinstance(number, int) and number > API_VERSION:
        return _advice_for_newer(own, distribution)
    advice = "install a newer release of the plugin" + _release(distribution, ">")
    if own is not None and not own.met:
        advice += f", or the {OWN_NAME} that it asks for: pip install '{own.text}'"
    return advice


def _advice_for_newer(own: Need | None, distribution: Distribution | None) -> str:
    older = "or install an earlier release of the plugin" + _release(distribution, "<")
    if own is not None and not own.met:
        return f"install the {OWN_NAME} that it asks for: pip install '{own.text}'; {older}"
    said = f"ask for {own.text}, which {ssl_registry.__version__} is" if own else "do not say"
    return (
        f"upgrade {OWN_NAME}: pip install --upgrade {OWN_NAME} (which release it needs, its "
        f"metadata {said}: tell its author); {older}"
    )


def advice_for_error(error: BaseException, module: str, distribution: Distribution | None) -> str:
    """What to do where a plugin's module raised `error` when it was imported or asked."""
    name = _name(distribution)
    own = _own_need(distribution)
    if own is not None and not own.met:
        return f"install the {OWN_NAME} that it asks for: pip install '{own.text}'"
    missing = error.name if isinstance(error, ModuleNotFoundError) and error.name else ""
    top = missing.partition(".")[0]
    if top and top == module.partition(":")[0].partition(".")[0]:
        return f"its files are not there; install it again: pip install --force-reinstall {name}"
    lacking = [need.text for need in needs_of(distribution) if not need.met]
    if lacking:
        wanted = " ".join(f"'{text}'" for text in lacking)
        return f"install what it asks for: pip install {wanted}"
    if top and top != "ssl_registry":
        return (
            f"install what brings the module {top!r}, which its metadata do not ask for: tell "
            "its author"
        )
    return advice_for_contract(distribution)


def advice_for_contract(distribution: Distribution | None) -> str:
    """What to do where only the plugin's author can mend it."""
    name = _name(distribution)
    return f"upgrade it (pip install --upgrade {name}) or tell its author; no other plugin is hurt"


def _own_need(distribution: Distribution | None) -> Need | None:
    """What the plugin asks of ssl-registry, if its metadata say it."""
    return next((need for need in needs_of(distribution) if need.name == OWN_NAME), None)


def _name(distribution: Distribution | None) -> str:
    return (distribution.name if distribution is not None else None) or "the plugin's package"


def _release(distribution: Distribution | None, sign: str) -> str:
    """`: pip install 'name>1.0'`, where name and version are known."""
    if distribution is None or not distribution.name or not distribution.version:
        return ""
    return f": pip install '{distribution.name}{sign}{distribution.version}'"
