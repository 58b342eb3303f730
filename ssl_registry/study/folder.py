"""The folder of a study. Its run folders are the only truth of what is done."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ssl_registry.errors import RunError
from ssl_registry.file_lock import FileLock
from ssl_registry.files import read_json, write_json, write_text
from ssl_registry.progress import say
from ssl_registry.study.plan import Plan
from ssl_registry.training.run_folder import RunFolder, check_possible, check_writable

STUDIES = Path("studies")
"""Where studies lie by default, each in a folder of its name."""


@dataclass(frozen=True)
class Failure:
    """What is known of a run that failed.

    Attributes:
        attempts: How often it was tried.
        error: Why it failed the last time.
        final: Whether it is not tried again.
        trace: Where in the code it failed, for a fault of the code's own.
    """

    attempts: int
    error: str
    final: bool
    trace: str = ""


class StudyFolder:
    """`<path>/` with the plan, `runs/<id>/`, `failures/<id>.json`, `logs/` and the tables.

    - `study.toml` is the study as it was given, `study.json` its plan.
    - A run is done when its folder in `runs/` has a summary, and only then.
    - `failures/` says how often a run was tried in vain, and why.
    - `rows.csv` is the table, made of the above.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.runs = path / "runs"
        self.logs = path / "logs"
        self.rows = path / "rows.csv"
        self._failures = path / "failures"
        self._plan = path / "study.json"

    def begin(self, text: str, plan: Plan) -> None:
        """Make the folder for a plan, or take note of a plan that has changed.

        Raises:
            RunError: It is not writable, or holds something else.
        """
        check_possible(self.path)
        if self.path.is_dir() and not self._plan.is_file():
            strange = [entry for entry in self.path.iterdir() if not entry.name.startswith(".")]
            if {entry.name for entry in strange} - {"runs", "failures", "logs", "study.toml"}:
                raise RunError(
                    f"the folder {self.path} is not empty and holds no study; choose another --out"
                )
        for folder in (self.path, self.runs, self.logs, self._failures):
            check_writable(folder)
        write_text(self.path / "study.toml", text)
        write_json(self._plan, plan.to_json())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from carrying out this study; waits for one that does.

        Raises:
            RunError: The folder is not writable.
        """
        check_writable(self.path)
        lock = FileLock(self.path / ".lock")
        try:
            if not lock.take():
                say(
                    f"another process carries out the study in {self.path}; waiting for its end",
                    sys.stderr,
                )
                lock.take(wait=True)
        except OSError as error:
            raise RunError(f"cannot write {self.path / '.lock'}: {error.strerror}") from error
        try:
            yield
        finally:
            lock.release()

    def plan(self) -> Plan:
        """The plan that the folder was begun with.

        Raises:
            RunError: There is none.
        """
        if not self._plan.is_file():
            raise RunError(f"{self.path} holds no study; begin it with `ssl-registry study run`")
        return Plan.from_json(read_json(self._plan), str(self._plan))

    def run(self, identity: str) -> Path:
        """The folder of a run."""
        return self.runs / identity

    def done(self, identity: str) -> bool:
        """Whether a run has finished."""
        return RunFolder(self.run(identity)).finished

    def summary(self, identity: str) -> Mapping[str, Any] | None:
        """The summary of a run; None until it has finished.

        Raises:
            RunError: It is damaged.
        """
        if not self.done(identity):
            return None
        file = self.run(identity) / "summary.json"
        return _table(file, f"remove the folder {file.parent}, and the run is done again")

    def failures(self) -> dict[str, Failure]:
        """What is known of runs that failed, by id.

        Raises:
            RunError: A file is damaged.
        """
        files = sorted(self._failures.glob("*.json")) if self._failures.is_dir() else []
        advice = "remove it, and the run is tried again"
        found = {}
        for file in files:
            try:
                found[file.stem] = Failure(**_table(file, advice))
            except TypeError as error:
                raise RunError(f"cannot read {file}: {error}; {advice}") from error
        return found

    def record_failure(self, identity: str, failure: Failure) -> None:
        """Note that a run failed."""
        write_json(self._failures / f"{identity}.json", asdict(failure))

    def forget_failure(self, identity: str) -> None:
        """Forget that a run failed."""
        (self._failures / f"{identity}.json").unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Room on the disk."""
        place = self.path.absolute()
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free


def _table(file: Path, advice: str) -> dict[str, Any]:
    """A table in a JSON file; `advice` is added to what is said of one that is damaged."""
    try:
        value = read_json(file)
    except RunError as error:
        raise RunError(f"{error}; {advice}") from error
    if not isinstance(value, dict):
        raise RunError(f"cannot read {file}: it holds no table; {advice}")
    return value
