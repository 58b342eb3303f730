"""The BUSI release: breast ultrasound with lesion masks.

Format: `Dataset_BUSI_with_GT/{benign,malignant,normal}/` with `benign (1).png`, its mask
`benign (1)_mask.png`, and for a few images further masks `benign (1)_mask_1.png`, ... The lesion
is the union of all masks of an image. Masks come in mixed colour modes; those of normal images
are empty. There are no patient ids, and the release holds near-duplicate images.

Citation: W. Al-Dhabyani, M. Gomaa, H. Khaled, A. Fahmy, Dataset of breast ultrasound images,
Data in Brief 28:104863, 2020.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from ssl_registry import (
    DataError,
    DatasetInfo,
    Download,
    FolderDataset,
    Image,
    Mask,
    Release,
    Sample,
    read_luma,
    read_mask_union,
)
from ssl_registry_busi.config import BusiConfig


class BusiDataset(FolderDataset):
    """780 breast ultrasound images, of which 647 show a lesion with its mask.

    A sample's id is its file name without the suffix, such as `benign (1)`, and its label is
    its class. Images are luma: the few with colour overlays lose the colour. Files whose names
    are not the release's are passed over.
    """

    release_folder: ClassVar[str] = "Dataset_BUSI_with_GT"
    labels: ClassVar[tuple[str, ...]] = ("benign", "malignant", "normal")
    file_name: ClassVar[re.Pattern[str]] = re.compile(
        r"(?P<label>benign|malignant|normal) \((?P<number>[0-9]+)\)"
        r"(?P<mask>_mask(?:_(?P<part>[0-9]+))?)?\.png"
    )

    info = DatasetInfo(
        organ="breast",
        modality="ultrasound",
        licence="CC BY 4.0 (CC-BY-4.0)",
        citation=(
            "W. Al-Dhabyani, M. Gomaa, H. Khaled, A. Fahmy. Dataset of breast ultrasound images. "
            "Data in Brief 28:104863, 2020. https://doi.org/10.1016/j.dib.2019.104863"
        ),
        source="https://scholar.cu.edu.eg/?q=afahmy/pages/dataset",
        channels=1,
        classes=("lesion",),
        lesion_free_label="normal",
        release=Release(
            version="2020",
            downloads=(
                Download(
                    url="https://scholar.cu.edu.eg/Dataset_BUSI.zip",
                    file_name="Dataset_BUSI.zip",
                    checksum=(
                        "sha256:b2ce09f6063a31a73f628b6a6ee1245187cbaec225e93e563735691d68654de7"
                    ),
                ),
            ),
            totals={
                "images": 780,
                "masks": 780,
                "label/benign": 437,
                "label/malignant": 210,
                "label/normal": 133,
            },
        ),
    )

    def __init__(self, config: BusiConfig) -> None:
        super().__init__(config)
        self._skip_unreadable = config.skip_unreadable
        self._sizes: dict[str, tuple[int, int]] = {}

    @classmethod
    def write_sample(cls, root: Path, seed: int) -> BusiConfig:
        """Write a tiny release of generated pictures."""
        from ssl_registry_busi.sample import write_release

        return write_release(root, seed)

    def samples(self) -> Sequence[Sample]:
        """All images by class and number; lists the folders but opens no file.

        Raises:
            DatasetNotFoundError: There is no such folder, or it holds no image of the release.
            DataError: A mask lies there without its image (unless `skip_unreadable`).
        """
        folder = self._folder()
        samples = [sample for label in self.labels for sample in self._of_class(folder, label)]
        if not samples:
            raise self.missing(f"{folder} holds no image such as benign/benign (1).png")
        return samples

    def read_image(self, sample: Sample) -> Image:
        """Luma, uint8 `[H, W]`."""
        image = read_luma(sample.files[0])
        self._sizes[sample.id] = (image.shape[1], image.shape[0])
        return image

    def read_mask(self, sample: Sample) -> Mask:
        """The union of the image's masks, uint8 `[H, W]` of 0 and 1.

        Raises:
            DataError: The image has no mask, or one that cannot be read or has another size.
        """
        image, *masks = sample.files
        if not masks:
            raise DataError(
                f"the image {image} has no mask {image.stem}_mask{image.suffix} beside it; "
                "every image of the release has one, so copy the release again"
            )
        # Whoever reads both has decoded the image just before; its header is not read again.
        return read_mask_union(masks, image, self._sizes.get(sample.id))

    def _folder(self) -> Path:
        """The folder that holds the class folders."""
        root = self.root
        for folder in (root, root / self.release_folder):
            if any((folder / label).is_dir() for label in self.labels):
                return folder
        raise self.missing(
            f"neither {root.absolute()} nor its {self.release_folder} holds a folder "
            f"{', '.join(self.labels[:-1])} or {self.labels[-1]}"
        )

    def _of_class(self, folder: Path, label: str) -> list[Sample]:
        images: dict[int, Path] = {}
        masks: dict[int, list[tuple[int, Path]]] = {}
        for path in sorted((folder / label).glob("*.png")):
            match = self.file_name.fullmatch(path.name)
            if match is None or match["label"] != label:
                continue
            number = int(match["number"])
            if match["mask"]:
                masks.setdefault(number, []).append((int(match["part"] or 0), path))
            else:
                images[number] = path
        self._check_no_orphans(images, masks)
        return [
            Sample(
                id=image.stem,
                label=label,
                has_mask=True,
                files=(image, *(path for _, path in sorted(masks.get(number, [])))),
            )
            for number, image in sorted(images.items())
        ]

    def _check_no_orphans(
        self, images: dict[int, Path], masks: dict[int, list[tuple[int, Path]]]
    ) -> None:
        orphans = [found[0][1] for number, found in sorted(masks.items()) if number not in images]
        if orphans and not self._skip_unreadable:
            raise DataError(
                f"{len(orphans)} of the masks lack their image, the first being {orphans[0]}; "
                "copy the release again, or set skip_unreadable = true to go on without them"
            )
