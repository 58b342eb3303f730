"""One worker process, as the executor sees it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ssl_registry import Outcome, RunError, Work


class WorkerProcess:
    """A process that takes one piece of work at a time, many one after another."""

    def __init__(self, log: Path, environment: Mapping[str, str]) -> None:
        """Start it; what it prints is appended to the file `log`."""
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ssl_registry_local.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                env={**os.environ, **environment},
                # Ctrl-C is for the executor alone, which stops its workers in good order.
                start_new_session=True,
            )
        self._log = log
        self._answer = b""
        self._started = False
        self.work: Work | None = None

    def fileno(self) -> int:
        """The descriptor that answers come from, to be waited for."""
        if self._process.stdout is None:
            raise RuntimeError("the worker was started without a pipe")
        return self._process.stdout.fileno()

    @property
    def alive(self) -> bool:
        """Whether it can take work."""
        return self._process.poll() is None

    def send(self, work: Work) -> None:
        """Give it a piece of work; if it has died, `receive` will say so."""
        self.work = work
        line = json.dumps(asdict(work)) + "\n"
        if self._process.stdin is None:
            raise RuntimeError("the worker was started without a pipe")
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            return

    def receive(self) -> Outcome | None:
        """The outcome of its work, once there is one; reads what has come.

        Raises:
            RunError: It ended by itself before it could take work, as any other would.
        """
        chunk = os.read(self.fileno(), 1 << 16)
        if not chunk:
            return self.lose()
        self._answer += chunk
        if not self._started and self._answer.startswith(b"\n"):
            self._started, self._answer = True, self._answer[1:]
        if not self._answer.endswith(b"\n"):
            return None
        answer, self._answer, self.work = self._answer, b"", None
        return Outcome(**json.loads(answer))

    def lose(self) -> Outcome | None:
        """The outcome of its work now that it has died.

        Raises:
            RunError: It ended by itself before it could take work, as any other would.
        """
        work, self.work, self._answer = self.work, None, b""
        status = self._process.wait()
        if not self._started and status >= 0:
            raise RunError(f"no worker can be started: {self._end()}")
        return Outcome(work.id, lost=self._end()) if work else None

    def stop(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        if self.alive:
            self._process.send_signal(number)

    def join(self, seconds: float) -> bool:
        """Wait for its end; gives whether it has ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                # Work it never took may still be in the pipe's buffer; it is closed all the same.
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        return True

    def _end(self) -> str:
        """How it ended."""
        status = self._process.returncode
        if status < 0:
            how = f"was ended by {signal.Signals(-status).name}"
            if status == -signal.SIGKILL:
                how += " (the system does so when memory runs out)"
        else:
            how = f"ended with status {status}"
        return f"the worker {how}; what it printed is in {self._log}"
