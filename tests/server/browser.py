"""A real Chromium without a window, driven over the DevTools protocol on a pipe: no driver and no library between.

https://chromedevtools.github.io/devtools-protocol/ ; `--remote-debugging-pipe`: JSON messages ended by NUL on descriptors
3 (to the browser) and 4 (from it).
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PATIENCE = 60.0  # seconds; the machine may be busy
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str | None:
    """The browser's program, when there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


# the browser wants its pipe on descriptors 3 and 4, which may be taken here
PLACE = """import os, sys
os.dup2(int(sys.argv[1]), 98), os.dup2(int(sys.argv[2]), 99)
os.dup2(98, 3), os.dup2(99, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One tab. `messages` are what the page wrote to its console, its exceptions and what the policy refused."""

    def __init__(self, program: str, profile: Path, *, dark: bool = False) -> None:
        to_it, mine_out = os.pipe()
        mine_in, from_it = os.pipe()
        command = [
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--remote-debugging-pipe", f"--user-data-dir={profile}", "--window-size=1400,1000", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "about:blank",
        ]  # fmt: skip
        if dark:
            command.insert(-1, "--force-dark-mode")

        placed = [sys.executable, "-S", "-c", PLACE, str(to_it), str(from_it), *command]
        self._process = subprocess.Popen(
            placed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(to_it, from_it)
        )
        os.close(to_it)
        os.close(from_it)
        self._out, self._in = mine_out, mine_in
        self._number, self._rest = 0, b""
        self.messages: list[str] = []
        self.requests: list[str] = []
        (target,) = [t for t in self._call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self._session = self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the tab."""
        return self._call(method, self._session, **params)

    def _call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params, **({"sessionId": session} if session else {})}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            told = self._next(deadline)
            if told.get("id") == number:
                if "error" in told:
                    raise RuntimeError(f"{method}: {told['error']}")
                result: dict[str, Any] = told["result"]
                return result
            self._heard(told)

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            if not select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError("Chromium does not answer")
            data = os.read(self._in, 1 << 20)
            if not data:
                raise RuntimeError("Chromium ended")
            self._rest += data
        one, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(one)
        return message

    def _heard(self, told: dict[str, Any]) -> None:
        params = told.get("params", {})
        match told.get("method"):
            case "Runtime.exceptionThrown":
                details = params["exceptionDetails"]
                self.messages.append(str(details.get("exception", {}).get("description") or details["text"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning"):
                self.messages.append(" ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.messages.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])

    def go(self, url: str) -> None:
        """Open an address and wait until it is loaded."""
        for address in ("about:blank", url):  # from a blank tab, so that another fragment alone loads anew too
            self.send("Page.navigate", url=address)
            self.until(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(address[:20])})")

    def run(self, script: str) -> Any:
        """The value of an expression (awaited) in the page."""
        told = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise RuntimeError(str(told["exceptionDetails"].get("exception", told["exceptionDetails"])))
        return told["result"].get("value")

    def until(self, condition: str) -> Any:
        """Wait until an expression (no element: those have no value here) is true; its value."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(RuntimeError):
                value = self.run(condition)
                if value:
                    return value
            time.sleep(0.05)
        raise TimeoutError(f"never true: {condition}; messages: {self.messages}")

    def press(self, key: str, *, modifiers: int = 0, text: str = "") -> None:
        """Press and release a key (`modifiers`: 1 Alt, 2 Control, 4 Meta, 8 Shift)."""
        codes = {
            "Enter": 13,
            "Escape": 27,
            "Tab": 9,
            "ArrowRight": 39,
            "ArrowLeft": 37,
            "ArrowDown": 40,
            " ": 32,
            "a": 65,
            "Delete": 46,
        }
        given: dict[str, Any] = {"key": key, "modifiers": modifiers, "windowsVirtualKeyCode": codes.get(key, 0)}
        self.send("Input.dispatchKeyEvent", type="keyDown", **given, **({"text": text} if text else {}))
        self.send("Input.dispatchKeyEvent", type="keyUp", **given)

    def write(self, text: str) -> None:
        """Type a text where the focus is."""
        for letter in text:
            self.send("Input.dispatchKeyEvent", type="char", text=letter)

    def picture(self, path: Path) -> None:
        """The tab as a PNG."""
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(RuntimeError, OSError, TimeoutError):
            self._call("Browser.close")
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._out)
        os.close(self._in)


@contextlib.contextmanager
def browsing(profile: Path, **options: Any) -> Iterator[Browser]:
    """A tab for a while; `chromium()` must have found one."""
    program = chromium()
    assert program is not None
    browser = Browser(program, profile, **options)
    try:
        yield browser
    finally:
        browser.close()
