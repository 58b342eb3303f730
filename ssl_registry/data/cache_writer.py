"""Writing a decode cache so that a build that was killed can be gone on with.

The arrays are written as a file is written, not through a memory map: on a full disk that would
kill the process instead of raising an error. A journal beside them says after each few rows how
many are written, which images could not be read, and the digest of the pixels so far; the next
builder checks the digest and reads only what is missing.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from numpy.lib.format import write_array_header_1_0

from ssl_registry.data.cache_readers import read_rows
from ssl_registry.data.cache_rows import IMAGES, CacheSettings, Rows, row_shapes
from ssl_registry.errors import DataError
from ssl_registry.files import write_json, write_text
from ssl_registry.interfaces.dataset import Dataset, Sample
from ssl_registry.progress import track

INDEX, JOURNAL = "index.json", "progress.jsonl"


def write_cache(
    folder: Path, dataset: Dataset, samples: Sequence[Sample], settings: CacheSettings
) -> None:
    """Write `images.npy`, `masks.npy` if wanted, and `index.json`; rows already there stay.

    The index holds the fingerprint: sha256 over each sample's stored image and mask in turn.

    Raises:
        DataError: A sample cannot be used, and the dataset's config does not skip such, or none
            can be used; names the file.
        PluginError: The dataset gives images or masks that are not as its contract says.
        OSError: The disk is full or cannot be written to.
    """
    heading = {
        "dataset": dataset.config.name,
        "settings": asdict(settings),
        "images": len(samples),
    }
    title = f"caching {dataset.config.name} at {settings.size} px"
    with CacheWriter(folder, row_shapes(dataset, settings), heading) as writer:
        rows = read_rows(dataset, samples[writer.done :], settings)
        with closing(rows), track(title, len(samples), done=writer.done, unit="image") as bar:
            for some in rows:
                writer.append(some)
                bar.advance(len(some))
    if len(writer.unreadable) == len(samples):
        raise DataError(f"no image of {dataset.config.name!r} can be read; {writer.unreadable[0]}")
    index = {
        **heading,
        "samples": [sample.id for sample in samples],
        "unreadable": writer.unreadable,
        "fingerprint": writer.fingerprint,
    }
    write_json(folder / INDEX, index)


class CacheWriter:
    """Appends rows to the arrays in a folder, after those that an earlier writer left there.

    Attributes:
        done: Rows that are written.
        unreadable: Places of images that could not be read, with the reason.
    """

    def __init__(
        self, folder: Path, shapes: Mapping[str, tuple[int, ...]], heading: Mapping[str, Any]
    ) -> None:
        """Take up what is there, if its journal begins with `heading` and its pixels fit.

        Args:
            folder: Where the arrays are.
            shapes: The shape of one row of each array, by file.
            heading: What is cached; its `images` is the number of rows.
        """
        self.done = 0
        self.unreadable: dict[int, str] = {}
        self._digest = hashlib.sha256()
        self._folder, self._heading = folder, dict(heading)
        self._bytes = {name: math.prod(shape) for name, shape in shapes.items()}
        self._headers = {
            name: _header((heading["images"], *shape)) for name, shape in shapes.items()
        }
        self._files: dict[str, BinaryIO] = {}
        self._stack = ExitStack()

    @property
    def fingerprint(self) -> str:
        """sha256 over the rows so far."""
        return self._digest.hexdigest()

    def __enter__(self) -> Self:
        self._take_up()
        notes = [self._heading, self._state(self.unreadable)]
        # At once: the journal of a killed build ends in half a line.
        write_text(self._folder / JOURNAL, "".join(json.dumps(note) + "\n" for note in notes))
        with ExitStack() as stack:
            for name, header in self._headers.items():
                path = self._folder / name
                file = stack.enter_context(path.open("r+b" if self.done else "wb"))
                if not self.done:
                    file.write(header)
                file.truncate(len(header) + self.done * self._bytes[name])
                file.seek(0, io.SEEK_END)
                self._files[name] = file
            journal = (self._folder / JOURNAL).open("a", encoding="utf-8")
            self._journal = stack.enter_context(journal)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def append(self, rows: Rows) -> None:
        """Write some rows and note them in the journal."""
        reasons = {self.done + place: reason for place, reason in rows.reasons.items()}
        for name, file in self._files.items():
            file.write(rows.arrays[name].data)
            file.flush()
        if len(self._files) == 1:
            self._digest.update(rows.arrays[IMAGES].data)
        else:
            for parts in zip(*(rows.arrays[name] for name in self._files), strict=True):
                for part in parts:
                    self._digest.update(part.data)
        self.done += len(rows)
        self.unreadable |= reasons
        self._journal.write(json.dumps(self._state(reasons)) + "\n")
        self._journal.flush()

    def _state(self, reasons: Mapping[int, str]) -> dict[str, Any]:
        """A note of the journal; `reasons` are those of the rows since the last note."""
        return {"rows": self.done, "digest": self.fingerprint, "unreadable": reasons}

    def _take_up(self) -> None:
        """Find out what an earlier writer left that can be trusted."""
        heading, notes = read_journal(self._folder)
        if heading != self._heading or not notes:
            return
        rows, digest = notes[-1]["rows"], hashlib.sha256()
        if not self._rehash(rows, digest) or digest.hexdigest() != notes[-1]["digest"]:
            return  # the machine went down before the pixels reached the disk
        self.done, self._digest = rows, digest
        for note in notes:
            self.unreadable |= {int(place): why for place, why in note["unreadable"].items()}

    def _rehash(self, rows: int, digest: hashlib._Hash) -> bool:
        """Digest the first `rows` rows; False if they are not all there."""
        with ExitStack() as stack:
            files = {}
            for name, header in self._headers.items():
                try:
                    files[name] = stack.enter_context((self._folder / name).open("rb"))
                except FileNotFoundError:
                    return False
                if files[name].read(len(header)) != header:
                    return False
            for _ in range(rows):
                for name, file in files.items():
                    digest.update(file.read(self._bytes[name]))
        return True


def read_journal(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The heading and the notes of a build's journal, which a kill may have cut short."""
    try:
        text = (folder / JOURNAL).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}, []
    notes: list[dict[str, Any]] = []
    for line in text.splitlines(keepends=True):
        try:
            note = json.loads(line) if line.endswith("\n") else None
        except ValueError:
            note = None
        if not isinstance(note, dict):
            break
        notes.append(note)
    return (notes[0], notes[1:]) if notes else ({}, [])


def _header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue()
