"""A hub with aiohttp alone, a WebSocketResponse for each client: `python aiohttp_hub.py PORT`.

GET /ws is a client, which gets every message; POST /publish?count=K&size=BYTES sends K messages to
all at once; GET /health is 200. On uvloop. All peers ping every 25 s.
"""

from __future__ import annotations

import sys

import uvloop
from aiohttp import web

CLIENTS: set[web.WebSocketResponse] = set()


async def client(request: web.Request) -> web.WebSocketResponse:
    """One that listens until it goes."""
    socket = web.WebSocketResponse(heartbeat=25, compress=False)
    await socket.prepare(request)
    CLIENTS.add(socket)
    try:
        async for _ in socket:
            pass
    finally:
        CLIENTS.discard(socket)
    return socket


async def publish(request: web.Request) -> web.Response:
    """Send to all; who is behind is waited for."""
    text = "x" * int(request.query["size"])
    for _ in range(int(request.query["count"])):
        for socket in list(CLIENTS):
            if not socket.closed:
                await socket.send_str(text)
    return web.Response()


async def health(_: web.Request) -> web.Response:
    """That it is there."""
    return web.Response()


if __name__ == "__main__":
    uvloop.install()
    app = web.Application()
    app.router.add_get("/ws", client)
    app.router.add_post("/publish", publish)
    app.router.add_get("/health", health)
    web.run_app(
        app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, backlog=4096, print=None
    )
