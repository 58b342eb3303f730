"""What users call: create components, pre-train, fine-tune, evaluate, predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from ssl_registry.build import create as create
from ssl_registry.config.finetune import FinetuneConfig
from ssl_registry.config.load import validate
from ssl_registry.config.path import expanded
from ssl_registry.config.pretrain import PretrainConfig

Model = TypeVar("Model", bound=BaseModel)


def pretrain(
    config: PretrainConfig | Mapping[str, Any],
    out: Path | str | None = None,
    *,
    resume: bool = False,
    observers: Sequence[object] = (),
) -> Path:
    """Pre-train a backbone, or a backbone and decoder, without labels.

    Args:
        config: A config, or the table a config file would hold.
        out: Folder of the run; default `runs/pretrain-<id>`.
        resume: Go on with an unfinished run in that folder.
        observers: Objects that watch the run, with methods named as the observer hooks of
            plugins (`run_started`, `epoch_ended`, `pictures_made`, `run_finished`); see
            docs/plugins.md. One that raises is reported and left out, and never stops the run.

    Returns:
        The run's folder: `weights/` holds the exchange folder, `report.html` the report.

    Raises:
        UserError: One of its subclasses, with what is wrong and what to do.
    """
    from ssl_registry.training.pretrain import run_pretraining

    checked = _checked(PretrainConfig, config)
    return run_pretraining(checked, _path(out), resume=resume, observers=observers)


def finetune(
    config: FinetuneConfig | Mapping[str, Any],
    out: Path | str | None = None,
    *,
    resume: bool = False,
    observers: Sequence[object] = (),
) -> Path:
    """Fine-tune a segmentation network on labelled images and test it.

    Args:
        config: A config, or the table a config file would hold.
        out: Folder of the run; default `runs/finetune-<id>`.
        resume: Go on with an unfinished run in that folder.
        observers: Objects that watch the run, with methods named as the observer hooks of
            plugins (`run_started`, `epoch_ended`, `pictures_made`, `run_finished`); see
            docs/plugins.md. One that raises is reported and left out, and never stops the run.

    Returns:
        The run's folder: `metrics.csv` holds rows per test image, `summary.json` the
        aggregates, `weights/` the network, `report.html` the report.

    Raises:
        UserError: One of its subclasses, with what is wrong and what to do.
    """
    from ssl_registry.training.finetune import run_finetuning

    checked = _checked(FinetuneConfig, config)
    return run_finetuning(checked, _path(out), resume=resume, observers=observers)


def evaluate(run: Path | str, *, device: str = "auto") -> dict[str, float]:
    """Test a finished fine-tuning run anew; gives its aggregates, named with their policy.

    Args:
        run: The run's folder.
        device: Where to compute: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`. It takes the place of
            the run's `training.device`, which may not exist here.

    Raises:
        RunError: The folder holds no finished fine-tuning run.
        DataError: The data or their split are no longer those the run was trained on.
        DeviceError: There is no such device here.
    """
    from ssl_registry.training.testing import run_evaluation

    return run_evaluation(expanded(run), device)


def predict(
    weights: Path | str,
    images: Sequence[Path | str] | Path | str,
    out: Path | str,
    *,
    device: str = "auto",
    overwrite: bool = False,
) -> list[Path]:
    """Segment image files: writes `<name>.png`, `<name>_overlay.png` and `areas.csv` into `out`.

    Masks hold class numbers at the image's own size (0 and 255 for a single class; where classes
    overlap, the last one shows). The table has a row per image with each class's area.

    Args:
        weights: Folder of a fine-tuned segmentation network.
        images: Image files, or one; of a folder, all pictures in it.
        out: Folder to write to.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`.
        overwrite: Replace files of these names that are in `out` already.

    Returns:
        The masks' paths, in the order of the images.

    Raises:
        WeightsError: `weights` holds no segmentation network.
        DataError: Some images cannot be read; the others are done. Or two results would have
            one name, or one would replace an image, or a file without `overwrite`.
    """
    from ssl_registry.evaluation.predict import predict_files

    several = [images] if isinstance(images, (str, Path)) else images
    return predict_files(
        expanded(weights),
        [expanded(i) for i in several],
        expanded(out),
        device,
        overwrite=overwrite,
    )


def _checked(model: type[Model], config: Model | Mapping[str, Any]) -> Model:
    return config if isinstance(config, model) else validate(model, config, "the config")  # type: ignore[arg-type]


def _path(out: Path | str | None) -> Path | None:
    return None if out is None else expanded(out)
