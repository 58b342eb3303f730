"""A worker process: takes pieces of work from standard input, one a line, until it is closed.

Each line is JSON, and so is each answer on standard output, where an empty line comes first. What
the work itself prints goes to standard error, which the executor has sent to a file.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from typing import Any, TextIO

from ssl_registry import Work


def main() -> None:
    """Serve until standard input ends."""
    answers = _take_standard_output()
    # An empty line: it could be started.
    answers.write("\n")
    answers.flush()
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    while True:
        work = Work(**json.loads(lines.get()))
        answers.write(json.dumps(_answer(work)) + "\n")
        answers.flush()


def _read(lines: queue.SimpleQueue[str]) -> None:
    """Pass on lines; ends the process, whatever it does, once there is nobody to work for."""
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)


def _take_standard_output() -> TextIO:
    """The stream for answers; whatever else is printed goes to standard error from now on."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _answer(work: Work) -> dict[str, Any]:
    try:
        return {"id": work.id, "result": work.perform()}
    except Exception as error:  # the work is foreign, and its fault must not end the worker
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}"
        return {"id": work.id, "lost": text, "trace": traceback.format_exc()}


if __name__ == "__main__":
    main()
