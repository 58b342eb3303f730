"""`ssl-registry data duplicates`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssl_registry.cli.data_argument import data_arguments
from ssl_registry.cli.options import check_new, out_option
from ssl_registry.cli.text import align, verbatim

if TYPE_CHECKING:
    from ssl_registry.data.duplicate_search import Between, DuplicateSearch, Item
    from ssl_registry.data.duplicates import DuplicatePair
    from ssl_registry.report.pair_sheet import PairRow, PairSide

SHOWN = 20
"""Pairs that are printed without `--all`."""

_COLUMNS = (
    *("score", "likeness", "kind", "orientation", "within_group", "cluster"),
    *(f"{fact}_{which}" for which in "ab" for fact in ("dataset", "id", "part", "label", "group")),
)
"""The columns of the table, which has them also where no pair was found."""


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry data duplicates busi=data/busi --out busi-duplicates
                   ssl-registry data duplicates busi=data/busi bus_bra=data/bus_bra --between sets
                   ssl-registry data duplicates busi --set split.kind=stratified --between parts
        """
    )
)
@data_arguments
@out_option(
    "Also write duplicates.csv (a row per pair) and duplicates.html (their pictures) into this "
    "new folder."
)
@click.option(
    "--between",
    type=click.Choice(["all", "sets", "parts"]),
    default="all",
    show_default=True,
    help="Which pairs: all, only those of different sets, or only those of different parts "
    "(those of the release, or as --set split.kind=... or a config says).",
)
@click.option(
    "--threshold",
    type=click.FloatRange(-1, 1, min_open=True, max_open=True),
    help="Least score of a pair; default: 0.27, more for images below 128 px.",
)
@click.option(
    "--flips/--no-flips", default=True, show_default=True, help="Look for mirrored copies too."
)
@click.option(
    "--within-groups",
    is_flag=True,
    help="Also list pairs of one group (patient, recording), apart from the others.",
)
@click.option("--all", "everything", is_flag=True, help="Print all pairs, not only the first.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: a JSON object.")
def duplicates(
    data: tuple[str, ...],
    overrides: tuple[str, ...],
    out: Path | None,
    between: Between,
    threshold: float | None,
    flips: bool,
    within_groups: bool,
    everything: bool,
    as_json: bool,
) -> None:
    """Find near-duplicate images in a dataset, or in and between several.

    Pairs are listed with their score, the surest first. Duplicates are the same picture saved
    again, brightened, annotated, cropped or mirrored, and neighbouring frames of one recording.
    """
    from ssl_registry.cli.data_argument import data_configs
    from ssl_registry.data.duplicate_search import search_duplicates
    from ssl_registry.files import new_folder

    def search() -> DuplicateSearch:
        return search_duplicates(
            data_configs(data, overrides),
            threshold=threshold,
            flips=flips,
            between=between,
            within_groups=within_groups,
        )

    check_new(out)
    if out is None:
        found = search()
    else:
        with new_folder(out) as folder:
            found = search()
            _write(folder, found)
    if as_json:
        import json

        click.echo(json.dumps({"summary": _facts(found), "pairs": _rows(found)}, indent=2))
        return
    for name, value in _facts(found).items():
        click.echo(f"{name}: {value}")
    _print("near-duplicates", found, found.pairs, everything)
    _print("within groups", found, found.within_groups, everything)
    if out is not None:
        click.echo(f"written: {out}")


def _facts(found: DuplicateSearch) -> dict[str, int]:
    sizes = found.cluster_sizes()
    facts = {
        "images": len(found.items),
        "pairs": len(found.pairs),
        "clusters": len(sizes),
        "images in clusters": sum(sizes),
        "largest cluster": max(sizes, default=1),
        "pairs across labels": sum(
            found.items[p.first].sample.label != found.items[p.second].sample.label
            for p in found.pairs
        ),
    }
    if any(item.part is not None for item in found.items):
        facts["pairs across train and another part"] = found.straddling()
    return facts


def _print(
    title: str, found: DuplicateSearch, pairs: tuple[DuplicatePair, ...], everything: bool
) -> None:
    if not pairs:
        return
    shown = pairs if everything else pairs[:SHOWN]
    click.echo(f"\n{title}:")
    head = ("SCORE", "RELATION", "IMAGE", "", "IMAGE", "")
    rows = [
        (
            f"{p.score:.3f}",
            p.relation,
            *_cells(found.items[p.first]),
            *_cells(found.items[p.second]),
        )
        for p in shown
    ]
    click.echo(align([head, *rows]))
    if len(shown) < len(pairs):
        click.echo(f"... and {len(pairs) - len(shown)} more; see --all or --out")


def _cells(item: Item) -> tuple[str, str]:
    return f"{item.name}: {item.sample.id}", _about(item)


def _about(item: Item) -> str:
    facts = (item.part, item.sample.label, item.group and f"group {item.sample.group}")
    return ", ".join(str(fact) for fact in facts if fact)


def _rows(found: DuplicateSearch) -> list[dict[str, Any]]:
    """A flat record per pair; those within groups come last and have no cluster."""
    rows = []
    for place, pair in enumerate((*found.pairs, *found.within_groups)):
        outside = place < len(found.pairs)
        row: dict[str, Any] = {
            "score": round(pair.score, 4),
            "likeness": round(pair.likeness, 4),
            "kind": pair.kind,
            "orientation": pair.orientation,
            "within_group": not outside,
            "cluster": found.items[found.cluster[pair.first]].sample.id if outside else "",
        }
        for which, item in (("a", found.items[pair.first]), ("b", found.items[pair.second])):
            row[f"dataset_{which}"] = item.name
            row[f"id_{which}"] = item.sample.id
            row[f"part_{which}"] = item.part or ""
            row[f"label_{which}"] = item.sample.label or ""
            row[f"group_{which}"] = item.sample.group or ""
        rows.append(row)
    return rows


def _write(folder: Path, found: DuplicateSearch) -> None:
    import pandas as pd

    from ssl_registry.report.pair_sheet import write_pair_sheet

    pd.DataFrame(_rows(found), columns=list(_COLUMNS)).to_csv(
        folder / "duplicates.csv", index=False
    )
    names = " and ".join(dict.fromkeys(item.name for item in found.items))
    sections = {
        "Near-duplicates": [_picture(found, pair) for pair in found.pairs],
        "Within groups": [_picture(found, pair) for pair in found.within_groups],
    }
    write_pair_sheet(folder / "duplicates.html", names, _facts(found), sections)


def _picture(found: DuplicateSearch, pair: DuplicatePair) -> PairRow:
    from ssl_registry.report.pair_sheet import PairRow

    first, second = (_side(found.items[place]) for place in (pair.first, pair.second))
    return PairRow(pair.score, pair.relation, first, second, found.leak(pair) or "")


def _side(item: Item) -> PairSide:
    from ssl_registry.data.reading import read_image
    from ssl_registry.report.pair_sheet import PairSide

    name, about = _cells(item)
    return PairSide(name, about, lambda: read_image(item.dataset, item.sample))
