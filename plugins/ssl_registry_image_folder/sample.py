"""A tiny generated folder of images, to check the dataset on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from ssl_registry import SplitConfig
from ssl_registry_image_folder.config import ImageFolderConfig

HEIGHT, WIDTH = 10, 14
PATIENTS, VIEWS = 10, 2


def write_folder(root: Path, seed: int) -> ImageFolderConfig:
    """Write two colour pictures of each patient, and masks of two classes for most of them."""
    generator = np.random.default_rng(seed)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for patient in range(1, PATIENTS + 1):
        for view in range(1, VIEWS + 1):
            name = f"p{patient:02d}_{view}.png"
            picture = generator.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
            PillowImage.fromarray(picture).save(root / "images" / name)
            if patient < PATIENTS:
                mask = np.zeros((HEIGHT, WIDTH), np.uint8)
                mask[2:6, 3:7], mask[6:9, 8:12] = 128, 255
                PillowImage.fromarray(mask).save(root / "masks" / name)
    return ImageFolderConfig(
        root=root,
        mask_values={128: "liver", 255: "kidney"},
        groups=r"p(\d+)_",
        split=SplitConfig(group_by="group"),
        organ="abdomen",
        modality="generated",
        licence="CC0-1.0",
        citation="Generated to check the dataset.",
        source="generated",
    )
