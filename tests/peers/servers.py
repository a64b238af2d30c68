"""Real upstream servers: aiohttp in process, uvicorn in a thread, nginx as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import random
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn
from aiohttp import web

from tests.peers.gateways import settled

BLOB = random.Random(1).randbytes(700_000)
EVENTS = 5

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 100000;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/www;
        location = /hello {{ return 200 "hello"; }}
    }}
}}
"""


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def nginx(folder: Path, port: int = 0) -> AsyncIterator[str]:
    """Nginx with its configuration and files in `folder`; put more files into folder/www."""
    port = port or free_port()
    www = folder / "www"
    www.mkdir(exist_ok=True)
    (www / "blob").write_bytes(BLOB)
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=port))
    user = ("-g", "user root;") if os.geteuid() == 0 else ()  # tmp_path is private to its user
    process = await asyncio.create_subprocess_exec(
        "nginx", "-e", f"{folder}/error.log", "-p", str(folder), "-c", str(configuration), *user
    )
    try:
        await settled(lambda: _answers(port))
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


@contextlib.asynccontextmanager
async def aiohttp_server(_folder: Path) -> AsyncIterator[str]:
    seen = asyncio.Queue[None]()

    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def blob(_request: web.Request) -> web.Response:
        return web.Response(body=BLOB)

    async def digest(request: web.Request) -> web.Response:
        state = hashlib.sha256()
        async for data in request.content.iter_any():
            state.update(data)
        return web.Response(text=state.hexdigest())

    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(EVENTS):
            await response.write(b"data: %d\n\n" % number)
            await seen.get()
        return response

    async def event_seen(_request: web.Request) -> web.Response:
        seen.put_nowait(None)
        return web.Response()

    app = web.Application()
    app.router.add_get("/hello", hello)
    app.router.add_get("/blob", blob)
    app.router.add_post("/digest", digest)
    app.router.add_get("/events", events)
    app.router.add_post("/events", event_seen)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Application:
    """The same as an ASGI application."""

    def __init__(self) -> None:
        self._seen = asyncio.Queue[None]()

    async def __call__(
        self,
        scope: Message,
        receive: Receive,
        send: Send,
    ) -> None:
        match scope["method"], scope["path"]:
            case "GET", "/events":
                await self._events(send)
            case "POST", "/events":
                self._seen.put_nowait(None)
                await _answer(send, b"")
            case "POST", "/digest":
                await _answer(send, await _digest(receive))
            case "HEAD", "/blob":
                await _answer(send, b"", size=len(BLOB))
            case _, "/blob":
                await _answer(send, BLOB)
            case _, "/hello":
                await _answer(send, b"hello")
            case _:
                await _answer(send, b"nothing", status=404)

    async def _events(self, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number in range(EVENTS):
            event = b"data: %d\n\n" % number
            await send({"type": "http.response.body", "body": event, "more_body": True})
            await self._seen.get()
        await send({"type": "http.response.body", "body": b""})


async def _digest(receive: Receive) -> bytes:
    state = hashlib.sha256()
    while True:
        message = await receive()
        state.update(message.get("body", b""))
        if not message.get("more_body"):
            return state.hexdigest().encode()


async def _answer(send: Send, body: bytes, status: int = 200, size: int | None = None) -> None:
    headers = [(b"content-length", b"%d" % (len(body) if size is None else size))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def uvicorn_server(_folder: Path) -> AsyncIterator[str]:
    """Uvicorn in a thread, with a loop of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(Application(), log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await asyncio.to_thread(thread.join)
        listener.close()
