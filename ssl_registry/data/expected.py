"""How many images a run should have, and a warning where the files at hand differ."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from ssl_registry.config.split import PARTS, Part
from ssl_registry.data.load import LoadedData


class ImageCountWarning(UserWarning):
    """A run has other numbers of images than its config expects."""


def unexpected_counts(expected: Mapping[Part, int], data: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each part whose number of images is not the expected one.

    Args:
        expected: Images that a part should have over all datasets.
        data: What `LoadedData.describe` says of each dataset.
    """
    sentences = []
    for part in (part for part in PARTS if part in expected):
        counts = [(item["name"], item["images"][part]) for item in data]
        found = sum(count for _, count in counts)
        if found != expected[part]:
            each = ", ".join(f"{name} {count}" for name, count in counts)
            sentences.append(
                f"{found} images in {part} where the config expects {expected[part]} ({each}); "
                "results are not those of the expected data"
            )
    return sentences


def warn_of_counts(expected: Mapping[Part, int], data: Sequence[LoadedData]) -> None:
    """Warn (`ImageCountWarning`) where datasets do not have the expected numbers of images."""
    described = [member.describe() for member in data] if expected else []
    for sentence in unexpected_counts(expected, described):
        warnings.warn(sentence, ImageCountWarning, stacklevel=2)
