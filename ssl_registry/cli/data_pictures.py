"""`ssl-registry data stats` and `ssl-registry data gallery`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssl_registry.cli.data_argument import data_argument
from ssl_registry.cli.options import check_new, out_option
from ssl_registry.cli.text import align, verbatim

if TYPE_CHECKING:
    import pandas as pd


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry data stats busi=data/busi
                   ssl-registry data stats phantom --size 32 --size 64 --out phantom-stats
        """
    )
)
@data_argument
@click.option(
    "--size",
    "sizes",
    metavar="PX",
    type=click.IntRange(4, 4096),
    multiple=True,
    default=(16, 32, 50, 64, 128),
    show_default=True,
    help="Side of the square that masks are shrunk to, to see which vanish; repeatable.",
)
@out_option("Also write statistics.csv (a row per image) and statistics.png into this new folder.")
def stats(data: str, overrides: tuple[str, ...], sizes: tuple[int, ...], out: Path | None) -> None:
    """Sizes, brightness, mask areas of a dataset, and which masks vanish when shrunk."""
    from ssl_registry.build import build_dataset
    from ssl_registry.cli.data_argument import data_config
    from ssl_registry.data.statistics import image_statistics
    from ssl_registry.files import new_folder

    check_new(out)
    dataset = build_dataset(data_config(data, overrides))
    samples = dataset.samples()
    if out is None:
        table = image_statistics(dataset, samples, sorted(set(sizes)))
    else:
        from ssl_registry.report.data_figure import statistics_figure

        with new_folder(out) as folder:
            table = image_statistics(dataset, samples, sorted(set(sizes)))
            table.to_csv(folder / "statistics.csv", index=False)
            title = f"{dataset.config.name}: {len(table)} images"
            statistics_figure(table, title).savefig(folder / "statistics.png", facecolor="white")
    click.echo(f"{len(table)} of {len(samples)} images read")
    click.echo(align(list(_quantities(table))))
    for line in _lost(table):
        click.echo(line)
    if out is not None:
        click.echo(f"written: {out}")


def _quantities(table: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """Minimum, quartiles and maximum of each number, as cells."""
    yield ("", "images", "min", "25 %", "median", "75 %", "max")
    names = {"width": "width, px", "height": "height, px", "mean": "mean gray value"}
    names |= {"sd": "SD of gray values", "black": "black pixels, %"}
    for column in map(str, table):
        if column in names or column.startswith("area/"):
            percent = column == "black" or column.startswith("area/")
            values = table[column].dropna() * (100 if percent else 1)
            quantiles = values.quantile([0, 0.25, 0.5, 0.75, 1])
            name = names.get(column, f"{column.removeprefix('area/')}, % of the image")
            yield (name, str(len(values)), *(f"{value:.4g}" for value in quantiles))


def _lost(table: pd.DataFrame) -> Iterator[str]:
    from ssl_registry.data.choice import some

    for column in map(str, table):
        if column.startswith("lost/"):
            name, _, size = column.removeprefix("lost/").rpartition("@")
            lost = table.loc[table[column].eq(True), "id"].tolist()
            total = int(table[column].notna().sum())
            which = f": {some(lost)}" if lost else ""
            yield f"at {size} px, {len(lost)} of {total} masks of {name} have no pixel left{which}"


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry data gallery busi=data/busi --out busi.png
                   ssl-registry data gallery phantom --count 12 --label malignant --out phantom.png
        """
    )
)
@data_argument
@out_option("The PNG to write; must not exist.", required=True)
@click.option(
    "--count", type=click.IntRange(1, 500), default=24, show_default=True, help="How many images."
)
@click.option(
    "--label",
    "labels",
    metavar="NAME",
    multiple=True,
    help="Only this label; repeatable.",
)
@click.option(
    "--id", "ids", metavar="ID", multiple=True, help="Show this image; repeatable, in this order."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the draw.")
def gallery(
    data: str,
    overrides: tuple[str, ...],
    out: Path,
    count: int,
    labels: tuple[str, ...],
    ids: tuple[str, ...],
    seed: int,
) -> None:
    """Write a contact sheet: images of a dataset with the outlines of their masks.

    The images are drawn at random, from each label in turn, unless they are named by --id.
    """
    import io

    from ssl_registry.build import build_dataset
    from ssl_registry.cli.data_argument import data_config
    from ssl_registry.data.choice import choose_samples
    from ssl_registry.files import write_bytes
    from ssl_registry.report.contact_sheet import contact_sheet, sheet_item

    check_new(out)
    dataset = build_dataset(data_config(data, overrides))
    samples = choose_samples(dataset.samples(), count, labels=labels, ids=ids, seed=seed)
    items = [sheet_item(dataset, sample) for sample in samples]
    picture = io.BytesIO()
    contact_sheet(items, legend=dataset.info.classes).save(picture, format="PNG")
    write_bytes(out, picture.getvalue())
    click.echo(f"{len(items)} images: {out}")
