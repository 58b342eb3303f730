"""Checking a dataset file by file, and its counts against those of its official release."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from ssl_registry.build import build_dataset
from ssl_registry.config.model import DatasetConfig
from ssl_registry.config.split import PARTS
from ssl_registry.data.reading import read_checked_mask, read_image
from ssl_registry.errors import DataError, DatasetNotFoundError, PluginError
from ssl_registry.interfaces.dataset import Dataset, Sample
from ssl_registry.progress import track

TASK = 16
"""Samples that a thread checks at a time."""


@dataclass(frozen=True)
class Count:
    """A number of things found, beside that of the release; None where that is not known."""

    name: str
    found: int
    expected: int | None = None

    @property
    def ok(self) -> bool:
        """Whether it is as it should be, as far as that is known."""
        return self.expected in (None, self.found)


@dataclass(frozen=True)
class Problem:
    """Something that is wrong.

    Attributes:
        kind: `files` (of the folder as a whole), `id`, `image` or `mask`.
        sample: Whose it is; empty for `files`.
        reason: What is wrong, naming the file.
    """

    kind: str
    sample: str
    reason: str


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        counts: `images`, `masks`, `groups`, `label/NAME` and `split/PART`.
        problems: In the order of the samples.
    """

    counts: tuple[Count, ...]
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and all(count.ok for count in self.counts)


def verify(config: DatasetConfig) -> Verification:
    """Decode every image, read every mask and hold it against its image, and count.

    Raises:
        DatasetNotFoundError: The data are not there.
    """
    dataset, samples, problems = _listed(config)
    problems += _repeated(samples)
    problems += _unreadable(dataset, samples)
    release = dataset.info.release
    expected = dict(release.totals) if release is not None else {}
    found = count(samples)
    counts = [
        Count(name, found.get(name, 0), expected.get(name))
        for name in dict.fromkeys((*found, *expected))
        if found.get(name) or name in expected
    ]
    return Verification(tuple(counts), tuple(problems))


def count(samples: Sequence[Sample]) -> dict[str, int]:
    """How many images, masks and groups there are, and images of each label and part."""
    labels = Counter(sample.label for sample in samples if sample.label is not None)
    parts = Counter(sample.split for sample in samples if sample.split is not None)
    return {
        "images": len(samples),
        "masks": sum(sample.has_mask for sample in samples),
        "groups": len({sample.group for sample in samples if sample.group is not None}),
        **{f"label/{label}": labels[label] for label in sorted(labels)},
        **{f"split/{part}": parts[part] for part in PARTS if part in parts},
    }


def _listed(config: DatasetConfig) -> tuple[Dataset, Sequence[Sample], list[Problem]]:
    """The samples; where the dataset refuses to list them all, those it can list."""
    strict = build_dataset(config.model_copy(update={"skip_unreadable": False}))
    try:
        return strict, strict.samples(), []
    except DatasetNotFoundError:
        raise
    except DataError as error:
        problems = [Problem("files", "", str(error))]
    lenient = build_dataset(config.model_copy(update={"skip_unreadable": True}))
    try:
        return lenient, lenient.samples(), problems
    except DataError:
        return lenient, (), problems


def _repeated(samples: Sequence[Sample]) -> list[Problem]:
    times = Counter(sample.id for sample in samples)
    return [
        Problem("id", name, f"{number} images have the id {name!r}")
        for name, number in times.items()
        if number > 1
    ]


def _unreadable(dataset: Dataset, samples: Sequence[Sample]) -> list[Problem]:
    """What is wrong with images and masks, found by several threads."""
    found: dict[int, list[Problem]] = {}

    def check_some(start: int) -> int:
        some = samples[start : start + TASK]
        found[start] = [problem for sample in some for problem in _check(dataset, sample)]
        return len(some)

    title = f"checking {dataset.config.name}"
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        with track(title, len(samples), unit="image") as bar:
            tasks = [pool.submit(check_some, start) for start in range(0, len(samples), TASK)]
            for task in as_completed(tasks):
                bar.advance(task.result())
    finally:
        pool.shutdown(cancel_futures=True)
    return [problem for start in sorted(found) for problem in found[start]]


def _check(dataset: Dataset, sample: Sample) -> Iterator[Problem]:
    try:
        image = read_image(dataset, sample)
    except (DataError, PluginError) as error:
        yield Problem("image", sample.id, str(error))
        return
    if sample.has_mask:
        try:
            read_checked_mask(dataset, sample, image)
        except (DataError, PluginError) as error:
            yield Problem("mask", sample.id, str(error))
