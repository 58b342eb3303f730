"""Exporting an exchange folder for another library, with its card and under a stated licence."""

from __future__ import annotations

from dataclasses import replace as changed
from pathlib import Path

from ssl_registry.errors import WeightsError
from ssl_registry.files import new_folder, write_json, write_text
from ssl_registry.weights.card import CARD, Card
from ssl_registry.weights.licences import data_used, stated_licence
from ssl_registry.weights.read import Weights, read_weights
from ssl_registry.weights.readme import readme
from ssl_registry.weights.targets import exporter
from ssl_registry.weights.targets.contract import Exported, ExportOptions
from ssl_registry.weights.tensors import content_digest, file_digest

DEFAULTS = ExportOptions()


def export_weights(
    source: Path,
    target: str,
    out: Path,
    *,
    licence: str | None = None,
    replace: bool = False,
    options: ExportOptions = DEFAULTS,
) -> Card:
    """Write the weights in `source` as another library reads them, into the new folder `out`.

    The outputs of that library, or of the recorded program, are compared with this library's
    before anything is kept. The card and a README with a usage snippet lie beside the weights.

    Args:
        source: An exchange folder.
        target: `timm`, `torchvision`, `smp`, `onnx` or `torch-export`.
        out: The folder to write, at once or not at all.
        licence: The licence of the weights; needed where their card states none.
        replace: Whether an exchange folder that is there may be replaced.
        options: What can be chosen of the target.

    Returns:
        The card in `out`.

    Raises:
        WeightsError: The source is damaged, has no licence, or the target has no such network.
        RunError: `out` cannot be written.
    """
    export = exporter(target)
    _check_place(source, out, replace=replace)
    weights = read_weights(source)
    data_used(weights.card)
    stated = stated_licence(weights.card, licence)
    digest = weights.card.digest or content_digest(weights.tensors)
    card = weights.card.model_copy(update={"licence": stated, "digest": digest})
    with new_folder(out) as temporary:
        exported = export(changed(weights, card=card), temporary, options)
        final = _card(weights, card, exported, temporary, target)
        write_json(temporary / CARD, final.model_dump(mode="json"))
        usage = exported.usage.replace("FOLDER", out.name).rstrip()
        page = f"{readme(final)}\n## Use\n\n```python\n{usage}\n```\n"
        write_text(temporary / "README.md", page)
    return final


def _check_place(source: Path, out: Path, *, replace: bool) -> None:
    here, there = source.resolve(), out.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise WeightsError(f"{out} and {source} lie in one another; export to a folder apart")
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / CARD).is_file():
        raise WeightsError(f"{out} is there and is no folder of weights; choose another place")
    if not replace:
        raise WeightsError(f"{out} holds weights already; give --replace or choose another place")


def _card(weights: Weights, card: Card, exported: Exported, folder: Path, target: str) -> Card:
    """The card of the exported folder; what it does not change is the source's."""
    update = {"target": None if target == "timm" else target, **exported.card}
    file = folder / str(update.get("file", card.file))
    return card.model_copy(
        update={
            **update,
            "sha256": file_digest(file),
            "digest": content_digest(exported.tensors) if exported.tensors else card.digest,
            "exported_from": card.digest,
        }
    )
