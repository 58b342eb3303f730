"""Splits on disk: a CSV that says for each sample which part it belongs to."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PureWindowsPath

from ssl_registry.config.split import Part
from ssl_registry.errors import DataError
from ssl_registry.files import write_text
from ssl_registry.interfaces.dataset import Sample

_PART_OF: dict[str, Part] = {
    "train": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


def read_split(path: Path, samples: Sequence[Sample]) -> dict[str, Part]:
    """Read the part of every sample from a CSV.

    The CSV has a column `id`, or a column `original_filepath` whose file names without suffix
    are the ids, and a column `split` of train, val (valid, validation) or test. Other columns
    are passed over.

    Returns:
        Sample id to part, in the order of `samples`.

    Raises:
        DataError: The file cannot be read, lacks a column, or does not list each sample once.
    """
    listed = _checked(_rows(path), path)
    ids = [sample.id for sample in samples]
    unknown = sorted(listed.keys() - set(ids))
    if unknown:
        raise DataError(
            f"{path} lists {len(unknown)} ids that the dataset does not have: {names(unknown)}; "
            f"the dataset has {len(ids)} samples such as {names(ids)}"
        )
    missing = [name for name in ids if name not in listed]
    if missing:
        raise DataError(
            f"{path} lists {len(listed)} of the dataset's {len(ids)} samples; "
            f"{len(missing)} are missing: {names(missing)}"
        )
    return {name: listed[name] for name in ids}


def write_split(path: Path, split: Mapping[str, Part]) -> None:
    """Write a split as a CSV with the columns `id` and `split`, whole or not at all.

    Raises:
        RunError: The place is not writable; an older file stays.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "split"))
    writer.writerows(split.items())
    write_text(path, text.getvalue())


def names(ids: Iterable[str], limit: int = 3) -> str:
    """The first few ids, for a message."""
    every = list(ids)
    return ", ".join(repr(name) for name in every[:limit]) + (", ..." if every[limit:] else "")


def _rows(path: Path) -> list[tuple[int, str, str]]:
    """Line number, id and part as written."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or ()
            key = next((name for name in ("id", "original_filepath") if name in columns), None)
            if key is None or "split" not in columns:
                raise DataError(
                    f"the split file {path} needs a column `id` or `original_filepath` and a "
                    f"column `split`; its columns are {', '.join(columns) or 'none'}"
                )
            found = [(reader.line_num, row[key] or "", row["split"] or "") for row in reader]
    except OSError as error:
        raise DataError(f"cannot read the split file {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"the split file {path} is not a CSV in UTF-8: {error}") from error
    if key == "original_filepath":
        # A Windows path also understands the slashes of the others.
        found = [(line, PureWindowsPath(name).stem, part) for line, name, part in found]
    return found


def _checked(rows: Iterable[tuple[int, str, str]], path: Path) -> dict[str, Part]:
    listed: dict[str, Part] = {}
    for line, name, word in rows:
        part = _PART_OF.get(word.strip().lower())
        if part is None:
            raise DataError(
                f"{path}, line {line}: the split of {name!r} is {word!r}; "
                "it must be train, val or test"
            )
        if name in listed:
            raise DataError(f"{path}, line {line}: {name!r} is listed a second time")
        listed[name] = part
    return listed
