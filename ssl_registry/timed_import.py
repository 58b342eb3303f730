"""Import one plugin in this fresh process and say how long that took; see `plugin_timing`.

python -X importtime -m ssl_registry.timed_import NAME MODULE
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from importlib.metadata import EntryPoint

import ssl_registry.discovery  # noqa: F401  what every plugin imports anyway is paid already
from ssl_registry.spec import ENTRY_POINT_GROUP

MARK = "-- the plugin's imports begin --"


def main() -> None:
    """Import the plugin that the command line names; write the seconds as JSON."""
    name, value = sys.argv[1:]
    sys.stderr.write(f"\n{MARK}\n")
    sys.stderr.flush()
    error = ""
    began = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        try:
            EntryPoint(name, value, ENTRY_POINT_GROUP).load()
        except (Exception, SystemExit) as raised:  # a foreign module may raise anything
            error = type(raised).__name__
    sys.stdout.write(json.dumps({"seconds": time.perf_counter() - began, "error": error}))


if __name__ == "__main__":
    main()
