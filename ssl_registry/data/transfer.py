"""One file over HTTP: what an interrupted try has left is gone on with, and never mixed up.

The bytes are gathered in a file `NAME.part`; beside it `NAME.part.json` says of which version of
the file they are (the server's ETag or date), so that a file that changed in between starts anew.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ssl_registry.data.room import MEGABYTE, MegabyteTrack, in_words, megabytes, need_room
from ssl_registry.errors import DataError, PluginError, RunError
from ssl_registry.files import read_json, write_json
from ssl_registry.progress import PLAIN_SECONDS, say, track

CHUNK = 2**18
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
_LOST = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
    ssl.SSLError,
)
_CONTENT_RANGE = re.compile(r"bytes (?P<start>[0-9]+)-[0-9]+/(?P<total>[0-9]+|\*)")


class TransferError(DataError):
    """A file could not be fetched; what has come is kept."""


class _PassingError(Exception):
    """Something that may go well the next time."""


@dataclass(frozen=True)
class ResumingDownloader:
    """Fetches a file over HTTP(S) and goes on where an earlier try was cut; used by pooch.

    Attributes:
        partial: Where the bytes are gathered; left there if the connection is lost for good.
        checksum: `sha256:...` or `md5:...` of the whole file; empty if it is not known. Without
            it, and if the server does not name the version of the file, an interrupted try is not
            gone on with.
        tries: Times it is tried without a byte of progress.
        pause: Seconds before the second try; doubled before each further one.
        timeout: Seconds without an answer or a byte after which a connection counts as lost.
    """

    partial: Path
    checksum: str
    tries: int = 5
    pause: float = 1.0
    timeout: float = 60.0

    def __call__(
        self,
        url: str,
        output_file: Any,
        pooch: object = None,
        check_only: bool | None = False,
    ) -> None:
        """Fetch `url` into `output_file`, a path; the other arguments are pooch's own.

        Raises:
            TransferError: The server refuses, or the connection is lost again and again.
            DataError: The disk has no room for the rest of the file, or the checksum differs.
        """
        if not url.startswith(("https://", "http://")):
            raise PluginError(f"{url} is no address that data are fetched from; it must be http(s)")
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        self._fetch_all(url)
        self._check(url)
        self.partial.replace(output_file)
        self._version.unlink(missing_ok=True)

    def _fetch_all(self, url: str) -> None:
        """Try as often as it takes, or is worth it."""
        farthest, fruitless = self._have(), 0
        while True:
            try:
                return self._try(url)
            except _PassingError as reason:
                fruitless = 1 if self._have() > farthest else fruitless + 1
                farthest = max(farthest, self._have())
                if fruitless >= self.tries:
                    raise TransferError(f"{url} cannot be fetched: {reason}") from reason
                wait = self.pause * 2 ** (fruitless - 1)
                have = in_words(self._have())
                say(f"{reason}, with {have} here; trying again in {wait:.0f} s", sys.stderr)
                time.sleep(wait)

    def _check(self, url: str) -> None:
        """Compare the checksum; a file that has another one is removed."""
        import pooch

        algorithm, _, expected = self.checksum.rpartition(":")
        if not expected:
            return
        actual = pooch.file_hash(str(self.partial), alg=algorithm or "sha256")
        if actual.lower() != expected.lower():
            self.partial.unlink()
            self._version.unlink(missing_ok=True)
            raise DataError(
                f"{url} has not the checksum it should have: expected {self.checksum}, got "
                f"{algorithm or 'sha256'}:{actual}. What came is removed; call again, and if that "
                "does not help, the release has changed or somebody has meddled with it"
            )

    @property
    def _version(self) -> Path:
        return self.partial.with_name(self.partial.name + ".json")

    def _have(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _try(self, url: str) -> None:
        """Get all that is missing of the file."""
        version = self._known_version(url)
        start = self._have() if version or self.checksum else 0
        headers = {"User-Agent": "ssl-registry", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            headers |= {"If-Range": version} if version else {}
        request = urllib.request.Request(url, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as response:
                self._receive(url, response, start)
        except urllib.error.HTTPError as error:
            with error:
                self._judge(url, error, start)
        except _LOST as error:
            raise _reason(url, error) from error

    def _known_version(self, url: str) -> str:
        """What the server called the version of the bytes that are here; empty if unknown."""
        if not self._have() or not self._version.exists():
            return ""
        try:
            noted = read_json(self._version)
        except RunError:
            return ""
        return str(noted["version"]) if noted["url"] == url else ""

    def _receive(self, url: str, response: http.client.HTTPResponse, start: int) -> None:
        if response.status == HTTPStatus.PARTIAL_CONTENT:
            match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if match is None or int(match["start"]) != start:
                self.partial.unlink(missing_ok=True)
                raise _PassingError(
                    "the server sent another part of the file than it was asked for"
                )
            total = None if match["total"] == "*" else int(match["total"])
        else:
            start = 0
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
        if total is not None:
            need_room(self.partial.parent, total - start, f"the rest of {url}")
        if not start:
            # Before the version is noted: a process killed in between must not mix two of them.
            self.partial.unlink(missing_ok=True)
        write_json(self._version, {"url": url, "version": _version_of(response)})
        self._copy(response, start, total)
        if total is not None and self._have() != total:
            raise _PassingError(
                f"the connection was lost {in_words(total - self._have())} too early"
            )

    def _copy(self, response: http.client.HTTPResponse, start: int, total: int | None) -> None:
        title = f"downloading {self.partial.stem}"
        with self.partial.open("ab") as file, _shown(title, start, total) as bar:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                bar.reach(file.tell())

    def _judge(self, url: str, error: urllib.error.HTTPError, start: int) -> None:
        """Return if the file turns out to be here already; else raise what fits the status."""
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            if error.headers.get("Content-Range", "") == f"bytes */{start}":
                return
            self.partial.unlink(missing_ok=True)
            raise _PassingError("what was here did not fit the file on the server") from error
        if error.code in _TRANSIENT:
            raise _PassingError(f"the server answered {error.code} {error.reason}") from error
        raise TransferError(
            f"{url} cannot be fetched: the server answered {error.code} {error.reason}"
        ) from error


def _version_of(response: http.client.HTTPResponse) -> str:
    """What `If-Range` may be asked with: a strong ETag, else the date; empty if neither."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _reason(url: str, error: Exception) -> _PassingError | TransferError:
    """A failed connection as a reason to try again or, where that is hopeless, to stop."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return TransferError(
            f"{url} cannot be fetched: the certificate of the server is not trusted "
            f"({cause.verify_message})"
        )
    if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
        return TransferError(f"{url} cannot be fetched: there is no such server, or no network")
    return _PassingError(f"no connection to the server ({cause or type(cause).__name__})")


class _CountOnly:
    """Shows a position in a file whose size the server does not tell, in lines now and then."""

    def __init__(self, title: str) -> None:
        self._title, self._last = title, time.monotonic()

    def reach(self, position: int) -> None:
        """Show that `position` bytes are done."""
        now = time.monotonic()
        if now - self._last >= PLAIN_SECONDS:
            self._last = now
            say(f"{self._title}: {in_words(position)}", sys.stderr)


@contextlib.contextmanager
def _shown(title: str, start: int, total: int | None) -> Iterator[MegabyteTrack | _CountOnly]:
    if total is None:
        yield _CountOnly(title)
        return
    with track(title, megabytes(total), done=start // MEGABYTE, unit="MB") as bar:
        yield MegabyteTrack(bar, total, start)
