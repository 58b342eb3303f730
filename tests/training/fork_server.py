"""A process that has imported everything, and forks itself into runner processes on request.

Each line on standard input is a JSON list: arguments, environment, file for what is printed. The
answers on standard output are `started PID` and, when it has ended, `ended PID STATUS` (negative
for a signal). Importing torch takes seconds, and a test that kills many runs pays it once.
"""

import json
import os
import select
import signal
import sys

import kornia  # noqa: F401
import matplotlib.backends.backend_svg
import matplotlib.figure  # noqa: F401
import timm  # noqa: F401

import ssl_registry.training.finetune
import ssl_registry.training.pretrain  # noqa: F401
from ssl_registry.cli.runner import main


def fork(arguments: list[str], environment: dict[str, str], output: str) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.environ.update(environment)
    sys.argv = ["ssl-registry", *arguments]
    target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(target, 1)
    os.dup2(target, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        main()
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)
    os._exit(99)


def serve() -> None:
    running: set[int] = set()
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], 0.01)
        if ready:
            line = sys.stdin.readline()
            if not line:
                return
            pid = fork(*json.loads(line))
            running.add(pid)
            print("started", pid, flush=True)
        for pid in tuple(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                running.remove(pid)
                print("ended", pid, os.waitstatus_to_exitcode(status), flush=True)


print("ready", flush=True)
serve()
