"""Masks for image files, from an exchange folder alone."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from ssl_registry.config.training import TrainingConfig
from ssl_registry.data.pictures import read_luma, read_rgb
from ssl_registry.data.reading import class_planes
from ssl_registry.data.resize import shrink_image
from ssl_registry.errors import DataError, WeightsError
from ssl_registry.evaluation.portions import portions
from ssl_registry.evaluation.predictor import BATCH, Predictor, numbered
from ssl_registry.evaluation.segment import predicted_mask, resize_probabilities
from ssl_registry.files import beside, write_text
from ssl_registry.interfaces.dataset import Image
from ssl_registry.nn.normalization import Normalize
from ssl_registry.progress import track
from ssl_registry.report.contours import overlay_classes
from ssl_registry.training.device import choose_execution
from ssl_registry.training.run_folder import check_possible, check_writable
from ssl_registry.weights.card import Card
from ssl_registry.weights.networks import load_network

AREAS = "areas.csv"
SHOWN = 5
"""So many of the images that cannot be read are named."""


@dataclass(frozen=True)
class _Result:
    """One image's files and areas."""

    image: Path
    mask: Path
    size: tuple[int, int]
    areas: tuple[int, ...]


def predict_files(
    weights: Path, images: Sequence[Path], out: Path, device: str, *, overwrite: bool
) -> list[Path]:
    """Segment image files in batches; see `ssl_registry.predict`."""
    files = list(_expanded(images))
    _check_names(files, out, overwrite)
    check_possible(out)
    execution = choose_execution(TrainingConfig(device=device))
    network, card = load_network(weights)
    if card.image_size < network.backbone.minimum_size:
        raise WeightsError(
            f"the card of {weights} is damaged: image_size = {card.image_size} is below what its "
            f"network takes, {network.backbone.minimum_size} px"
        )
    execution.place(network)
    predictor = Predictor(network, Normalize(card.mean, card.std), len(card.classes), execution)
    check_writable(out)
    results: list[_Result] = []
    unreadable: list[str] = []
    with track("predicting", len(files), unit="image") as bar:
        for part in portions(len(files), BATCH, card.image_size):
            batch = files[part]
            results += _segment(predictor, card, batch, out, unreadable)
            bar.advance(len(batch))
    if results:
        write_text(out / AREAS, _areas(results, card))
    if unreadable:
        more = f"\nand {len(unreadable) - SHOWN} more" if len(unreadable) > SHOWN else ""
        done = f"; the masks of the other {len(results)} are in {out}" if results else ""
        named = "\n".join(unreadable[:SHOWN])
        raise DataError(
            f"{len(unreadable)} of {len(files)} images cannot be read{done}:\n{named}{more}"
        )
    return [result.mask for result in results]


def _expanded(images: Sequence[Path]) -> Iterator[Path]:
    """Files as they are given, and the pictures in each folder that is given, by name."""
    known = PillowImage.registered_extensions()
    for path in images:
        if not path.is_dir():
            yield path
            continue
        files = sorted(file for file in path.iterdir() if not file.name.startswith("."))
        found = [file for file in files if file.suffix.lower() in known]
        if not found:
            raise DataError(f"the folder {path} holds no pictures")
        yield from found


def _segment(
    predictor: Predictor, card: Card, files: Sequence[Path], out: Path, unreadable: list[str]
) -> Iterator[_Result]:
    """Segment one batch; what cannot be read is added to `unreadable`."""
    read: list[tuple[Path, Image]] = []
    for file in files:
        try:
            read.append((file, read_luma(file) if card.gray else read_rgb(file)))
        except DataError as error:
            unreadable.append(str(error))
    if not read:
        return
    channels = 1 if card.gray else card.channels
    small = np.stack([shrink_image(image, card.image_size, channels) for _, image in read])
    for (file, image), probabilities in zip(read, predictor.probabilities(small), strict=True):
        size = (image.shape[0], image.shape[1])
        native = resize_probabilities(probabilities, size)
        mask = predicted_mask(native, card.threshold, card.exclusive)
        mask_file, overlay_file = _files(file, out)
        shown = numbered(mask)
        _write(shown if len(card.classes) > 1 else shown * 255, mask_file)
        planes = class_planes(mask, len(card.classes))
        _write(overlay_classes(image, planes), overlay_file)
        yield _Result(file, mask_file, size, tuple(int(plane.sum()) for plane in planes))


def _areas(results: Sequence[_Result], card: Card) -> str:
    """A row per image: its size, and each class's area in pixels and as a share."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"{name}_{unit}" for name in card.classes for unit in ("pixels", "share")]
    writer.writerow(["image", "mask", "width", "height", *columns])
    for result in results:
        height, width = result.size
        areas = [cell for area in result.areas for cell in (area, f"{area / height / width:.6f}")]
        writer.writerow([result.image, result.mask.name, width, height, *areas])
    return text.getvalue()


def _files(image: Path, out: Path) -> tuple[Path, Path]:
    """Where the mask and the overlay of an image go."""
    return out / f"{image.stem}.png", out / f"{image.stem}_overlay.png"


def _check_names(images: Sequence[Path], out: Path, overwrite: bool) -> None:
    """No two results may have one name, and none may replace an image, or any file unasked."""
    results = [out / AREAS, *(file for image in images for file in _files(image, out))]
    twice = [file for file, count in Counter(results).items() if count > 1]
    if twice:
        raise DataError(
            f"several of the images would be written to {twice[0]}; give images of one name in "
            "separate calls, each with its own folder"
        )
    given = {image.resolve() for image in images}
    for file in results:
        if file.resolve() in given:
            raise DataError(
                f"{file} is one of the images and would be replaced; choose another folder"
            )
    there = [file for file in results if file.exists()]
    if there and not overwrite:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise DataError(
            f"{there[0]}{more} would be replaced; choose another folder, or say overwrite "
            "(--overwrite)"
        )


def _write(pixels: Image, path: Path) -> None:
    temporary = beside(path)
    try:
        PillowImage.fromarray(pixels).save(temporary, format="PNG")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
