"""Where masks usually are, for folders of which nothing is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ssl_registry_image_folder.listing import Files
from ssl_registry_image_folder.pairing import FoundImage
from ssl_registry_image_folder.patterns import FOLDERS, STEM, MaskPattern, NamePattern

IMAGE_FOLDERS: Final = frozenset({"image", "images", "img", "imgs"})
MASK_FOLDERS: Final = frozenset(
    {"mask", "masks", "gt", "groundtruth", "ground_truth", "seg", "segmentation", "segmentations"}
    | {"label", "labels", "annotation", "annotations"}
)
_FIELDS: Final = (FOLDERS[0], STEM)
_SAME: Final = "{stem}.*"
_SUFFIXED: Final = "{stem}[-_]{mask,gt,seg,segmentation}{,[-_]*,[0-9]*}.*"
_PREFIXED: Final = "mask[-_]{stem}.*"


def usual_masks(files: Files, images: Sequence[FoundImage]) -> list[MaskPattern]:
    """The usual relations that hold in this folder.

    `name_mask.png` beside `name.png` counts if any image has such a mask. Folders `images` and
    `masks` side by side always do, with equal folders below and names that are equal or have
    `_mask` or the like added: what lies in `masks` is no image, whether it has one or not.
    """
    beside = MaskPattern(
        _SUFFIXED, _FIELDS, lambda folder: {FOLDERS[0]: folder}, NamePattern.parse(_SUFFIXED)
    )
    found = [beside] if _holds(beside, files, images) else []
    image_folder_of = _mask_folders(files)
    if image_folder_of:

        def folder_values(folder: str) -> dict[str, str] | None:
            place = image_folder_of.get(folder)
            return None if place is None else {FOLDERS[0]: place}

        for name in (_SAME, _SUFFIXED, _PREFIXED):
            found.append(MaskPattern(name, _FIELDS, folder_values, NamePattern.parse(name)))
    return found


def _holds(beside: MaskPattern, files: Files, images: Sequence[FoundImage]) -> bool:
    """Whether any file is the mask of an image beside it."""
    there = {(image.folder, image.stem) for image in images}
    return any(
        key in there
        for folder, names in files.items()
        for name in names
        for key in beside.keys({FOLDERS[0]: folder}, name)
    )


def _mask_folders(files: Files) -> dict[str, str]:
    """Each folder of masks, and the folder of their images, which lie side by side."""
    # All folders, also those that hold nothing but folders; lower case to written.
    written = {above.lower(): above for folder in files for above in _with_parents(folder)}
    found: dict[str, str] = {}
    for folder in files:
        parts = folder.split("/")[:-1]
        for at, part in enumerate(parts):
            if part.lower() not in MASK_FOLDERS:
                continue
            above = "".join(f"{each}/" for each in parts[:at])
            below = "".join(f"{each}/" for each in parts[at + 1 :])
            for name in sorted(IMAGE_FOLDERS):
                sibling = written.get(f"{above}{name}/".lower())
                if sibling is not None:
                    found.setdefault(folder, sibling + below)
    return found


def _with_parents(folder: str) -> list[str]:
    return [folder[: at + 1] for at, char in enumerate(folder) if char == "/"]
