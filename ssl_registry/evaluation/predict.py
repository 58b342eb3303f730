"""Masks for image files, from an exchange folder alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from PIL import Image as PillowImage

from ssl_registry.config.training import TrainingConfig
from ssl_registry.data.pictures import read_luma, read_rgb
from ssl_registry.data.resize import shrink_image
from ssl_registry.errors import DataError
from ssl_registry.evaluation.predictor import Predictor, numbered
from ssl_registry.evaluation.segment import predicted_mask, resize_probabilities
from ssl_registry.files import beside
from ssl_registry.interfaces.dataset import Image, Mask
from ssl_registry.nn.normalization import Normalize
from ssl_registry.progress import track
from ssl_registry.report.contours import overlay
from ssl_registry.training.device import choose_execution
from ssl_registry.training.run_folder import check_possible, check_writable
from ssl_registry.weights.card import Card
from ssl_registry.weights.read import load_network


def predict_files(weights: Path, images: Sequence[Path], out: Path, device: str) -> list[Path]:
    """Segment image files one by one; see `ssl_registry.predict`."""
    _check_names(images, out)
    check_possible(out)
    execution = choose_execution(TrainingConfig(device=device))
    network, card = load_network(weights)
    execution.place(network)
    predictor = Predictor(network, Normalize(card.mean, card.std), len(card.classes), execution)
    check_writable(out)
    written = []
    with track("predicting", len(images), unit="image") as bar:
        for path in images:
            image = read_luma(path) if card.gray else read_rgb(path)
            mask = _predict(predictor, image, card)
            overlaid = overlay(image, mask)
            mask_file, overlay_file = _files(path, out)
            _write(mask if len(card.classes) > 1 else mask * 255, mask_file)
            _write(overlaid, overlay_file)
            written.append(mask_file)
            bar.advance()
    return written


def _files(image: Path, out: Path) -> tuple[Path, Path]:
    """Where the mask and the overlay of an image go."""
    return out / f"{image.stem}.png", out / f"{image.stem}_overlay.png"


def _check_names(images: Sequence[Path], out: Path) -> None:
    """No two results may have one name, and none may replace an image that was given."""
    results = [file for image in images for file in _files(image, out)]
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


def _predict(predictor: Predictor, image: Image, card: Card) -> Mask:
    """One plane of class numbers at the image's size; where classes overlap, the last shows."""
    small = shrink_image(image, card.image_size, 1 if card.gray else card.channels)
    probabilities = predictor.probabilities(small[None])[0]
    native = resize_probabilities(probabilities, (image.shape[0], image.shape[1]))
    return numbered(predicted_mask(native, card.threshold, card.exclusive))


def _write(pixels: Image, path: Path) -> None:
    temporary = beside(path)
    try:
        PillowImage.fromarray(pixels).save(temporary, format="PNG")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
