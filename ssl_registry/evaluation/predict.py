"""Masks for image files, from an exchange folder alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from ssl_registry.config.experiment import TrainingConfig
from ssl_registry.data.resize import shrink_image
from ssl_registry.errors import DataError
from ssl_registry.evaluation.predictor import Predictor
from ssl_registry.evaluation.segment import predicted_mask, resize_probabilities
from ssl_registry.files import beside
from ssl_registry.interfaces.dataset import Image, Mask
from ssl_registry.nn.normalization import Normalize
from ssl_registry.progress import track
from ssl_registry.report.contours import overlay
from ssl_registry.training.device import choose_execution
from ssl_registry.training.run_folder import check_writable
from ssl_registry.weights.card import Card
from ssl_registry.weights.read import load_network


def predict_files(weights: Path, images: Sequence[Path], out: Path, device: str) -> list[Path]:
    """Segment image files one by one; see `ssl_registry.predict`."""
    names = [path.stem for path in images]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"several images are called {twice[0]!r}; their masks would overwrite")
    execution = choose_execution(TrainingConfig(device=device))
    network, card = load_network(weights)
    execution.place(network)
    predictor = Predictor(network, Normalize(card.mean, card.std), len(card.classes), execution)
    check_writable(out)
    written = []
    with track("predicting", len(images), unit="image") as bar:
        for path in images:
            image = _read(path, card)
            mask = _predict(predictor, image, card)
            written.append(_write(mask if len(card.classes) > 1 else mask * 255, out, path.stem))
            _write(overlay(image, _flat(mask)), out, f"{path.stem}_overlay")
            bar.advance()
    return written


def _read(path: Path, card: Card) -> Image:
    try:
        with PillowImage.open(path) as picture:
            return np.asarray(picture.convert("L" if card.gray else "RGB"))
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
        raise DataError(f"image {path} cannot be read: {error}") from error


def _predict(predictor: Predictor, image: Image, card: Card) -> Mask:
    small = shrink_image(image, card.image_size, 1 if card.gray else card.channels)
    probabilities = predictor.probabilities(small[None])[0]
    size = (image.shape[0], image.shape[1])
    native = resize_probabilities(probabilities, size)
    return predicted_mask(native, card.threshold, card.exclusive)


def _flat(mask: Mask) -> Mask:
    """One plane: overlapping classes are shown as their union."""
    return mask if mask.ndim == 2 else mask.max(axis=0)


def _write(pixels: Image, out: Path, name: str) -> Path:
    path = out / f"{name}.png"
    temporary = beside(path)
    PillowImage.fromarray(_flat(pixels) if pixels.shape[-1] != 3 else pixels).save(
        temporary, format="PNG"
    )
    temporary.replace(path)
    return path
