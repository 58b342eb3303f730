"""The lock of a run folder: one process at a time works in it."""

from __future__ import annotations

from pathlib import Path

from ssl_registry.errors import RunBusyError, RunError
from ssl_registry.file_lock import FileLock

NAME = ".lock"


class RunLock:
    """Holds `<folder>/.lock` until released; the system releases it when the process ends.

    Where the platform or the file system knows no such locks, nothing is held.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            RunBusyError: Another process holds it.
            RunError: The folder is not writable.
        """
        self._lock = FileLock(folder / NAME)
        try:
            taken = self._lock.take()
        except OSError as error:
            raise RunError(f"cannot write {folder / NAME}: {error.strerror}") from error
        if not taken:
            raise RunBusyError(
                f"the run folder {folder} is being run by another process; "
                "wait for its end, or choose another --out"
            )

    def release(self) -> None:
        """Let others take it."""
        self._lock.release()

    def remove(self) -> None:
        """Remove the file and then let others take the lock."""
        self._lock.remove()
