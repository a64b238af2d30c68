"""Where a JavaScript client runs: a page in Chromium, and Node."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Protocol, Self, TypeVar

import playwright
from aiohttp import web
from playwright.sync_api import Browser, Page, sync_playwright

from uaitools import hub

SOURCE: Final = Path(hub.__file__).parent / "browser" / "hub.js"
_HARNESS: Final = Path(__file__).parents[1] / "hub" / "browser" / "node.mjs"
_PATIENCE: Final = 20.0

T = TypeVar("T")


class Runtime(Protocol):
    """Runs JavaScript; `lib` is the client's module, and globals stay from call to call."""

    async def run(self, program: str) -> Any:
        """The value of a function's body. Raises Failed."""


class Failed(Exception):
    """A program threw; the text is the error's."""


async def until(runtime: Runtime, expression: str, patience: float = 15.0) -> Any:
    """Wait until an expression is true, there; its value."""
    millis = int(patience * 1000)
    return await runtime.run(
        f"const end = Date.now() + {millis}; let found;"
        f"while (!(found = ({expression}))) {{"
        f"  if (Date.now() > end) throw new Error('not in time: ' + {json.dumps(expression)});"
        "   await new Promise((done) => setTimeout(done, 5));"
        "} return found;"
    )


class Chromium:
    """Headless Chromium, in a thread of its own: its pages outlive the loop of one test."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._driver: Any = None
        self._browser: Browser | None = None

    def __enter__(self) -> Self:
        self._thread.submit(self._start).result()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.submit(self._stop).result()
        self._thread.shutdown()

    async def call(self, function: Callable[[Browser], T]) -> T:
        assert self._browser is not None
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_PATIENCE):
            return await loop.run_in_executor(self._thread, function, self._browser)

    def _start(self) -> None:
        program = shutil.which("chromium")
        assert program is not None, "scripts/install-programs chromium"
        self._driver = sync_playwright().start()
        self._browser = self._driver.chromium.launch(executable_path=program)

    def _stop(self) -> None:
        assert self._browser is not None
        self._browser.close()
        self._driver.stop()


class _Tab:
    def __init__(self, chromium: Chromium, page: Page) -> None:
        self._chromium = chromium
        self._page = page

    async def run(self, program: str) -> Any:
        def evaluate(_: Browser) -> Any:
            try:
                return self._page.evaluate(f"async () => {{ {program} }}")
            except playwright.sync_api.Error as error:
                raise Failed(str(error)) from error

        return await self._chromium.call(evaluate)


@contextlib.asynccontextmanager
async def tab(chromium: Chromium) -> AsyncIterator[tuple[Runtime, str]]:
    """A page that has the client, and its origin."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>hub</title>", content_type="text/html")

    async def source(_: web.Request) -> web.Response:
        return web.Response(body=SOURCE.read_bytes(), content_type="text/javascript")

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/hub.js", source)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
    opened: list[Page] = []

    def start(browser: Browser) -> None:
        opened.append(browser.new_page())
        opened[0].goto(origin)
        opened[0].evaluate("async () => { globalThis.lib = await import('/hub.js'); }")

    try:
        await chromium.call(start)
        yield _Tab(chromium, opened[0]), origin
    finally:
        await chromium.call(lambda _: opened[0].close())
        await runner.cleanup()


def nodes() -> Iterator[list[str]]:
    """Command lines of every Node here that has a WebSocket: our peer is the one of playwright."""
    driver = Path(playwright.__file__).parent / "driver" / "node"
    for program in (shutil.which("node"), str(driver)):
        for flags in ([], ["--experimental-websocket"]):
            if program is not None and _has_websocket([program, *flags]):
                yield [program, *flags]
                break


def _has_websocket(command: list[str]) -> bool:
    ask = "process.exit(typeof WebSocket === 'function' ? 0 : 1)"
    return subprocess.run([*command, "-e", ask], capture_output=True, check=False).returncode == 0


class _Node:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, program: str) -> Any:
        writer, reader = self._process.stdin, self._process.stdout
        assert writer is not None
        assert reader is not None
        writer.write(json.dumps({"program": program}).encode() + b"\n")
        async with asyncio.timeout(_PATIENCE):
            line = await reader.readline()
        answer = json.loads(line)
        if "error" in answer:
            raise Failed(answer["error"])
        return answer["value"]


@contextlib.asynccontextmanager
async def node(command: list[str]) -> AsyncIterator[Runtime]:
    """Node, with the client."""
    process = await asyncio.create_subprocess_exec(
        *command,
        str(_HARNESS),
        SOURCE.as_uri(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield _Node(process)
    finally:
        process.kill()
        await process.communicate()
