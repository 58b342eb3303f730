"""A headless Chromium that a test drives through its own pipe; nothing else is needed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--remote-debugging-pipe",
)


def browser_program() -> str | None:
    """Where Chromium is, if it is anywhere."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One page of a running browser; messages of the DevTools protocol end with a zero byte."""

    def __init__(self, program: str, profile: Path) -> None:
        self._take, write = os.pipe()
        read, self._give = os.pipe()
        # The browser reads from its descriptor 3 and writes to 4.
        command = f'exec "$0" "$@" 3<&{read} 4>&{write}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", command, program, *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(read, write),
            stderr=subprocess.DEVNULL,
        )
        os.close(read)
        os.close(write)
        self._rest = b""
        self._last = 0
        self.told: list[dict[str, Any]] = []
        page = self._ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        attach = {"targetId": page, "flatten": True}
        self._session = self._ask("Target.attachToTarget", attach)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._take)
        os.close(self._give)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the page; events that come meanwhile are kept in `told`."""
        return self._ask(method, parameters, session=self._session)

    def open(self, path: Path, width: int, height: int = 900) -> None:
        """Load a file at a width and wait for it."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.told.clear()
        self.ask("Page.navigate", url=path.absolute().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.told):
            self.told.append(self._receive())

    def value(self, expression: str) -> Any:
        """What JavaScript gives for an expression; promises are waited for."""
        answer = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def errors(self) -> list[str]:
        """What the console was told, and exceptions, since the page was opened."""
        wrong = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        return [json.dumps(event) for event in self.told if event["method"] in wrong]

    def requested(self) -> list[str]:
        """The addresses that the page loaded, pictures within it left out."""
        sent = [e["params"] for e in self.told if e["method"] == "Network.requestWillBeSent"]
        addresses = [one["request"]["url"] for one in sent]
        return [address for address in addresses if not address.startswith("data:")]

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """Write what the page looks like."""
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _ask(self, method: str, parameters: dict[str, Any], session: str = "") -> dict[str, Any]:
        self._last += 1
        message = {"id": self._last, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._give, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self.told.append(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            read = os.read(self._take, 1 << 16)
            if not read:
                raise AssertionError("the browser has ended")
            self._rest += read
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found
