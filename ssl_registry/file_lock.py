"""Locks between processes, which the system releases when their holder ends, however it ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path


class FileLock:
    """An exclusive lock on a file, which is made if it is not there.

    Where the platform or the file system knows no such locks, taking one succeeds but holds
    nothing; see `held`.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether the lock is held and keeps others out."""
        return self._descriptor is not None

    def take(self, *, wait: bool = False) -> bool:
        """Take the lock; gives False if another holds it, unless told to wait for its end.

        Raises:
            OSError: The file cannot be made or written to.
        """
        if sys.platform == "win32":
            return True
        import fcntl

        mode = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
        while not self._is_of_the_file():
            self.release()
            self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(self._descriptor, mode)
            except BlockingIOError:
                self.release()
                return False
            except OSError:
                self.release()
                return True
        return True

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

    def _is_of_the_file(self) -> bool:
        """Whether what is held is still the file of that name: its last holder may remove it."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._file.stat())
        except FileNotFoundError:
            return False
