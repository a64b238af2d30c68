"""Two sample chat upstreams, so that a fresh gateway has something to answer with.

    POST /api/chat {"messages": [{"role": "user", "content": "Hello"}], "stream": true}

answers what was said, as a JSON completion or as server-sent events, a word at a time, in the
shape of common chat APIs, and names the upstream that speaks.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any, Final

import orjson
from aiohttp import hdrs, web

from uaitools import web as component
from uaitools.errors import ServiceError
from uaitools.metrics import Registry, process
from uaitools.proxy.config import DEFAULT_ROUTES
from uaitools.sockets import listening_socket

ROUTE: Final = DEFAULT_ROUTES[0]
(SERVICE,) = ROUTE.service_names  # whose endpoints these are when it has none
_NAMES: Final = ("sample-1", "sample-2")
_PAUSE: Final = 0.05  # seconds between two words of a stream
_WORDS: Final = 200  # events of a stream; the last one has all that is left


class Demo:
    """The sample upstreams, on free ports of the loopback interface.

    Create it before forking: every process serves the same sockets, so that the addresses hold
    in all of them. Raises OSError when there is no port.
    """

    def __init__(self) -> None:
        self._listeners = {name: listening_socket("127.0.0.1", 0) for name in _NAMES}
        self._runners: list[web.AppRunner] = []
        self._answering = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __repr__(self) -> str:
        return f"<Demo {' '.join(self.urls)} answering={self._answering}>"

    @property
    def urls(self) -> tuple[str, ...]:
        """The endpoints, for the configuration of a service."""
        ports = (listener.getsockname()[1] for listener in self._listeners.values())
        return tuple(f"http://127.0.0.1:{port}" for port in ports)

    async def start(self) -> None:
        """Serve."""
        for name, listener in self._listeners.items():
            runner = web.AppRunner(
                self._application(name), handle_signals=False, access_log=None, shutdown_timeout=0.1
            )
            self._runners.append(runner)
            await runner.setup()
            await web.SockSite(runner, listener).start()

    async def drain(self, deadline: float) -> None:  # noqa: ARG002 - cancelled by then
        """Wait for answers under way. The gateways of other processes may still ask for more."""
        await self._idle.wait()

    async def stop(self) -> None:
        """Close the sockets of this process."""
        for runner in self._runners:
            await runner.cleanup()
        self.close()

    def close(self) -> None:
        """Give up the sockets without ever having served them."""
        for listener in self._listeners.values():
            listener.close()

    def _application(self, name: str) -> web.Application:
        sources = Registry()
        sources.add(process)

        async def chat(request: web.Request) -> web.StreamResponse:
            self._answering += 1
            self._idle.clear()
            try:
                return await _chat(name, request)
            finally:
                self._answering -= 1
                if not self._answering:
                    self._idle.set()

        async def snapshot() -> Any:
            return sources.snapshot()

        app = component.application(name, health=lambda: component.Health({}), snapshot=snapshot)
        app.router.add_post(ROUTE.path, chat)
        return app


async def _chat(name: str, request: web.Request) -> web.StreamResponse:
    said, stream = _read(name, await request.read())
    answer = f"{name} heard: {said}"
    completion: dict[str, object] = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion.chunk" if stream else "chat.completion",
        "created": int(time.time()),
        "model": name,
    }
    if stream:
        return await _stream(request, completion, answer)
    message = {"role": "assistant", "content": answer}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return component.json_response({**completion, "choices": [choice]})


async def _stream(
    request: web.Request, completion: dict[str, object], answer: str
) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={hdrs.CONTENT_TYPE: "text/event-stream", hdrs.CACHE_CONTROL: "no-cache"}
    )
    await response.prepare(request)
    for index, word in enumerate(answer.split(" ", _WORDS)):
        delta = {"content": word if index == 0 else f" {word}"}
        await response.write(_event({**completion, "choices": [{"index": 0, "delta": delta}]}))
        await asyncio.sleep(_PAUSE)
    end = {"index": 0, "delta": {}, "finish_reason": "stop"}
    await response.write(_event({**completion, "choices": [end]}) + b"data: [DONE]\n\n")
    await response.write_eof()
    return response


def _event(document: object) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\n\n"


def _read(name: str, body: bytes) -> tuple[str, bool]:
    """The last message's text, and whether to stream. Raises ServiceError (400 or 422)."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ServiceError(400, f"the body is not valid JSON: {error}", name) from error
    # By hand: pydantic models do not belong into modules that mypyc compiles.
    match document:
        case {"messages": [*_, {"content": str(said)}], **rest}:
            stream = rest.get("stream", False)
        case _:
            field, form = "messages", 'must be a list like [{"role": "user", "content": "Hello"}]'
            raise _invalid(name, field, form)
    if not isinstance(stream, bool):
        raise _invalid(name, "stream", "must be true or false")
    return said, stream


def _invalid(name: str, field: str, form: str) -> ServiceError:
    details = [{"field": field, "message": form}]
    return ServiceError(422, "the request has invalid fields", name, details=details)
