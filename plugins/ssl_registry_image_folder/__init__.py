"""Any folder of images as a dataset, with masks, labels and groups found by patterns."""

from __future__ import annotations

from collections.abc import Iterable

from ssl_registry import Component, hookimpl

SSL_REGISTRY_API = 1


@hookimpl
def ssl_registry_components() -> Iterable[Component]:
    """Offer the dataset `image_folder`."""
    yield Component(
        "dataset",
        "image_folder",
        "ssl_registry_image_folder.dataset:ImageFolderDataset",
        "ssl_registry_image_folder.config:ImageFolderConfig",
        "Any folder of images; masks, labels and groups are found by patterns.",
    )
