"""The split of a dataset as its config wants it, with what must be known of its images."""

from __future__ import annotations

from collections.abc import Sequence

from ssl_registry.config.split import Part
from ssl_registry.data.cluster_file import kept_clusters
from ssl_registry.data.splits import make_split
from ssl_registry.interfaces.dataset import Dataset, Sample
from ssl_registry.kept import kept


def split_dataset(dataset: Dataset, samples: Sequence[Sample]) -> dict[str, Part]:
    """Divide a dataset's samples as its config says: sample id to part, in their order.

    With `group_by = "duplicates"` all images are read, to find the near-duplicates; what was
    found is kept beside the image caches.

    Raises:
        DataError: The samples do not allow the split, or an image cannot be read.
    """
    recipe = dataset.config.split
    clusters = None
    if recipe.group_by == "duplicates":
        key = dataset.config.model_dump_json(exclude={"split", "weight"})
        clusters = kept("clusters", key, lambda: kept_clusters(dataset, samples))
    return make_split(samples, recipe, clusters)
