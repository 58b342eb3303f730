"""Choosing a few samples to look at: those that are named, or a draw from each label in turn."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ssl_registry.errors import ConfigError
from ssl_registry.interfaces.dataset import Sample
from ssl_registry.registry import suggest


def some(names: Sequence[str], limit: int = 5) -> str:
    """The first few names and how many more there are, for a message."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def choose_samples(
    samples: Sequence[Sample],
    count: int,
    *,
    labels: Sequence[str] = (),
    ids: Sequence[str] = (),
    seed: int = 0,
) -> list[Sample]:
    """At most `count` samples, from each label in turn; or exactly those called `ids`.

    Args:
        samples: All there are.
        count: How many to draw.
        labels: If given, only samples of these labels are drawn.
        ids: If given, these samples, in this order.
        seed: Of the draw.

    Raises:
        ConfigError: There is no such id or label; names near ones.
    """
    if ids:
        by_id = {sample.id: sample for sample in samples}
        for name in ids:
            if name not in by_id:
                raise ConfigError(f"there is no image {name!r}{suggest(name, list(by_id))}")
        return [by_id[name] for name in ids]
    known = {str(sample.label) for sample in samples}
    for label in labels:
        if label not in known:
            raise ConfigError(f"there is no label {label!r}; there are {', '.join(sorted(known))}")
    of_label: defaultdict[str, list[Sample]] = defaultdict(list)
    for place in np.random.Generator(np.random.PCG64(seed)).permutation(len(samples)):
        of_label[str(samples[place].label)].append(samples[place])
    wanted = [of_label[label] for label in (dict.fromkeys(labels) or sorted(known))]
    turns = itertools.chain.from_iterable(itertools.zip_longest(*wanted))
    return [sample for sample in turns if sample is not None][:count]
