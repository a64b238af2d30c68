"""The usual Python reverse proxy: an aiohttp handler around a ClientSession, on uvloop.

`python aiohttp_proxy.py PORT UPSTREAM_PORT...`
"""

from __future__ import annotations

import itertools
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import uvloop
from aiohttp import web

SESSION = web.AppKey("session", aiohttp.ClientSession)
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host")
)


def handler(ports: list[str]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Relay every request to the next port in turn."""
    turns = itertools.cycle([f"http://127.0.0.1:{port}" for port in ports])

    async def relay(request: web.Request) -> web.StreamResponse:
        request_id = uuid.uuid4().hex
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        headers["Host"] = headers["X-Forwarded-Host"] = request.host
        headers["X-Forwarded-For"] = request.remote or ""
        headers["X-Forwarded-Proto"] = request.scheme
        headers["X-Request-Id"] = request_id
        async with request.app[SESSION].request(
            request.method,
            next(turns) + request.path_qs,
            headers=headers,
            data=request.content if request.body_exists else None,
            allow_redirects=False,
        ) as upstream:
            response = web.StreamResponse(status=upstream.status)
            for name, value in upstream.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    response.headers.add(name, value)
            response.headers["X-Request-Id"] = request_id
            await response.prepare(request)
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    return relay


async def sessions(app: web.Application) -> AsyncIterator[None]:
    """The client session, from the application's start to its end."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:
        app[SESSION] = session
        yield


def application(ports: list[str]) -> web.Application:
    """The proxy as an application."""
    app = web.Application()
    app.cleanup_ctx.append(sessions)
    app.router.add_route("*", "/{path:.*}", handler(ports))
    return app


if __name__ == "__main__":
    uvloop.install()
    web.run_app(
        application(sys.argv[2:]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        access_log=None,
        backlog=4096,
        print=None,
    )
