"""Fetching a dataset's release: downloaded, checked, unpacked, and only then put in its place.

All that is unfinished lies in a folder `NAME.download` beside the place: interrupted, the next
call goes on from there. A file that was fetched by hand may be put into it as well.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ssl_registry.build import build_dataset
from ssl_registry.config.folder import FolderDatasetConfig
from ssl_registry.config.model import DatasetConfig
from ssl_registry.data.room import need_room
from ssl_registry.data.transfer import ResumingDownloader, TransferError
from ssl_registry.data.unpack import ArchiveError, unpack
from ssl_registry.errors import DataError, UserError
from ssl_registry.file_lock import FileLock
from ssl_registry.interfaces.dataset import Dataset, Download, Release

LOCK = ".lock"
UNPACKED_SHARE = 1.25
"""What an archive of images unpacks to, as a share of its length, where it is not known yet."""


def download(dataset: Dataset, root: Path, *, keep_archives: bool = False) -> tuple[Path, ...]:
    """Fetch the release of `dataset` into the new folder `root`.

    Args:
        dataset: What reads the release; it must find its images in what was unpacked.
        root: The folder to make; it may be there, but must be empty.
        keep_archives: Whether the archives stay in the folder `NAME.download` beside `root`.

    Returns:
        The archives that were kept.

    Raises:
        DataError: The release cannot be fetched by a program, `root` is taken, there is no room,
            the server refuses, a checksum differs, an archive is damaged or malicious, or holds
            something else. Nothing is left at `root`; downloaded bytes that may be good are kept.
    """
    release = downloadable(dataset)
    check_free(root)
    work = work_folder(root)
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot make the folder {work}: {error.strerror}; name another folder"
        ) from error
    with _alone(work):
        _check_room(work, release)
        files = [_fetch(part, work, release.by_hand) for part in release.downloads]
        new = work / "unpacked"
        try:
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            _unpack_all(release, files, new)
            _check_release(dataset, new)
            _put_in_place(new, root)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        if not keep_archives:
            shutil.rmtree(work, ignore_errors=True)
    return tuple(files) if keep_archives else ()


def downloadable(dataset: Dataset) -> Release:
    """The release of `dataset`.

    Raises:
        DataError: It has none, or none that a program can fetch; says what to do.
    """
    name, info = dataset.config.name, dataset.info
    release = info.release
    if release is not None and release.downloads:
        return release
    if release is not None and release.by_hand:
        raise DataError(f"dataset {name!r} cannot be fetched by a program: {release.by_hand}")
    if not isinstance(dataset.config, FolderDatasetConfig):
        raise DataError(f"dataset {name!r} needs no files; there is nothing to download")
    source = f"; its source is {info.source}" if info.source else ""
    raise DataError(f"dataset {name!r} does not say where it can be fetched{source}")


def check_free(root: Path) -> None:
    """Check that nothing lies at `root`.

    Raises:
        DataError: It is a file, or a folder with something in it.
    """
    if root.is_dir() and not any(root.iterdir()):
        return
    if root.exists() or root.is_symlink():
        raise DataError(
            f"{root} is there already and is not overwritten; move it away or name another folder"
        )


def work_folder(root: Path) -> Path:
    """Where a download for `root` is worked on."""
    return root.with_name(f"{root.name}.download")


@contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Work in a folder as the only process, where the system knows locks."""
    lock = FileLock(work / LOCK)
    if not lock.take():
        raise DataError(f"another process is downloading into {work}; wait for its end")
    try:
        yield
    finally:
        lock.remove()
        with suppress(OSError):
            work.rmdir()  # unless something is worth keeping


def _check_room(work: Path, release: Release) -> None:
    """Check beforehand that there is room for what is still to fetch, and to unpack."""
    needed = 0.0
    for part in release.downloads:
        size = part.size or 0
        here = next((p.stat().st_size for p in _places(part, work) if p.exists()), 0)
        needed += max(0, size - here) + (UNPACKED_SHARE if part.archive else 1) * size
    need_room(work, round(needed), "the download, with the unpacked files,")


def _places(part: Download, work: Path) -> tuple[Path, Path]:
    """Where a file of the release lies when it is complete, and before."""
    return work / part.file_name, work / f"{part.file_name}.part"


def _fetch(part: Download, work: Path, by_hand: str) -> Path:
    """Download one file, unless it lies there with the right checksum."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    complete, partial = _places(part, work)
    downloader = ResumingDownloader(partial, part.checksum)
    # What the downloader fetches it has checked itself, before pooch could drop it.
    known = part.checksum or None if complete.exists() else None
    try:
        pooch.retrieve(part.url, known, part.file_name, work, downloader=downloader)
    except TransferError as error:
        raise TransferError(
            f"{error}; call again to go on, or fetch {part.file_name} by hand and put it into "
            f"{work} before you do" + (f"; or by hand: {by_hand}" if by_hand else "")
        ) from error
    return complete


def _unpack_all(release: Release, files: Sequence[Path], folder: Path) -> None:
    """Unpack archives and copy other files, all into one folder."""
    for part, file in zip(release.downloads, files, strict=True):
        if not part.archive:
            shutil.copyfile(file, folder / part.file_name)
            continue
        try:
            unpack(file, folder)
        except ArchiveError as error:
            # Out of the way, so that the next call fetches another one.
            aside = file.replace(file.with_name(f"{file.name}.refused"))
            raise ArchiveError(f"{error}; it was set aside as {aside.name}") from error


def _check_release(dataset: Dataset, folder: Path) -> None:
    """Check that the dataset finds its samples in `folder`, before that is put in place."""
    try:
        found = dataset_at(dataset.config, folder).samples()
    except UserError as error:
        message = str(error).replace(str(folder), "what was unpacked")
        raise DataError(
            f"the release of {dataset.config.name!r} is not what it should be: {message}"
        ) from error
    if not found:
        raise DataError(f"the release of {dataset.config.name!r} holds no image")


def dataset_at(config: DatasetConfig, root: Path) -> Dataset:
    """The dataset of `config` as it is found in another folder."""
    return build_dataset(config.model_copy(update={"root": root}))


def _put_in_place(new: Path, root: Path) -> None:
    """Rename the finished folder; an empty one may be at its place."""
    check_free(root)
    if sys.platform != "win32":
        os.sync()  # what is found under the final name after a power cut is whole
    elif root.exists():
        root.rmdir()
    try:
        new.rename(root)
    except OSError as error:
        raise DataError(f"cannot move the unpacked files to {root}: {error.strerror}") from error
