"""Opens a file in headless Chromium and tells what happened, over the DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

BINARIES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip
# The charts are drawn, or it is a page without scripts.
IS_DONE = (
    "location.href !== 'about:blank' && document.readyState === 'complete'"
    " && (document.documentElement.dataset.charts === 'done' || document.scripts.length === 0)"
)
START_LIMIT_S = 60.0
DRAW_LIMIT_S = 60.0
WAIT_LIMIT_S = 30.0  # for one thing on a page that is drawn; below the limit of an answer


def until(condition: str) -> str:
    """A statement for an asynchronous function in a page: goes on once a condition holds, as `visit_page` does.

    Args:
        condition: JavaScript.
    """
    complaint = json.dumps(f"not so in {WAIT_LIMIT_S} s: {condition}")
    return (
        f"for (const start = performance.now(); !({condition});) {{"
        f" if (performance.now() - start > {1000 * WAIT_LIMIT_S}) throw new Error({complaint});"
        " await new Promise(r => setTimeout(r, 20)); } "
    )


def find_chromium() -> str | None:
    """The first installed browser of the Chromium family."""
    return next((path for name in BINARIES if (path := shutil.which(name))), None)


needs_chromium = pytest.mark.skipif(
    find_chromium() is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"
)


@dataclass(kw_only=True, slots=True)
class Visit:
    """What was seen while the page was open."""

    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)


def visit_page(
    page: Path,
    *,
    width_px: int,
    expressions: Sequence[str],
    screenshot: Path | None = None,
    height_px: int | None = None,
    is_dark: bool = False,
) -> Visit:
    """Open a page, wait until its charts are done, evaluate expressions in it.

    Args:
        page: An HTML file.
        width_px: Width of the window.
        expressions: JavaScript; their values (awaited) are returned as JSON values.
        screenshot: Where to save a picture of the page.
        height_px: How much of it the picture shows, from the top; all of it when None.
        is_dark: Whether the reader prefers dark colours.

    Returns:
        Errors and warnings on the console, addresses asked for, and the values.
    """
    return asyncio.run(_visit(page, width_px, expressions, screenshot, height_px, is_dark))


async def _visit(
    page: Path,
    width_px: int,
    expressions: Sequence[str],
    screenshot: Path | None,
    height_px: int | None,
    is_dark: bool,
) -> Visit:
    async with _browser() as session:
        for domain in ("Page", "Runtime", "Log", "Network"):
            await session.send(f"{domain}.enable")
        metrics = {"width": width_px, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await session.send("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        await session.send("Emulation.setEmulatedMedia", features=[scheme])
        await session.send("Page.navigate", url=page.resolve().as_uri())
        deadline = time.monotonic() + DRAW_LIMIT_S
        while not await session.evaluate(IS_DONE):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the charts were not drawn in {DRAW_LIMIT_S} s: {session.visit.console}")
            await asyncio.sleep(0.1)
        for expression in expressions:
            session.visit.values.append(await session.evaluate(expression))
        if screenshot is not None:
            part = (
                {}
                if height_px is None
                else {"clip": {"x": 0, "y": 0, "width": width_px, "height": height_px, "scale": 1}}
            )
            shot = await session.send("Page.captureScreenshot", captureBeyondViewport=True, **part)
            screenshot.write_bytes(base64.b64decode(shot["data"]))
        return session.visit


class _Session:
    """One tab: sends commands, gathers events."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.visit = Visit()
        self.last_id = 0

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        self.last_id += 1
        await self.socket.send_str(json.dumps({"id": self.last_id, "method": method, "params": params}))
        while True:
            message: dict[str, Any] = json.loads(await self.socket.receive_str(timeout=DRAW_LIMIT_S))
            if message.get("id") == self.last_id:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result
            self._take_event(message)

    async def evaluate(self, expression: str) -> Any:
        answer = await self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def _take_event(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.visit.console.append(str(params["args"]))
            case "Runtime.exceptionThrown":
                self.visit.console.append(str(params["exceptionDetails"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.visit.console.append(str(params["entry"]))
            case "Network.requestWillBeSent":
                self.visit.requests.append(params["request"]["url"])


@contextlib.asynccontextmanager
async def _browser() -> AsyncIterator[_Session]:
    """A fresh browser with one tab, gone afterwards with its profile."""
    binary = find_chromium()
    if binary is None:
        raise FileNotFoundError("no Chromium binary on PATH")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            binary, *FLAGS, f"--user-data-dir={profile}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port = await _port(Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as client:
                async with client.get(f"http://127.0.0.1:{port}/json/list") as answer:
                    tabs = await answer.json()
                address = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
                async with client.ws_connect(address, max_msg_size=0) as socket:
                    yield _Session(socket)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def _port(announcement: Path) -> int:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int(announcement.read_text().splitlines()[0])
        await asyncio.sleep(0.05)
    raise TimeoutError(f"Chromium did not start in {START_LIMIT_S} s")


if __name__ == "__main__":  # PAGE PICTURE: the upper part of a report, as the README shows it
    visit_page(Path(sys.argv[1]), width_px=1200, height_px=1650, expressions=[], screenshot=Path(sys.argv[2]))
