"""A hub with `websockets`: `python websockets_hub.py PORT`.

GET /ws is a client, which gets every message; GET /publish?count=K&size=BYTES sends K messages to
all at once, by websockets.broadcast (the library takes no other method); GET /health is 200. On
uvloop. All peers ping every 25 s.
"""

from __future__ import annotations

import asyncio
import sys
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.http11 import Request, Response

CLIENTS: set[ServerConnection] = set()


async def client(connection: ServerConnection) -> None:
    """One that listens until it goes."""
    CLIENTS.add(connection)
    try:
        await connection.wait_closed()
    finally:
        CLIENTS.discard(connection)


def other(connection: ServerConnection, request: Request) -> Response | None:
    """What is no WebSocket."""
    url = urlsplit(request.path)
    if url.path == "/ws":
        return None
    if url.path == "/publish":
        asked = parse_qs(url.query)
        text = "x" * int(asked["size"][0])
        for _ in range(int(asked["count"][0])):
            broadcast(CLIENTS, text)
    return connection.respond(HTTPStatus.OK, "")


async def main() -> None:
    """Serve until it is ended."""
    async with serve(
        client,
        "127.0.0.1",
        int(sys.argv[1]),
        process_request=other,
        compression=None,
        ping_interval=25,
        ping_timeout=10,
        backlog=4096,
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
