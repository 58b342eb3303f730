"""One worker process, as the executor sees it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ssl_registry import Outcome, Work


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
        """The outcome of its work, once there is one; reads what has come."""
        chunk = os.read(self.fileno(), 1 << 16)
        self._answer += chunk
        if chunk and not self._answer.endswith(b"\n"):
            return None
        work, answer = self.work, self._answer
        self.work, self._answer = None, b""
        if not chunk:
            self._process.wait()
            return Outcome(work.id, lost=self._end()) if work else None
        return Outcome(**json.loads(answer))

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
