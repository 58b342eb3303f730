"""Where the files of datasets lie: a folder each, by default all in one home."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from ssl_registry.config.model import DatasetConfig

DATA_VARIABLE: Final = "SSL_REGISTRY_DATA"
"""Names the folder that holds a folder for each dataset, such as `busi`."""


def data_home() -> Path | None:
    """The folder of all datasets, `$SSL_REGISTRY_DATA`; None if that is not set."""
    named = os.environ.get(DATA_VARIABLE)
    return Path(named).expanduser() if named else None


def _default_root(settings: Mapping[str, Any]) -> Path | None:
    """The folder named like the dataset in the home of all, if there is such a home."""
    home, name = data_home(), settings.get("name", "")
    return home / name.rpartition("/")[2] if home is not None and name else None


class FolderDatasetConfig(DatasetConfig):
    """Settings of a dataset whose files lie in one folder."""

    root: Path | None = Field(
        default_factory=_default_root,
        description=(f"The dataset's folder; default: the folder of its name in ${DATA_VARIABLE}."),
    )
