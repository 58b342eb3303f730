"""`ssl-registry pretrain` and `ssl-registry finetune`."""

from __future__ import annotations

from pathlib import Path

import click

from ssl_registry.cli.options import (
    file_argument,
    interruptible,
    out_option,
    overrides_option,
    resume_option,
)
from ssl_registry.cli.text import verbatim
from ssl_registry.training.launch import (
    launched_agreement,
    launched_first,
    launched_session,
)

_OUT = "Run folder; default: runs/{}-ID, where ID is derived from the config and the data."


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry pretrain pretrain.toml
                   ssl-registry pretrain pretrain.toml --set method.temperature=0.2 --out runs/cold
                   ssl-registry pretrain pretrain.toml --resume
                   ssl-registry pretrain pretrain.toml --set preset=simclr-recommended
                   torchrun --nproc-per-node 4 --no-python ssl-registry pretrain pretrain.toml
        A small FILE:
                   image_size = 64
                   [method]
                   name = "simclr"
                   [backbone]
                   name = "resnet18"
                   [[data]]
                   name = "phantom"
        """
    )
)
@file_argument
@overrides_option
@out_option(_OUT.format("pretrain"))
@resume_option
def pretrain(file: Path, overrides: tuple[str, ...], out: Path | None, resume: bool) -> None:
    """Pre-train a backbone without labels, as FILE says.

    Prints the run folder; it holds the resolved config, the log, the weights and report.html.
    Several processes, one for each GPU, train as one under torchrun.
    """
    with interruptible("--resume"), launched_session():
        from ssl_registry import api
        from ssl_registry.config.load import load
        from ssl_registry.config.pretrain import PretrainConfig

        with launched_agreement():
            config = load(PretrainConfig, file, overrides)
        run = api.pretrain(config, out, resume=resume)
    if launched_first():
        _tell(run)


@click.command(
    epilog=verbatim(
        """
        Examples:  ssl-registry finetune finetune.toml
                   ssl-registry finetune finetune.toml --set weights=runs/pretrain-ID/weights
                   ssl-registry finetune finetune.toml --set fraction=0.1 --out runs/ten-percent
        A small FILE:
                   backbone = "resnet18"
                   decoder = "unet"
                   data = "phantom"
        """
    )
)
@file_argument
@overrides_option
@out_option(_OUT.format("finetune"))
@resume_option
def finetune(file: Path, overrides: tuple[str, ...], out: Path | None, resume: bool) -> None:
    """Fine-tune a segmentation network, as FILE says.

    Training starts from the pre-trained weights that the key `weights` names, or from random
    ones; the network is then evaluated on the test images. Prints the run folder; it holds the
    resolved config, the log, the weights, metrics.csv (rows per image) and report.html.
    """
    with interruptible("--resume"):
        from ssl_registry import api
        from ssl_registry.config.finetune import FinetuneConfig
        from ssl_registry.config.load import load

        run = api.finetune(load(FinetuneConfig, file, overrides), out, resume=resume)
    _tell(run)


def _tell(run: Path) -> None:
    click.echo(f"run:    {run}")
    click.echo(f"report: {run / 'report.html'}")
