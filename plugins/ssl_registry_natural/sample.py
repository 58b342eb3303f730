"""Tiny generated releases of the natural images, to check the datasets on."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image as PillowImage

from ssl_registry_natural.config import Cifar10Config, MiniImageNetConfig

CIFAR_SIDE, MINI_SIDE = 32, 84
CIFAR_CLASSES = 10
MINI_CLASSES: Final = {
    "train": ("n01532829", "n01558993"),
    "val": ("n01855672",),
    "test": ("n01930112",),
}


def write_cifar10(root: Path, seed: int, images_per_batch: int = 3) -> Cifar10Config:
    """Write the five batches for training and the one for testing, and the class names."""
    from ssl_registry_natural.cifar10 import Cifar10Dataset

    generator = np.random.default_rng(seed)
    folder = root / Cifar10Dataset.release_folder
    folder.mkdir(parents=True)
    place = 0
    for batches in Cifar10Dataset.batches.values():
        for batch in batches:
            records = []
            for _ in range(images_per_batch):
                pixels = generator.integers(0, 256, 3 * CIFAR_SIDE**2, dtype=np.uint8)
                records.append(bytes([place % CIFAR_CLASSES]) + pixels.tobytes())
                place += 1
            (folder / batch).write_bytes(b"".join(records))
    names = "\n".join(Cifar10Dataset.labels)
    (folder / "batches.meta.txt").write_text(f"{names}\n\n", encoding="utf-8")
    return Cifar10Config(root=root)


def write_mini_imagenet(root: Path, seed: int, *, tree: bool = False) -> MiniImageNetConfig:
    """Write three pictures of one colour each for every class; the lists are not sorted by name.

    Args:
        root: Where to write.
        seed: Decides the colours; seed 0 gives those of `colour`.
        tree: Whether the images lie in a folder for each class.
    """
    number = 0
    for part, classes in MINI_CLASSES.items():
        lines = ["filename,label"]
        for label in classes:
            for at in (2, 0, 1):
                name = f"{label}{at:08d}.jpg"
                path = root / "images" / (label if tree else "") / name
                path.parent.mkdir(parents=True, exist_ok=True)
                size = (MINI_SIDE, MINI_SIDE)
                PillowImage.new("RGB", size, colour(number, seed)).save(path, quality=95)
                lines.append(f"{name},{label}")
                number += 1
        (root / f"{part}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return MiniImageNetConfig(root=root)


def colour(number: int, seed: int = 0) -> tuple[int, int, int]:
    """The colour of picture `number`, below 12."""
    return (20 * number, 255 - 20 * number, (10 * number + 7 * seed) % 256)
