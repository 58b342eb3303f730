"""What the paths of images say: their ids, labels, groups and official parts."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

from ssl_registry import DataError
from ssl_registry_image_folder.folder_words import IMAGE_WORDS, without_word

Part = Literal["train", "val", "test"]
PARTS: Final[dict[str, Part]] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "imagestr": "train",
    "imagests": "test",
}
"""Names of folders, in lower case; the last two are those of the medical decathlon and nnU-Net."""


def part_and_label(folder: str, part_folders: bool) -> tuple[Part | None, str | None]:
    """The official part and the label that an image's folder says, if any.

    Args:
        folder: Its folder below the root.
        part_folders: Whether the topmost may be a part. Folders such as `images` say nothing,
            and none that is named like a part is a label.
    """
    names = _telling(folder)
    part = _part(names[0]) if names and part_folders else None
    labels = [name for name in names if _part(name) is None]
    return part, labels[-1] if labels else None


def has_deep_part(folder: str) -> bool:
    """Whether a folder below the topmost is named like a part."""
    return any(_part(name) is not None for name in _telling(folder)[1:])


def _part(name: str) -> Part | None:
    """The part that a folder is named like, also with a word for images, as `train_images`."""
    return PARTS.get((without_word(name, IMAGE_WORDS) or name).lower())


def _telling(folder: str) -> list[str]:
    """The names of the folders on the way, without those that only say that images are there."""
    return [name for name in folder.split("/")[:-1] if name.lower() not in IMAGE_WORDS]


def taken(name: str, expression: str | None, paths: Sequence[str]) -> list[str | None]:
    """What the group `name`, or the first, of an expression takes from each path.

    Raises:
        DataError: It finds nothing in any path.
    """
    if expression is None:
        return [None] * len(paths)
    compiled = re.compile(expression)
    group = name if name in compiled.groupindex else 1
    matches = [compiled.search(path) for path in paths]
    found = [None if match is None else match[group] for match in matches]
    if not any(found):
        raise DataError(
            f"{name}s = {expression!r} finds nothing in any of {len(paths)} paths, such as "
            f"{paths[0]!r}"
        )
    return found


def ids(paths: Sequence[str]) -> list[str]:
    """Paths without the suffix, or with it where two would be the same.

    Raises:
        DataError: A path holds what is not UTF-8, or control characters.
    """
    for path in paths:
        if not path.isprintable() and {"Cc", "Cs"} & {unicodedata.category(c) for c in path}:
            raise DataError(
                f"the file name {path!r} holds control characters or is not UTF-8; rename it"
            )
    # Some file systems take accents apart.
    composed = [unicodedata.normalize("NFC", path) for path in paths]
    bare = [path.rpartition(".")[0] for path in composed]
    counts = Counter(bare)
    # Then `a.png.png` cannot have the id `a.png`.
    counts.update([path for short, path in zip(bare, composed, strict=True) if counts[short] > 1])
    return [
        short if counts[short] == 1 else path for short, path in zip(bare, composed, strict=True)
    ]
