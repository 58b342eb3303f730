"""The folder of a run: config, log, checkpoint, weights, summary."""

from __future__ import annotations

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_registry.errors import RunError
from ssl_registry.files import beside, read_json, write_json, write_text
from ssl_registry.training.run_lock import RunLock

RUNS = Path("runs")


class RunFolder:
    """`<path>/` with `config.json`, `log.jsonl`, `checkpoint/`, `weights/` and `summary.json`.

    Further files are `split*.csv`, `metrics.csv` and `report.html`; `.lock` is held by the
    process that works here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = path / "checkpoint"
        self.weights = path / "weights"
        self._config = path / "config.json"
        self._lock: RunLock | None = None
        self._new = False

    @property
    def finished(self) -> bool:
        """Whether the run ended well: its summary is the last thing written."""
        return (self.path / "summary.json").is_file()

    def claim(self, record: Mapping[str, Any], *, resume: bool) -> None:
        """Take the folder for the run that `record` describes, and lock it if there is work left.

        Raises:
            RunError: The folder is not writable, is used by another run or another process, or
                holds this run without `resume`.
        """
        if self._config.is_file():
            self._check_same(read_json(self._config), record, resume)
            if self.finished:
                return
        check_writable(self.path)
        if not self._config.is_file():
            self._check_empty()
        self._lock = self._lock or RunLock(self.path)
        self._new = write_new_json(self._config, record)
        if not self._new:
            self._check_same(read_json(self._config), record, resume)

    def give_back(self) -> None:
        """Undo a claim that made this folder's run, unless something was logged or saved."""
        if not self._new or self.read_log() or any(self.checkpoints.glob("*")):
            return
        for path in (*self.path.glob("split*.csv"), self.path / "log.jsonl", self._config):
            path.unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.remove()
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def release(self) -> None:
        """Let other processes work in the folder."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def check_usable(self) -> None:
        """Make sure, before anything expensive, that the folder can be claimed; makes nothing.

        Raises:
            RunError: It cannot be made or written to, or holds something else than a run.
        """
        check_possible(self.path)
        if self.path.is_dir() and not self._config.is_file():
            self._check_empty()

    def _check_empty(self) -> None:
        # A run that was killed while it claimed the folder leaves a hidden temporary file.
        if any(not entry.name.startswith(".") for entry in self.path.iterdir()):
            raise RunError(f"the folder {self.path} is not empty and holds no run; choose another")

    def _check_same(self, old: Any, record: Mapping[str, Any], resume: bool) -> None:
        if not isinstance(old, dict) or not {"id", "kind"} <= old.keys():
            raise RunError(
                f"the folder {self.path} has a config.json that is not of a run; choose another"
            )
        if old["id"] != record["id"]:
            raise RunError(
                f"the run folder {self.path} is already used by another run "
                f"({old['kind']} {old['id']}, this is {record['kind']} {record['id']}). "
                "Choose another --out."
            )
        if not resume:
            raise RunError(
                f"the run folder {self.path} is already used by this very run. "
                "Go on with --resume, or choose another --out."
            )

    def log(self, row: Mapping[str, Any]) -> None:
        """Append a row to `log.jsonl`; a number that is not finite becomes null."""
        finite = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in row.items()
        }
        with (self.path / "log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(finite, allow_nan=False) + "\n")

    def read_log(self) -> list[dict[str, Any]]:
        """All rows of `log.jsonl`."""
        file = self.path / "log.jsonl"
        if not file.is_file():
            return []
        # A kill may have cut the last line short.
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def cut_log(self, step: int) -> None:
        """Forget rows beyond `step`, which a resumed run will write again."""
        rows = [row for row in self.read_log() if row["step"] <= step]
        write_text(self.path / "log.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the summary, which marks the run as finished."""
        write_json(self.path / "summary.json", dict(summary))


def write_new_json(path: Path, value: Mapping[str, Any]) -> bool:
    """Write a JSON file whole, unless it is there; gives whether it was written.

    Raises:
        RunError: The place is not writable.
    """
    temporary = beside(path)
    write_json(temporary, value)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError:
        # A file system without hard links.
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return True


def check_possible(path: Path) -> None:
    """Make sure that the folder `path` can be made, or written to if it is there; makes nothing.

    Raises:
        RunError: It cannot.
    """
    place = path.absolute()
    while not place.exists():
        place = place.parent
    try:
        tempfile.TemporaryDirectory(prefix=".", dir=place).cleanup()
    except OSError as error:
        raise RunError(f"the output folder {path} cannot be made: {error.strerror}") from error


def check_writable(path: Path) -> None:
    """Make the folder `path` if needed and make sure that files can be made in it.

    Raises:
        RunError: It cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"the output folder {path} cannot be made: {error.strerror}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise RunError(f"the output folder {path} is not writable")
