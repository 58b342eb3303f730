"""The lock of a run folder: one process at a time works in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from ssl_registry.errors import RunError

NAME = ".lock"


class RunLock:
    """Holds `<folder>/.lock` until released; the system releases it when the process ends.

    Where the platform or the file system knows no such locks, nothing is held.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            RunError: Another process holds it, or the folder is not writable.
        """
        self._descriptor: int | None = None
        self._file = folder / NAME
        if sys.platform != "win32":
            self._take()

    def release(self) -> None:
        """Let others take it."""
        if self._descriptor is not None:
            # Closing unlocks; an explicit unlock in a forked child would also unlock the parent.
            os.close(self._descriptor)
            self._descriptor = None

    def remove(self) -> None:
        """Remove the file and then let others take the lock."""
        self._file.unlink(missing_ok=True)
        self.release()

    def __del__(self) -> None:
        self.release()

    def _take(self) -> None:
        import fcntl

        while not self._is_of_the_file():
            self.release()
            try:
                self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666)
            except OSError as error:
                raise RunError(f"cannot write {self._file}: {error.strerror}") from error
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.release()
                raise RunError(
                    f"the run folder {self._file.parent} is being run by another process; "
                    "wait for its end, or choose another --out"
                ) from None
            except OSError:
                self.release()
                return

    def _is_of_the_file(self) -> bool:
        """Whether what is held is still the file of that name: its last holder may remove it."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._file.stat())
        except FileNotFoundError:
            return False
