"""`ssl-registry probe`: what pre-trained features are worth, beside random ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssl_registry.cli.data_argument import data_table
from ssl_registry.cli.options import device_option, overrides_option
from ssl_registry.cli.text import align, verbatim

if TYPE_CHECKING:
    from ssl_registry.config.probes import AnyProbeConfig
    from ssl_registry.evaluation.bootstrap import Estimate
    from ssl_registry.evaluation.probe_weights import ProbeResult


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry probe runs/pretrain-ID --data busi
                   ssl-registry probe runs/pretrain-ID --data busi=/images/busi --kind linear
                   ssl-registry probe weights probes.toml --random 0 --random 1 --json
                   ssl-registry probe runs/pretrain-ID --data busi --set k=10
        A small FILE:
                   [[probes]]
                   kind = "knn"
                   data = {name = "busi", split = {kind = "stratified"}}
        """
    )
)
@click.argument("weights", type=click.Path(path_type=Path))
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--data", metavar="NAME[=ROOT]", help="Dataset to probe on, and its folder.")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(["knn", "linear", "segmentation"]),
    multiple=True,
    help="Kind of probe; repeatable; default: knn.",
)
@click.option(
    "--part", type=click.Choice(["val", "test"]), help="Part that is scored; default: val."
)
@overrides_option
@click.option(
    "--image-size",
    type=click.IntRange(8),
    help="Side of the images, px; default: that of the pre-training.",
)
@click.option(
    "--random",
    "seeds",
    metavar="SEED",
    type=click.IntRange(0),
    multiple=True,
    help="Seed of a network with random weights to compare with; repeatable; default: 0 to 4.",
)
@device_option
@click.option("--json", "as_json", is_flag=True, help="Machine-readable: a JSON list.")
def probe(
    weights: Path,
    file: Path | None,
    data: str | None,
    kinds: tuple[str, ...],
    part: str | None,
    overrides: tuple[str, ...],
    image_size: int | None,
    seeds: tuple[int, ...],
    device: str,
    as_json: bool,
) -> None:
    """Score pre-trained features on labelled images.

    The same network with random weights stands beside them. WEIGHTS is a folder of weights or a
    run's folder. FILE holds [[probes]] blocks, as the config of a pre-training does; --data makes
    one without a file. --set changes a setting of every probe. Intervals are 95 % bootstrap
    intervals over the scored images; the difference is paired by image.
    """
    from ssl_registry.evaluation.probe_weights import RANDOM_SEEDS, probe_weights

    probes = _configs(file, data, kinds, part, overrides)
    results = probe_weights(
        weights,
        probes,
        image_size=image_size,
        random_seeds=tuple(dict.fromkeys(seeds)) or RANDOM_SEEDS,
        device=device,
    )
    if as_json:
        click.echo(_json(results))
    else:
        click.echo("\n\n".join(_text(result) for result in results))


def _configs(
    file: Path | None,
    data: str | None,
    kinds: tuple[str, ...],
    part: str | None,
    overrides: Sequence[str],
) -> tuple[AnyProbeConfig, ...]:
    from ssl_registry.config.load import apply_overrides, read_toml, validate
    from ssl_registry.config.probes import ProbesConfig

    if (file is None) == (data is None):
        raise click.UsageError("give either a FILE with [[probes]] or --data, not both")
    tables: Any
    if data is not None:
        dataset = data_table(data)
        tables = [{"kind": kind, "data": dataset} for kind in dict.fromkeys(kinds) or ("knn",)]
    else:
        if kinds:
            raise click.UsageError("--kind goes with --data; FILE names the kinds itself")
        tables = read_toml(file).get("probes", []) if file else []
    if part is not None:
        overrides = [f"part={part}", *overrides]
    if isinstance(tables, list):
        tables = [apply_overrides(t, overrides) if isinstance(t, dict) else t for t in tables]
    return validate(ProbesConfig, {"probes": tables}, str(file or "--data")).probes


def _text(result: ProbeResult) -> str:
    facts = result.facts
    head = (
        f"{result.title}: {facts['images']} {facts['part']} images, {facts['train_images']} "
        f"training images, {result.image_size} px"
    )
    seeds = ", ".join(str(seed) for seed in result.random_seeds)
    columns = ("SCORE", "WEIGHTS", f"RANDOM ({seeds})", "DIFFERENCE", "CHANCE")
    rows = [
        (
            name,
            _estimate(score.weights),
            _estimate(score.random),
            _estimate(score.difference, sign="+"),
            "-" if score.chance is None else f"{score.chance:.3f}",
        )
        for name, score in result.scores.items()
    ]
    return f"{head}\n{align([columns, *rows], indent='  ')}"


def _estimate(value: Estimate, sign: str = "") -> str:
    return f"{value.value:{sign}.3f} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"


def _json(results: Sequence[ProbeResult]) -> str:
    import json
    from dataclasses import asdict

    return json.dumps([asdict(result) for result in results], indent=2, allow_nan=False)
