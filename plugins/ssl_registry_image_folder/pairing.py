"""Which of the files in a folder are images, and which are the masks of which image."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ssl_registry_image_folder.listing import Files
from ssl_registry_image_folder.patterns import STEM, Key, MaskPattern, image_fields


class FoundImage(NamedTuple):
    """An image: its place below the root, its folder, and the stem that its masks' names share."""

    path: str
    folder: str
    stem: str


@dataclass
class Pairing:
    """Images with their masks.

    Attributes:
        images: All images, sorted by path.
        masks: For an image's path, its masks; images without are not there.
        orphans: Files that look like masks but belong to no image.
        ambiguous: Masks that fit images of several names or folders, with two of these.
    """

    images: list[FoundImage]
    masks: dict[str, list[str]] = field(default_factory=dict)
    orphans: list[str] = field(default_factory=list)
    ambiguous: list[tuple[str, str, str]] = field(default_factory=list)


Claims = dict[str, list[tuple[int, list[Key]]]]
"""For each file that looks like a mask, by which patterns, and of which images."""


def matching_images(files: Files, patterns: Sequence[re.Pattern[str]]) -> list[FoundImage]:
    """The files that match an image pattern, sorted by path; they may be masks yet."""
    found = []
    for folder, names in files.items():
        for name in names:
            path = folder + name
            for pattern in patterns:
                match = pattern.fullmatch(path)
                if match is not None:
                    named = match[STEM] if pattern.groupindex else None
                    found.append(FoundImage(path, folder, named or name.rpartition(".")[0]))
                    break
    return sorted(found)


def pair(files: Files, images: Sequence[FoundImage], patterns: Sequence[MaskPattern]) -> Pairing:
    """Give the files that look like masks to their images; those are no images themselves.

    Where a name fits several images, it goes to the one with the longest stem.

    Args:
        files: All pictures.
        images: Those that match an image pattern, sorted by path.
        patterns: What relates masks to images.
    """
    claims = _claims(files, patterns)
    if not claims:
        return Pairing(list(images))
    pairing = Pairing([image for image in images if image.path not in claims])
    indices = [_index(pairing.images, pattern) for pattern in patterns]
    for mask in sorted(claims):
        hits = ((at, key) for at, keys in claims[mask] for key in keys if key in indices[at])
        at, key = next(hits, (0, ()))
        owners = indices[at].get(key, [])
        if not owners:
            pairing.orphans.append(mask)
            continue
        first, last = owners[0], owners[-1]
        # Without a stem in the pattern, the mask is meant for all images of a folder.
        if (first.folder, first.stem) != (last.folder, last.stem) and STEM in patterns[at].fields:
            pairing.ambiguous.append((mask, first.path, last.path))
        for image in owners:
            pairing.masks.setdefault(image.path, []).append(mask)
    return pairing


def _claims(files: Files, patterns: Sequence[MaskPattern]) -> Claims:
    claims: Claims = defaultdict(list)
    for folder, names in files.items():
        for at, pattern in enumerate(patterns):
            values = pattern.folder_values(folder)
            if values is None:
                continue
            for name in names:
                keys = pattern.keys(values, name)
                if keys:
                    claims[folder + name].append((at, keys))
    return claims


def _index(
    images: Sequence[FoundImage], pattern: MaskPattern
) -> Mapping[Key, Sequence[FoundImage]]:
    index: defaultdict[Key, list[FoundImage]] = defaultdict(list)
    for image in images:
        index[pattern.key(image_fields(image.folder, image.stem))].append(image)
    return dict(index)
