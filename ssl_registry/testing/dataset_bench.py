"""A dataset on a generated sample of itself."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from ssl_registry.config.model import DatasetConfig
from ssl_registry.errors import DatasetNotFoundError
from ssl_registry.interfaces.dataset import Dataset, Sample
from ssl_registry.testing.check import CheckFailure, SubjectFailure, described, require
from ssl_registry.testing.subject import Subject

Writer = Callable[[Path, int], DatasetConfig | None]

_NO_SAMPLE = (
    "it offers no generated sample to check it on, and its default config finds no data either; "
    "define the classmethod `write_sample(cls, root, seed)` of ssl_registry.Dataset"
)
_NOT_LISTED = "its generated sample cannot be listed"
_LAYOUT = "Make write_sample write the very layout of the release, and samples() read it"


class DatasetBench(Subject):
    """A dataset under check; its sample is written once, and removed with the bench."""

    def folder(self) -> Path:
        """A new empty folder of the bench's own."""
        path = Path(tempfile.mkdtemp(prefix="ssl-registry-check-"))
        weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)
        return path

    def sampled(self, seed: int) -> Dataset:
        """The dataset on a sample drawn from `seed`; as its default config has it if it has none.

        Raises:
            SubjectFailure: There is neither.
            CheckFailure: The sample is another dataset's.
        """
        write: Writer = getattr(self.factory(), "write_sample", lambda root, seed: None)
        config = write(self.folder(), seed)
        if config is None:
            dataset = self.build(self.config())
            try:
                dataset.samples()
            except DatasetNotFoundError as error:
                raise SubjectFailure(_NO_SAMPLE) from error
            return dataset
        own = self.model if self.found.component.config else DatasetConfig
        fits = isinstance(config, own)
        require(fits, f"write_sample gives a {type(config).__name__}, not its own config")
        return self.build(config)

    def build(self, config: object) -> Dataset:
        """The dataset of a config."""
        dataset: Dataset = self.factory()(config=config)
        require(isinstance(dataset, Dataset), f"its factory gives a {type(dataset).__name__}")
        return dataset

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset on its sample, shared by the checks."""
        return self.sampled(seed=0)

    @cached_property
    def samples(self) -> Sequence[Sample]:
        """The samples of `dataset`; at least one.

        Raises:
            SubjectFailure: They cannot be listed, or there is none.
        """
        try:
            samples = self.dataset.samples()
        except CheckFailure:
            raise
        except (Exception, SystemExit) as error:  # whatever a foreign dataset raises
            raise SubjectFailure(f"{_NOT_LISTED}: {described(error)}. {_LAYOUT}") from error
        if not samples:
            raise SubjectFailure(f"its generated sample has no images. {_LAYOUT}")
        return samples
