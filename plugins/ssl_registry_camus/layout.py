"""Finding the frames of either release: patient folders, official parts, facts of a view."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast

from ssl_registry import DataError
from ssl_registry_camus.config import Phase, View

Part = Literal["train", "val", "test"]

NIFTI_FOLDER: Final = "database_nifti"
SPLIT_FOLDER: Final = "database_split"
NIFTI: Final = (".nii.gz", ".nii")
METAIMAGE: Final = (".mhd",)
SUBGROUPS: Final[dict[str, Part]] = {"training": "train", "validation": "val", "testing": "test"}

_PATIENT = re.compile(r"patient[0-9]+")
_FRAME = re.compile(
    r"(?P<patient>patient[0-9]+)_(?P<view>2CH|4CH)_(?P<phase>ED|ES)(?P<mask>_gt)?"
    r"(?P<suffix>\.[^_]+)"
)
_DATA = (".raw", ".zraw")
_FACTS: Final = {
    "ImageQuality": "image_quality",
    "Sex": "sex",
    "Age": "age",
    "EF": "ejection_fraction",
    "LVef": "ejection_fraction",
}
"""Keys of `Info_*.cfg`, of both releases, by the name they have in `Sample.meta`."""


@dataclass(frozen=True)
class Patient:
    """One patient's folder, the name by which it is known, and its official part."""

    folder: Path
    name: str
    part: Part | None


@dataclass(frozen=True)
class Frame:
    """The files of one frame: header first, where the data lie in a second file."""

    patient: Patient
    view: View
    phase: Phase
    image: tuple[Path, ...]
    mask: tuple[Path, ...]


def nifti_patients(root: Path) -> list[Patient]:
    """The patients of the NIfTI release in `root`, by name; empty if it is not there.

    Raises:
        DataError: The official lists name a patient twice.
    """
    for folder in (root / NIFTI_FOLDER, root / "CAMUS_public" / NIFTI_FOLDER, root):
        patients = _patient_folders(folder)
        if patients:
            parts = _official_parts(folder / SPLIT_FOLDER, folder.parent / SPLIT_FOLDER)
            return [Patient(each, each.name, parts.get(each.name)) for each in patients]
    return []


def metaimage_patients(root: Path) -> list[Patient]:
    """The patients of the MetaImage release in `root`; empty if it is not there.

    The numbers start again in `testing`, so names there are preceded by `testing_`.
    """
    training = [Patient(each, each.name, "train") for each in _patient_folders(root / "training")]
    testing = [
        Patient(each, f"testing_{each.name}", "test") for each in _patient_folders(root / "testing")
    ]
    return training + testing


def frames_of(patient: Patient, suffixes: Sequence[str]) -> Iterator[Frame]:
    """The frames in a patient's folder that have an image or a mask, by view and phase.

    Args:
        patient: Whose they are.
        suffixes: The release's suffixes, in any case; the first one found is taken.
    """
    found: dict[tuple[str, str, bool], dict[str, tuple[Path, ...]]] = {}
    files = {path.name: path for path in patient.folder.iterdir()}
    for name, path in sorted(files.items()):
        match = _FRAME.fullmatch(name)
        if match is None or match["patient"] != patient.folder.name:
            continue
        suffix = match["suffix"].lower()
        if suffix in suffixes:
            stem = name.removesuffix(match["suffix"])
            data = [p for n, p in files.items() if n.startswith(stem + ".") and _is_data(p)]
            key = (match["view"], match["phase"], bool(match["mask"]))
            found.setdefault(key, {})[suffix] = (path, *sorted(data))
    chosen = {
        key: next(kinds[suffix] for suffix in suffixes if suffix in kinds)
        for key, kinds in found.items()
    }
    for view, phase in sorted({key[:2] for key in chosen}):
        yield Frame(
            patient,
            cast(View, view),
            cast(Phase, phase),
            image=chosen.get((view, phase, False), ()),
            mask=chosen.get((view, phase, True), ()),
        )


def facts_of(patient: Patient, view: View) -> dict[str, str]:
    """What `Info_2CH.cfg` or `Info_4CH.cfg` tells of a view; lines not known are passed over.

    Raises:
        DataError: The file is there but cannot be read; names it.
    """
    path = patient.folder / f"Info_{view}.cfg"
    if not path.is_file():
        return {}
    facts = {}
    for line in _text(path).splitlines():
        key, _, value = line.partition(":")
        if key.strip() in _FACTS and value.strip():
            facts[_FACTS[key.strip()]] = value.strip()
    return facts


def _is_data(path: Path) -> bool:
    return path.suffix.lower() in _DATA


def _patient_folders(folder: Path) -> list[Path]:
    """Folders such as `patient0001`, by number."""
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _PATIENT.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: (int(path.name.removeprefix("patient")), path.name))


def _official_parts(*folders: Path) -> dict[str, Part]:
    """Patient to part, from the lists in the first of the folders that holds one."""
    for folder in folders:
        lists = {folder / f"subgroup_{name}.txt": part for name, part in SUBGROUPS.items()}
        found = {path: part for path, part in lists.items() if path.is_file()}
        if found:
            return _merged(found)
    return {}


def _merged(lists: Mapping[Path, Part]) -> dict[str, Part]:
    parts: dict[str, Part] = {}
    for path, part in lists.items():
        for name in _text(path).split():
            if parts.setdefault(name, part) != part:
                raise DataError(
                    f"{path} names {name}, which is also in {parts[name]}; copy the lists of the "
                    "release again"
                )
    return parts


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error}") from error
