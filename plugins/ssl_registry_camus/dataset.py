"""The CAMUS release: frames of heart ultrasound with masks of three structures.

Format: `database_nifti/patientNNNN/patientNNNN_{2CH,4CH}_{ED,ES}.nii.gz` with the masks
`..._gt.nii.gz`, and `database_split/subgroup_{training,validation,testing}.txt`. The older
release has `{training,testing}/patientNNNN/` with `.mhd` and `.raw`. `Info_{2CH,4CH}.cfg` tell
of the patient and the image quality. Sequences lie beside the frames and are not read.

Classes: 0 background, 1 left ventricle endocardium, 2 myocardium, 3 left atrium.

Citation: S. Leclerc et al., Deep learning for segmentation using an open large-scale dataset in
2D echocardiography, IEEE Transactions on Medical Imaging 38(9):2198-2210, 2019.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ssl_registry import DataError, DatasetInfo, FolderDataset, Image, Mask, Release, Sample
from ssl_registry_camus.config import CamusConfig
from ssl_registry_camus.layout import (
    METAIMAGE,
    NIFTI,
    Frame,
    Patient,
    facts_of,
    frames_of,
    metaimage_patients,
    nifti_patients,
)
from ssl_registry_camus.levels import class_numbers, gray_levels
from ssl_registry_camus.metaimage import read_metaimage


class CamusDataset(FolderDataset):
    """2,000 frames of 500 patients: two views, each at the end of diastole and of systole.

    A sample's id is its file name without the suffix, such as `patient0001_2CH_ED` (preceded by
    `testing_` for the test patients of the MetaImage release, whose numbers start again), and
    its group is the patient. `meta` tells organ, patient, view and phase, and where the release
    has it also image_quality, sex, age and ejection_fraction.
    """

    config: CamusConfig

    info = DatasetInfo(
        organ="heart",
        modality="ultrasound",
        licence="CC BY-NC-SA 4.0 (CC-BY-NC-SA-4.0), for research only",
        citation=(
            "S. Leclerc, E. Smistad, J. Pedrosa, A. Ostvik, et al. Deep learning for segmentation "
            "using an open large-scale dataset in 2D echocardiography. IEEE Transactions on "
            "Medical Imaging 38(9):2198-2210, 2019. https://doi.org/10.1109/TMI.2019.2900516"
        ),
        source="https://www.creatis.insa-lyon.fr/Challenge/camus/",
        channels=1,
        classes=("left ventricle endocardium", "myocardium", "left atrium"),
        exclusive=True,
        release=Release(
            version="NIfTI",
            by_hand=(
                "read https://www.creatis.insa-lyon.fr/Challenge/camus/, download the folders "
                "database_nifti and database_split from "
                "https://humanheart-project.creatis.insa-lyon.fr/database/ (its server packs the "
                "zip anew for everyone, so there is no checksum) and unpack them"
            ),
            totals={
                "images": 2000,
                "masks": 2000,
                "groups": 500,
                "split/train": 1600,
                "split/val": 200,
                "split/test": 200,
            },
        ),
    )

    def __init__(self, config: CamusConfig) -> None:
        super().__init__(config)
        self._shapes: dict[str, tuple[int, ...]] = {}

    @classmethod
    def write_sample(cls, root: Path, seed: int) -> CamusConfig:
        """Write a tiny release of generated pictures."""
        from ssl_registry_camus.sample import write_release

        return write_release(root, seed)

    def samples(self) -> Sequence[Sample]:
        """The frames of the chosen views and phases by patient, view and phase.

        Lists the folders and reads `Info_*.cfg`, but opens no frame.

        Raises:
            DatasetNotFoundError: There is no such folder, or it holds no frame of the release.
            DataError: A mask lies there without its frame (unless `skip_unreadable`), or a text
                file of the release cannot be used.
        """
        samples = [sample for frame in self._frames() for sample in self._of_frame(frame)]
        if not samples:
            raise self.missing(
                f"{self.root.absolute()} holds no frame of the chosen views and phases, such as "
                "database_nifti/patient0001/patient0001_2CH_ED.nii.gz or "
                "training/patient0001/patient0001_2CH_ED.mhd"
            )
        return samples

    def read_image(self, sample: Sample) -> Image:
        """Gray levels, uint8 `[H, W]`, the probe on top; see `gray_levels` for other types.

        Raises:
            DataError: The file is missing, damaged or not one frame; names it.
        """
        image = gray_levels(_read(sample.files[0]), sample.files[0])
        self._shapes[sample.id] = image.shape
        return image

    def read_mask(self, sample: Sample) -> Mask | None:
        """Class numbers 0 to 3, uint8 `[H, W]`; None where the release gives no mask.

        Raises:
            DataError: The mask is missing, damaged, of another size than its frame, or has
                other values; names the file.
        """
        if not sample.has_mask:
            return None
        image = sample.files[0]
        path = next((file for file in sample.files if _is_mask(file)), None)
        if path is None:
            raise DataError(
                f"the frame {image} has no mask {_stem(image)}_gt{image.name[len(_stem(image)) :]} "
                "beside it; every frame of the release has one, so copy it again"
            )
        mask = class_numbers(_read(path), len(self.info.classes), path)
        # Whoever reads both has read the frame just before; it is not read again.
        shape = self._shapes.get(sample.id) or _read(image).shape
        if mask.shape != shape:
            raise DataError(
                f"the mask {path} is {mask.shape[1]}x{mask.shape[0]} pixels, but its frame "
                f"{image.name} is {shape[1]}x{shape[0]}; copy both again"
            )
        return mask

    def _frames(self) -> Iterator[Frame]:
        """All frames of the NIfTI release, or else of the MetaImage release."""
        nifti = [f for patient in nifti_patients(self.root) for f in frames_of(patient, NIFTI)]
        if nifti:
            yield from nifti
            return
        for patient in metaimage_patients(self.root):
            yield from frames_of(patient, METAIMAGE)

    def _of_frame(self, frame: Frame) -> Iterator[Sample]:
        """The sample of a frame; none if it is not wanted, or has lost its image."""
        if frame.view not in self.config.views or frame.phase not in self.config.phases:
            return
        if frame.image:
            yield _sample(frame)
        elif not self.config.skip_unreadable:
            raise DataError(
                f"the mask {frame.mask[0]} lacks its frame; copy the release again, or set "
                "skip_unreadable = true to go on without it"
            )


def _sample(frame: Frame) -> Sample:
    patient = frame.patient
    return Sample(
        id=f"{patient.name}_{frame.view}_{frame.phase}",
        group=patient.name,
        split=patient.part,
        has_mask=bool(frame.mask) or not _is_unlabelled(patient),
        files=(*frame.image, *frame.mask),
        meta={
            "organ": "heart",
            "patient": patient.name,
            "view": frame.view,
            "phase": frame.phase,
            **facts_of(patient, frame.view),
        },
    )


def _is_unlabelled(patient: Patient) -> bool:
    """Whether it is a test patient of the MetaImage release, whose masks are not public."""
    return patient.name != patient.folder.name


def _read(path: Path) -> NDArray[Any]:
    if path.suffix.lower() in METAIMAGE:
        return read_metaimage(path)
    # Late: nibabel would slow down the listing of datasets.
    from ssl_registry_camus.nifti import read_nifti

    return read_nifti(path)


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]


def _is_mask(path: Path) -> bool:
    return _stem(path).endswith("_gt") and path.suffix.lower() not in (".raw", ".zraw")
