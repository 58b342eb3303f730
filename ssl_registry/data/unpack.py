"""Unpacking a zip or tar archive from the internet: nothing in it is trusted.

Names and links that lead out of the folder, devices and encrypted entries are refused; other links
become copies of the files they name, so that no link is ever written; and an archive that unpacks
to absurdly more than it is long is stopped.
"""

from __future__ import annotations

import errno
import lzma
import posixpath
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import IO

from ssl_registry.data.room import MegabyteTrack, in_words, megabytes, need_room
from ssl_registry.errors import DataError
from ssl_registry.progress import say, track

MOST_TIMES_ITS_LENGTH = 100
"""An archive may unpack to so many times its own length; images hardly shrink at all."""
ALWAYS_ALLOWED = 2**26
"""Bytes that even the shortest archive may unpack to."""
MOST_ENTRIES = 2_000_000
_CHUNK = 2**20
_LONGEST_PATH = 4096
_ABOUT_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS}
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # an encrypted entry
    ValueError,
)


class ArchiveError(DataError):
    """An archive is damaged, or holds what must not be unpacked."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack `archive` (zip, or tar plain, gz, bz2 or xz) into `folder`, which exists.

    What an error leaves in `folder` is the caller's to remove.

    Raises:
        ArchiveError: It is damaged or only part of an archive, or has an entry that is refused;
            names the archive and the entry.
        DataError: The disk has no room for it.
    """
    with _told(archive):
        if tarfile.is_tarfile(archive):
            _unpack_tar(archive, _Tree(archive, folder))
        elif zipfile.is_zipfile(archive):
            _unpack_zip(archive, _Tree(archive, folder))
        else:
            raise ArchiveError(f"{archive} is no zip or tar archive, or only the beginning of one")


@contextmanager
def _told(archive: Path) -> Iterator[None]:
    """Turn what a damaged archive raises into an `ArchiveError`."""
    try:
        yield
    except _DAMAGED as error:
        raise ArchiveError(f"the archive {archive} cannot be unpacked: {error}") from error
    except OSError as error:
        if error.errno in _ABOUT_THE_DISK:
            raise
        raise ArchiveError(f"the archive {archive} cannot be unpacked: {error}") from error


class _Tree:
    """The folder that an archive is unpacked into."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self._archive, self._folder = archive, folder
        self._links: dict[str, str] = {}
        self._made: set[Path] = set()
        self._written = self._entries = 0
        length = archive.stat().st_size
        self._most = max(ALWAYS_ALLOWED, MOST_TIMES_ITS_LENGTH * length)

    def expect(self, size: int) -> None:
        """Check beforehand what the archive says it unpacks to, in bytes."""
        self._check_size(size)
        need_room(self._folder, size, f"unpacking {self._archive.name}")

    def add_folder(self, name: str) -> None:
        self._place(name).mkdir(parents=True, exist_ok=True)

    def add_file(self, name: str, content: IO[bytes], size: int) -> None:
        """Write a file, said to be of `size` bytes; it must not be there yet."""
        path = self._place(name)
        need_room(self._folder, size, f"unpacking {self._archive.name}")
        if path.parent not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(path.parent)
        with path.open("xb") as file:
            while chunk := content.read(_CHUNK):
                self.pass_over(len(chunk))
                file.write(chunk)

    def pass_over(self, size: int) -> None:
        """Count bytes that are unpacked but not written."""
        self._written += size
        self._check_size(self._written)

    def add_link(self, name: str, target: str) -> None:
        """Remember a link; `target` is relative to the tree's root."""
        self._place(name)
        inside = posixpath.normpath(target.replace("\\", "/"))
        if not _is_inside(inside):
            raise self.refused(name, f"it is a link to {target}, outside of the archive")
        self._links[posixpath.normpath(name)] = inside

    def finish(self) -> None:
        """Put at each link a copy of the file it names, perhaps through further links.

        A link to a folder or to nothing is left out, which is said. An archive without any entry
        is refused.
        """
        if not self._entries:
            raise ArchiveError(f"the archive {self._archive} holds nothing")
        for name, target in self._links.items():
            passed = {name}
            while target in self._links and target not in passed:
                passed.add(target)
                target = self._links[target]
            path = self._folder / target
            if path.is_file():
                with path.open("rb") as content:
                    self.add_file(name, content, path.stat().st_size)
            else:
                what = f"the link {name!r} to {target!r}, which is no file in it, is left out"
                say(f"{self._archive.name}: {what}", sys.stderr)

    def refused(self, name: str, why: str) -> ArchiveError:
        return ArchiveError(f"the archive {self._archive} is refused for its entry {name!r}: {why}")

    def _place(self, name: str) -> Path:
        """Where an entry is put; counts it."""
        self._entries += 1
        if self._entries > MOST_ENTRIES:
            raise self.refused(name, f"there are more than {MOST_ENTRIES} entries")
        if not _is_inside(name):
            raise self.refused(name, "its name leads out of the folder")
        return self._folder / name.replace("\\", "/")

    def _check_size(self, size: int) -> None:
        if size > self._most:
            raise ArchiveError(
                f"the archive {self._archive} is refused: it unpacks to more than "
                f"{in_words(self._most)}, which is absurd for its length"
            )


def _is_inside(name: str) -> bool:
    """Whether a name, read as one of Unix or Windows, leads to a place below the root."""
    windows = PureWindowsPath(name)
    return not windows.anchor and ".." not in windows.parts and "\0" not in name


def _unpack_zip(archive: Path, tree: _Tree) -> None:
    length, done = archive.stat().st_size, 0
    with (
        zipfile.ZipFile(archive) as opened,
        track(f"unpacking {archive.name}", megabytes(length), unit="MB") as bar,
    ):
        shown = MegabyteTrack(bar, length)
        entries = opened.infolist()
        tree.expect(sum(entry.file_size for entry in entries))
        for entry in entries:
            _add_zipped(opened, entry, tree)
            done += entry.compress_size
            shown.reach(done)
        tree.finish()
        shown.reach(length)


def _add_zipped(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, tree: _Tree) -> None:
    # Archives made on Windows have no type there.
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.is_dir():
        tree.add_folder(entry.filename)
    elif kind == stat.S_IFLNK:
        if entry.file_size > _LONGEST_PATH:
            raise tree.refused(entry.filename, "it is a link with an absurdly long target")
        target = opened.read(entry).decode("utf-8")
        tree.add_link(entry.filename, _from_root(entry.filename, target))
    elif kind in (0, stat.S_IFREG):
        with opened.open(entry) as content:
            tree.add_file(entry.filename, content, entry.file_size)
    else:
        raise tree.refused(entry.filename, "it is neither a file nor a folder")


def _unpack_tar(archive: Path, tree: _Tree) -> None:
    length = archive.stat().st_size
    with (
        archive.open("rb") as raw,
        tarfile.open(fileobj=raw) as opened,
        track(f"unpacking {archive.name}", megabytes(length), unit="MB") as bar,
    ):
        shown = MegabyteTrack(bar, length)
        for member in opened:
            _add_tarred(opened, member, tree)
            shown.reach(raw.tell())
        # Only at its very end does a compressed stream tell whether it is whole.
        while opened.fileobj is not None and (padding := opened.fileobj.read(_CHUNK)):
            tree.pass_over(len(padding))
        tree.finish()
        shown.reach(length)


def _add_tarred(opened: tarfile.TarFile, member: tarfile.TarInfo, tree: _Tree) -> None:
    if member.isdir():
        tree.add_folder(member.name)
    elif member.issym():
        tree.add_link(member.name, _from_root(member.name, member.linkname))
    elif member.islnk():
        tree.add_link(member.name, member.linkname)
    elif member.isfile():
        content = opened.extractfile(member)
        if content is not None:
            with content:
                tree.add_file(member.name, content, member.size)
    else:
        raise tree.refused(member.name, "it is neither a file nor a folder")


def _from_root(name: str, target: str) -> str:
    """The target of a symbolic link as seen from the root; an absolute one stays absolute."""
    return posixpath.join(posixpath.dirname(name), target)
