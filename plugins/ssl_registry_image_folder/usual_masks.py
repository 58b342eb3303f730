"""Where masks usually are, for folders of which nothing is said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Final

from ssl_registry_image_folder.folder_words import BESIDE_MASKS, MASK_WORDS, without_word
from ssl_registry_image_folder.listing import Files
from ssl_registry_image_folder.pairing import FoundImage
from ssl_registry_image_folder.patterns import FOLDERS, STEM, MaskPattern, NamePattern

_DECATHLON: Final = {"labelstr": "imagestr", "labelsts": "imagests"}
"""Names of folders of masks, and of those of their images."""
_FIELDS: Final = (FOLDERS[0], STEM)
_SUFFIXED: Final = "{stem}[-_]{mask,gt,seg,segmentation}{,[-_]*,[0-9]*}.*"
_NAMES: Final = {
    text: NamePattern.parse(text) for text in ("{stem}.*", _SUFFIXED, "mask[-_]{stem}.*")
}

_Images = Set[tuple[str, str]]
"""The folder and the stem of each."""


def usual_masks(files: Files, images: Sequence[FoundImage]) -> list[MaskPattern]:
    """The usual relations that hold in this folder.

    `name_mask.png` beside `name.png` counts if any image has such a mask. Folders `images` and
    `masks` side by side always do, with equal folders below and names that are equal or have
    `_mask` or the like added: what lies in `masks` is no image, whether it has one or not. So do
    `train_images` and `train_masks`. A folder `masks` among the images themselves, and
    `train_masks` beside `train`, does so if any image has a mask in it.
    """
    there = {(image.folder, image.stem) for image in images}
    found = []
    if any(_fit([_NAMES[_SUFFIXED]], names, folder, there) for folder, names in files.items()):
        found.append(_pattern(_SUFFIXED, lambda folder: {FOLDERS[0]: folder}))
    image_folder_of = _mask_folders(files, there)
    if image_folder_of:

        def folder_values(folder: str) -> dict[str, str] | None:
            place = image_folder_of.get(folder)
            return None if place is None else {FOLDERS[0]: place}

        found += [_pattern(text, folder_values) for text in _NAMES]
    return found


def _pattern(text: str, folder_values: Callable[[str], dict[str, str] | None]) -> MaskPattern:
    return MaskPattern(text, _FIELDS, folder_values, _NAMES[text])


def _fit(
    patterns: Iterable[NamePattern], names: Sequence[str], folder: str, images: _Images
) -> bool:
    """Whether any of the names is that of a mask of an image in `folder`."""
    return any(
        (folder, stem) in images
        for pattern in patterns
        for name in names
        if pattern.whole.fullmatch(name)
        for stem in pattern.stems(name)
    )


def _mask_folders(files: Files, images: _Images) -> dict[str, str]:
    """Each folder of masks, and the folder of their images: side by side, or around it."""
    # All folders, also those that hold nothing but folders; lower case to written.
    written = {above.lower(): above for folder in files for above in _with_parents(folder)}
    for_images = _image_folders(written)
    found: dict[str, str] = {}
    for folder, names in files.items():
        parts = folder.split("/")[:-1]
        for at, part in enumerate(parts):
            above = "".join(f"{each}/" for each in parts[:at])
            below = "".join(f"{each}/" for each in parts[at + 1 :])
            word = without_word(part, MASK_WORDS)
            if part.lower() in _DECATHLON:
                sibling = written.get(f"{above}{_DECATHLON[part.lower()]}/".lower())
            elif word is None:
                continue
            else:
                sibling = for_images.get(f"{above}{word}".lower())
            if sibling is not None:
                found.setdefault(folder, sibling + below)
            elif word is not None and folder not in found:
                place = f"{above}{word}/{below}" if word else above + below
                place = written.get(place.lower(), place)
                if _fit(_NAMES.values(), names, place, images):
                    found[folder] = place
    return found


def _image_folders(written: Mapping[str, str]) -> dict[str, str]:
    """Folders named as of images: their path in lower case, less that word, to their path."""
    found: dict[str, str] = {}
    for folder in sorted(written.values()):
        above, _, name = folder[:-1].rpartition("/")
        rest = without_word(name, BESIDE_MASKS)
        if rest is not None:
            found.setdefault((f"{above}/{rest}" if above else rest).lower(), folder)
    return found


def _with_parents(folder: str) -> list[str]:
    return [folder[: at + 1] for at, char in enumerate(folder) if char == "/"]
