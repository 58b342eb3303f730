"""The BUS-BRA release: breast ultrasound with lesion masks, patients and BI-RADS categories.

Format: `BUSBRA/Images/bus_0001-l.png`, its mask `BUSBRA/Masks/mask_0001-l.png`, and
`BUSBRA/bus_data.csv` with a row for each image (ID, Case, Histology, Pathology, BIRADS, Device,
Width, Height, Side, BBOX). Many patients have two images, one to a side or view.

Citation: W. Gómez-Flores, M. J. Gregorio-Calas, W. Coelho de Albuquerque Pereira, BUS-BRA: A
breast ultrasound dataset for assessing computer-aided diagnosis systems, Medical Physics
51(4):3110-3123, 2024.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from ssl_registry_bus_bra.config import BusBraConfig
from ssl_registry_bus_bra.table import Row, read_table


class BusBraDataset(FolderDataset):
    """1,875 breast ultrasound images of 1,064 patients, each with one lesion and its mask.

    A sample's id is its file name without the suffix, such as `bus_0001-l`, its label the
    pathology and its group the case, which is a patient. `meta` tells organ, and where the
    table has it also histology, birads, device and side.
    """

    release_folder: ClassVar[str] = "BUSBRA"
    table: ClassVar[str] = "bus_data.csv"

    info = DatasetInfo(
        organ="breast",
        modality="ultrasound",
        licence="CC BY 4.0 (CC-BY-4.0)",
        citation=(
            "W. Gómez-Flores, M. J. Gregorio-Calas, W. Coelho de Albuquerque Pereira. BUS-BRA: A "
            "breast ultrasound dataset for assessing computer-aided diagnosis systems. Medical "
            "Physics 51(4):3110-3123, 2024. https://doi.org/10.1002/mp.16812"
        ),
        source="https://zenodo.org/records/8231412",
        channels=1,
        classes=("lesion",),
        release=Release(
            version="Zenodo 8231412",
            downloads=(
                Download(
                    url="https://zenodo.org/records/8231412/files/BUSBRA.zip",
                    file_name="BUSBRA.zip",
                    checksum=(
                        "sha256:ba3e6ed19cc37c682d8d39e25435bbf8a555a12cb7e641b5f2117685c95580ff"
                    ),
                    size=133_917_740,
                ),
            ),
            totals={
                "images": 1875,
                "masks": 1875,
                "groups": 1064,
                "label/benign": 1268,
                "label/malignant": 607,
            },
        ),
    )

    def __init__(self, config: BusBraConfig) -> None:
        super().__init__(config)
        self._sizes: dict[str, tuple[int, int]] = {}

    @classmethod
    def write_sample(cls, root: Path, seed: int) -> BusBraConfig:
        """Write a tiny release of generated pictures."""
        from ssl_registry_bus_bra.sample import write_release

        return write_release(root, seed)

    def samples(self) -> Sequence[Sample]:
        """All images by id; reads the table and lists the folders, but opens no image.

        Raises:
            DatasetNotFoundError: There is no such folder, or it is not the release.
            DataError: The table cannot be used; or (unless `skip_unreadable`) an image lacks its
                row or a row its image.
        """
        folder = self._folder()
        rows = read_table(folder / self.table)
        images, masks = _pictures(folder / "Images"), _pictures(folder / "Masks")
        if not any(row.id in images for row in rows):
            raise self.missing(f"{folder} holds no image such as Images/bus_0001-l.png")
        self._check_pairing(rows, images, folder)
        return [
            Sample(
                id=row.id,
                label=row.label,
                group=row.case,
                has_mask=True,
                files=tuple(
                    found[name]
                    for found, name in ((images, row.id), (masks, row.mask))
                    if name in found
                ),
                meta={"organ": "breast", **row.facts},
            )
            for row in rows
            if row.id in images
        ]

    def read_image(self, sample: Sample) -> Image:
        """Luma, uint8 `[H, W]`."""
        image = read_luma(sample.files[0])
        self._sizes[sample.id] = (image.shape[1], image.shape[0])
        return image

    def read_mask(self, sample: Sample) -> Mask:
        """The lesion, uint8 `[H, W]` of 0 and 1.

        Raises:
            DataError: The image has no mask, or one that cannot be read or has another size.
        """
        image, *masks = sample.files
        if not masks:
            raise DataError(
                f"the image {image} has no mask Masks/mask_{sample.id.removeprefix('bus_')}.png; "
                "every image of the release has one, so unpack it again"
            )
        # Whoever reads both has decoded the image just before; its header is not read again.
        return read_mask_union(masks[:1], image, self._sizes.get(sample.id))

    def _folder(self) -> Path:
        """The folder that holds the table."""
        root = self.root
        for folder in (root, root / self.release_folder):
            if (folder / self.table).is_file():
                return folder
        raise self.missing(
            f"neither {root.absolute()} nor its {self.release_folder} holds {self.table}"
        )

    def _check_pairing(self, rows: Sequence[Row], images: Mapping[str, Path], folder: Path) -> None:
        """Each image needs its row, for its case and label; each row needs its image."""
        if self.config.skip_unreadable:
            return
        advice = "unpack the release again, or set skip_unreadable = true to go on without them"
        without_image = [row.id for row in rows if row.id not in images]
        if without_image:
            raise DataError(
                f"{len(without_image)} of the {len(rows)} images that {folder / self.table} names "
                f"are missing in {folder / 'Images'}, the first being {without_image[0]}.png; "
                f"{advice}"
            )
        without_row = sorted(set(images) - {row.id for row in rows})
        if without_row:
            raise DataError(
                f"{len(without_row)} of the images have no row in {folder / self.table}, the first "
                f"being {images[without_row[0]]}; {advice}"
            )


def _pictures(folder: Path) -> dict[str, Path]:
    """The release's PNG files in a folder by their names without the suffix."""
    if not folder.is_dir():
        return {}
    return {
        path.stem: path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() == ".png" and path.stem.startswith(("bus_", "mask_"))
    }
