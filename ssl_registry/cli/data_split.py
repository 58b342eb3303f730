"""`ssl-registry data split`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssl_registry.cli.data_argument import data_argument
from ssl_registry.cli.options import check_new
from ssl_registry.cli.text import align, verbatim

if TYPE_CHECKING:
    from ssl_registry.config.model import DatasetConfig
    from ssl_registry.config.split import Part
    from ssl_registry.data.leaks import LeakReport
    from ssl_registry.interfaces.dataset import Sample

KINDS = ("random", "stratified", "official")
GROUPINGS = ("none", "group", "duplicates")


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry data split busi --kind stratified --group-by duplicates --out s.csv
                   ssl-registry data split camus --kind official
                   ssl-registry data split busi --file s.csv
                   ssl-registry data split finetune.toml
        """
    )
)
@data_argument
@click.option("--kind", type=click.Choice(KINDS), help="Draw at random, by label, or as released.")
@click.option(
    "--ratios",
    type=float,
    nargs=3,
    metavar="TRAIN VAL TEST",
    help="Shares of the parts, of any scale, e.g. 7 1 2.",
)
@click.option("--seed", type=click.IntRange(0), help="Seed of the draw.")
@click.option("--group-by", type=click.Choice(GROUPINGS), help="What is kept together in one part.")
@click.option(
    "--file",
    "file",
    metavar="CSV",
    type=click.Path(path_type=Path),
    help="Read the split from a file and check it, instead of making one.",
)
@click.option(
    "--leaks/--no-leaks",
    "check",
    default=True,
    show_default=True,
    help="Look for near-duplicates across the parts.",
)
@click.option(
    "--out",
    metavar="CSV",
    type=click.Path(path_type=Path),
    help="Write the split to this file, which must not exist.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: a JSON object.")
def split(
    data: str,
    overrides: tuple[str, ...],
    kind: str | None,
    ratios: tuple[float, float, float] | None,
    seed: int | None,
    group_by: str | None,
    file: Path | None,
    check: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Divide a dataset into train, val and test; show, check and write the split.

    What is not said by an option is taken from the dataset's config. The written file can be used
    with split.kind = "file" and split.file = "...".
    """
    from ssl_registry.build import build_dataset
    from ssl_registry.cli.data_argument import data_config
    from ssl_registry.data.dataset_split import split_dataset
    from ssl_registry.data.leaks import dataset_leaks
    from ssl_registry.data.split_file import write_split
    from ssl_registry.errors import DataError

    check_new(out)
    given = {"kind": kind, "ratios": ratios, "seed": seed, "group_by": group_by}
    options = {key: value for key, value in given.items() if value is not None}
    if file is not None and options:
        raise click.UsageError("--file reads a split; it goes with none of the other options")
    config = data_config(data, [*overrides, *_of_file(file)])
    if options:
        config = data_config(data, [*overrides, *_recipe(config, options)])
    dataset = build_dataset(config)
    samples = tuple(dataset.samples())
    if not samples:
        raise DataError(f"dataset {dataset.config.name!r} has no images")
    parts = split_dataset(dataset, samples)
    report = dataset_leaks(dataset, samples, parts) if check else None
    if out is not None:
        write_split(out, parts)
    if as_json:
        click.echo(json.dumps(_record(samples, parts, report), indent=2))
        return
    click.echo(align(_table(samples, parts)))
    for line in _findings(report):
        click.echo(line)
    if out is not None:
        click.echo(f"written: {out}")


def _of_file(file: Path | None) -> list[str]:
    """The override that reads a split; the recipe of a config gives way to it as a whole."""
    return [] if file is None else [f'split={{kind = "file", file = {json.dumps(str(file))}}}']


def _recipe(config: DatasetConfig, options: Mapping[str, object]) -> list[str]:
    """Overrides for the config's recipe with the options laid over it."""
    from ssl_registry.config.split import laid_over

    removed = [] if config.split.file is None else ["split.file="]
    table = laid_over(config.split, options, grouped=config.grouped)
    return [*removed, *(f"split.{key}={json.dumps(value)}" for key, value in table.items())]


def _table(samples: Sequence[Sample], parts: Mapping[str, Part]) -> list[tuple[str, ...]]:
    """Images, groups and labels of each part, and of the whole."""
    labels = sorted({sample.label for sample in samples if sample.label is not None})
    groups = any(sample.group is not None for sample in samples)
    rows = [("PART", "IMAGES", "SHARE", *(("GROUPS",) if groups else ()), *labels)]
    for name in ("train", "val", "test", "all"):
        some = [sample for sample in samples if name in (parts[sample.id], "all")]
        count = Counter(sample.label for sample in some)
        share = f"{100 * len(some) / len(samples):.1f} %"
        unique = str(len({s.group for s in some if s.group is not None}))
        of_label = (str(count[label]) for label in labels)
        rows.append((name, str(len(some)), share, *((unique,) if groups else ()), *of_label))
    return rows


def _findings(report: LeakReport | None) -> list[str]:
    if report is None:
        return ["near-duplicates across the parts: not looked for"]
    return report.lines() or ["no near-duplicates of training images in the other parts"]


def _record(
    samples: Sequence[Sample], parts: Mapping[str, Part], report: LeakReport | None
) -> dict[str, object]:
    from dataclasses import asdict

    from ssl_registry.data.splits import split_digest

    names = ("train", "val", "test")
    of_part = {name: [s for s in samples if parts[s.id] == name] for name in names}
    return {
        "images": {name: len(some) for name, some in of_part.items()},
        "labels": {
            name: dict(Counter(s.label for s in some if s.label is not None))
            for name, some in of_part.items()
        },
        "digest": split_digest(parts),
        "leaks": None if report is None else [asdict(leak) for leak in report.leaks],
        "shared_groups": None if report is None else report.groups,
    }
