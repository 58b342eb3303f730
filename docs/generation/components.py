"""A page for each bundled component, made from the component itself.

The text is that of the docstrings (of the factory, of its plugin's losses, of its config), the
tables those of the settings and of what a dataset says of itself.
"""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import Any, Final

import torch

from generation.markdown import table, text_of
from ssl_registry import registry
from ssl_registry.build import build_backbone
from ssl_registry.cli.settings import settings
from ssl_registry.config.presets import SECTIONS, layers, sections
from ssl_registry.interfaces.dataset import DatasetInfo
from ssl_registry.registry import Found
from ssl_registry.spec import FILE_KINDS, KINDS

DISTRIBUTION: Final = "ssl-registry"
INTRODUCTIONS: Final = {
    "method": "What pre-training optimises.",
    "backbone": "Turn an image into a pyramid of feature maps. Which go with which decoder: "
    "[networks](../networks.md).",
    "decoder": "Turn a pyramid into a map of the image's size. Any goes with any backbone.",
    "augmentation": "Make the views that a method compares.",
    "dataset": "Read an official release, or make images.",
    "task": "What fine-tuning optimises.",
    "executor": "Where the runs of a study are computed.",
}


def bundled(kind: str) -> list[Found]:
    """The components of `kind` that the library itself ships."""
    return [f for f in registry.components(kind) if f.plugin.distribution == DISTRIBUTION]


def file_of(found: Found) -> str:
    """Name of a component's page."""
    return f"{found.component.kind}-{found.component.name}.md"


def link(found: Found) -> str:
    """A link from one page to another."""
    return f"[`{found.component.name}`]({file_of(found)})"


def page(found: Found) -> str:
    """The page of a component."""
    kind, name = found.component.kind, found.component.name
    factory, model = registry.factory(kind, name), registry.config_model(kind, name)
    text, settled = text_of(factory), text_of(model)
    parts = [
        f"# {kind.capitalize()} `{name}`",
        found.component.summary.rstrip(".") + ".",
        text.prose,
    ]
    if text.refusals:
        parts += ["It refuses, with an error:", "\n".join(f"- {what}" for what in text.refusals)]
    if kind == "dataset":
        # A dataset that is the user's own knows what it is only once it is built.
        parts.append(_facts(name, factory.info) if hasattr(factory, "info") else "")
    if kind == "backbone":
        parts.append(_pyramid(model))
    if kind in ("method", "task"):
        parts += _losses(found)
    rows = (
        (f"`{key}`", type_, f"`{default}`", what)
        for key, type_, default, what in settings(model)
        if key != "name"
    )
    head = ("setting", "type", "default", "what, and why")
    parts += ["## Settings", settled.prose, table(head, rows)]
    augmentation = getattr(model, "default_augmentation", "")
    if augmentation:
        used = registry.find("augmentation", augmentation)
        parts.append(
            f"Where a config names no augmentation, {link(used)} is taken. The optimizer is no "
            "part of the method: without a preset a run takes Adam at 3e-4, as small batches on "
            "one device like it; the presets below bring the authors' own."
        )
    presets = [f for f in bundled("preset") if _uses(f, kind, name)]
    if presets:
        items = [
            f"- [`{p.component.name}`](presets.md#{p.component.name}): {p.component.summary}"
            for p in presets
        ]
        parts += ["## Presets", "\n".join(items)]
    parts += ["## Where it is", _place(found)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(name: str, info: DatasetInfo) -> str:
    classes = ", ".join(info.classes) or "no masks"
    if len(info.classes) > 1:
        classes += "; a pixel has at most one" if info.exclusive else "; they may overlap"
    rows = [
        ("organ", info.organ),
        ("modality", info.modality),
        ("channels", str(info.channels)),
        ("classes of the masks", classes),
        ("licence", info.licence),
        ("cite", info.citation),
        ("source", info.source),
    ]
    if info.release is not None:
        totals = ", ".join(f"{what}: {count:,}" for what, count in info.release.totals.items())
        rows += [("release", info.release.version), ("it holds", totals)]
        rows.append(("to get it", _how_to_get(name, info)))
    return table(("", ""), (row for row in rows if row[1]))


def _how_to_get(name: str, info: DatasetInfo) -> str:
    if info.release is not None and info.release.downloads:
        return f"`ssl-registry data download {name}`"
    return info.release.by_hand if info.release is not None else ""


def _pyramid(model: type[Any]) -> str:
    if any(field.is_required() for field in model.model_fields.values()):
        return ""
    backbone = build_backbone(model(), in_channels=1)
    count = sum(parameter.numel() for parameter in backbone.parameters())
    rows = [
        ("channels", ", ".join(map(str, backbone.channels))),
        ("reductions", ", ".join(map(str, backbone.reductions))),
        ("smallest image", f"{backbone.minimum_size} px"),
        ("parameters, for one channel", f"{count:,}"),
    ]
    return "With its default settings:\n\n" + table(("", ""), rows)


def _losses(found: Found) -> list[str]:
    """The functions of the plugin's module `loss`, which hold the equations."""
    package = found.component.factory.partition(":")[0].partition(".")[0]
    module: ModuleType = importlib.import_module(f"{package}.loss")
    functions = inspect.getmembers(module, inspect.isfunction)
    own = [f for name, f in functions if f.__module__ == module.__name__ and name[0] != "_"]
    return ["## Loss", *(text_of(function).prose for function in own)]


def _uses(preset: Found, kind: str, name: str) -> bool:
    """Whether a preset, or one it builds upon, names the component."""
    key = {"dataset": "data"}.get(kind, kind)
    for section in sections([preset.component.name]):
        for layer in layers([preset.component.name], section):
            value = layer.table.get(key)
            entries = value if isinstance(value, list) else [value]
            if any(
                entry == name or (isinstance(entry, dict) and entry.get("name") == name)
                for entry in entries
            ):
                return True
    return False


def _place(found: Found) -> str:
    component = found.component
    rows = [
        ("plugin", f"`{found.plugin.name}`"),
        ("built by", f"`{component.factory}`"),
        ("settings", f"`{component.config}`"),
    ]
    return table(("", ""), rows)


def presets_page() -> str:
    """The page that shows all presets."""
    parts = [
        "# Presets",
        "A preset holds settings that belong together, each with its reason. A config names one or "
        "several and overrides what it wants to; `ssl-registry config show FILE` prints what comes "
        "out.",
        '```toml\npreset = ["simclr-paper", "paper-multi-organ"]\nbackbone = "resnet18"\n\n'
        "[training]\nepochs = 50\n```",
        "Tables are merged, key by key. A table with another `name` replaces the preset's, and so "
        "does a list; single entries of a list are changed by their place, as in "
        "`--set data.0.root=/images/busi`. Where data lie is best said once, by the environment "
        "variable `SSL_REGISTRY_DATA`. A run records the presets it was laid over, with their "
        "versions; its id depends only on the settings that came out.",
    ]
    for found in bundled("preset"):
        name = found.component.name
        kinds = " and ".join(s for s in SECTIONS if s in sections([name]))
        parts += [f"## {name}", f"{found.component.summary} (for {kinds})."]
        parts.append(f"```toml\n{registry.resource('preset', name).strip()}\n```")
    return "\n\n".join(parts) + "\n"


def studies_page() -> str:
    """The page that shows all studies."""
    parts = [
        "# Studies",
        "A study says which pre-trainings and fine-tunings there are; "
        "`ssl-registry study run NAME` does what is missing of it. How such a file is written: "
        "[studies](../study.md).",
    ]
    for found in bundled("study"):
        name = found.component.name
        parts += [f"## {name}", f"{found.component.summary}."]
        parts.append(f"```toml\n{registry.resource('study', name).strip()}\n```")
    return "\n\n".join(parts) + "\n"


def index_page() -> str:
    """The page that leads to all others."""
    parts = [
        "# Components",
        "What the bundled plugins offer. The pages are made from the components themselves by "
        "`docs/generate.py`. For plugins of others there is "
        "`ssl-registry components show KIND NAME`.",
    ]
    for kind in (k for k in KINDS if k not in FILE_KINDS):
        rows = [(link(f), f.component.summary) for f in bundled(kind)]
        parts += [f"## {kind.capitalize()}s", INTRODUCTIONS[kind], table(("name", "what"), rows)]
    parts += ["## Presets", "Settings that a config names and overrides: [presets](presets.md)."]
    parts += ["## Studies", "Many runs from one file: [studies](studies.md)."]
    return "\n\n".join(parts) + "\n"


def component_pages() -> dict[str, str]:
    """The pages of all components, by file name."""
    torch.manual_seed(0)
    found = [f for kind in KINDS if kind not in FILE_KINDS for f in bundled(kind)]
    return {
        "index.md": index_page(),
        "presets.md": presets_page(),
        "studies.md": studies_page(),
        **{file_of(f): page(f) for f in found},
    }
