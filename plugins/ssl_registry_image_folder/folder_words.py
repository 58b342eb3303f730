"""Words by which the names of folders tell images from masks."""

from __future__ import annotations

from collections.abc import Set
from typing import Final

IMAGE_WORDS: Final = frozenset({"image", "images", "img", "imgs"})
BESIDE_MASKS: Final = IMAGE_WORDS | {"input", "inputs", "original", "originals"}
"""Those of images that have masks; alone, the further ones may be classes."""
MASK_WORDS: Final = frozenset(
    {"mask", "masks", "gt", "groundtruth", "ground_truth", "seg", "segmentation", "segmentations"}
    | {"label", "labels", "annotation", "annotations"}
)
_SEPARATORS: Final = ("-", "_", " ")


def without_word(name: str, words: Set[str]) -> str | None:
    """The name without one of the words at its end or its start, whatever their case.

    `train` for `train_masks`, empty for `masks`, None if no word stands there.
    """
    lower = name.lower()
    if lower in words:
        return ""
    for separator in _SEPARATORS:
        for word in words:
            if lower.endswith(separator + word):
                return name[: -len(separator + word)]
            if lower.startswith(word + separator):
                return name[len(word + separator) :]
    return None
