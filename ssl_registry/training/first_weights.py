"""What is known of the images that first weights were trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ssl_registry.data.load import LoadedData

_NOT_OF_THE_IMAGES = ("split", "weight", "root", "skip_unreadable")
"""Settings of a dataset that leave its images as they are, wherever they lie."""


def trained_on_test_images(origin: Mapping[str, Any], data: LoadedData) -> list[str]:
    """Sentences on how first weights may have been trained on images that are now tested on.

    They have if a training before had the same dataset with another split, or its part `test`
    as well. Images count as the same where the settings of the dataset and the number of
    images are the same.

    Args:
        origin: What the card of the weights says of their training, and of those before it.
        data: The dataset that is fine-tuned and tested on.
    """
    now, found = data.describe(), []
    own = _images(data.dataset.config.model_dump(mode="json"))
    record: Mapping[str, Any] = origin
    while record:
        config = record.get("config", {})
        for table, facts in zip(_tables(config), record.get("data", []), strict=False):
            same = _images(table) == own and _count(facts) == _count(now)
            if not same:
                continue
            if facts.get("split") != now["split"]:
                how = "with another split; give both the same `split`"
            elif "test" in config.get("parts", ()):
                how = "with its part test; set parts = ['train'] there"
            else:
                continue
            found.append(
                f"{table['name']}: the weights were trained on these images before, {how}, or the "
                "test measures memory"
            )
        record = record.get("pretraining", {})
    return list(dict.fromkeys(found))


def _tables(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    data = config.get("data", [])
    return [data] if isinstance(data, Mapping) else list(data)


def _images(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in _NOT_OF_THE_IMAGES}


def _count(facts: Mapping[str, Any]) -> int:
    return sum(facts.get("images", {}).values())
