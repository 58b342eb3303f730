"""`ssl-registry quickstart`: a whole study in minutes, on images made on the fly."""

from __future__ import annotations

from pathlib import Path

import click

from ssl_registry.cli.options import interruptible, out_option, overrides_option
from ssl_registry.cli.text import verbatim

NAME = "quickstart"


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry quickstart
                   ssl-registry quickstart --out first-look --set pretrain.training.epochs=5
                   ssl-registry components show experiment quickstart    (what it does)
        """
    )
)
@overrides_option
@out_option("Folder for runs and report.", default=Path(NAME), show_default=True)
def quickstart(overrides: tuple[str, ...], out: Path) -> None:
    """Pre-train, fine-tune, compare: a first picture.

    Runs the experiment `quickstart` on ultrasound images that are made on the fly; nothing is
    downloaded. Pre-trains without labels, then learns to segment from few labels, with and
    without the pre-trained weights, over several seeds. Takes some minutes. Called again, it
    goes on where it was stopped.
    """
    with interruptible():
        from ssl_registry.config.comparison import ComparisonConfig
        from ssl_registry.config.load import apply_overrides, parse_toml, validate
        from ssl_registry.registry import resource
        from ssl_registry.study.comparison import run_comparison

        origin = f"experiment {NAME!r}"
        table = apply_overrides(parse_toml(resource("experiment", NAME), origin), overrides)
        report = run_comparison(validate(ComparisonConfig, table, origin), out)
    click.echo(f"report: {report}")
