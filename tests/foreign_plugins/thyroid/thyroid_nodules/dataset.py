"""Format: `images/NAME.png`, and for each the nodule's mask `masks/NAME.png`, 255 inside."""

from pathlib import Path

import numpy as np
from PIL import Image

from ssl_registry import DatasetInfo, FolderDatasetConfig, PictureDataset, Sample


class Thyroid(PictureDataset):
    """One gray image a patient, with one nodule."""

    info = DatasetInfo(
        organ="thyroid",
        modality="ultrasound",
        licence="CC-BY-4.0",
        citation="A. Author and B. Author. Thyroid nodules. A Journal 1:1-9, 2026.",
        source="https://example.org/thyroid",
        classes=("nodule",),
    )

    def samples(self) -> list[Sample]:
        """All images by name; the folder is listed and no file opened."""
        images = sorted((self.root / "images").glob("*.png"))
        if not images:
            raise self.missing(f"{self.root / 'images'} holds no PNG file")
        masks = self.root / "masks"
        return [Sample(f.stem, has_mask=True, files=(f, masks / f.name)) for f in images]

    @classmethod
    def write_sample(cls, root: Path, seed: int) -> FolderDatasetConfig:
        """A dozen images of noise around a dark nodule, in the same layout, for tests."""
        noise = np.random.default_rng(seed).integers(100, 200, (12, 48, 64), np.uint8)
        nodule = np.pad(np.ones((16, 24), np.uint8), ((16, 16), (20, 20)))
        for folder, pictures in (("images", noise - 90 * nodule), ("masks", [255 * nodule] * 12)):
            (root / folder).mkdir()
            for number, picture in enumerate(pictures):
                Image.fromarray(picture).save(root / folder / f"{number:02}.png")
        return FolderDatasetConfig(name="thyroid", root=root)
