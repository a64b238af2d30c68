"""The proxy as an aiohttp handler: the same exchange, behind any application's own listener.

aiohttp has read the request's head and reads its body; the head is parsed once more by our rules,
so that what passes here is what would pass the gateway. Between the exchange's callbacks and the
handler's coroutine lies a bounded queue: a client that does not read stops the upstream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from time import monotonic
from typing import TYPE_CHECKING, Final

from aiohttp import ClientPayloadError, web

from uaitools.errors import error_body
from uaitools.proxy.config import ProxyConfig, RouteSettings, ServiceSettings
from uaitools.proxy.connection import discard
from uaitools.proxy.exchange import Exchange
from uaitools.proxy.gateway import Gateway
from uaitools.proxy.headers import GATEWAY, switching
from uaitools.proxy.http1.grammar import MessageError
from uaitools.proxy.tunnel import Tunnel
from uaitools.sockets import reset
from uaitools.tasks import spawn

if TYPE_CHECKING:
    from uaitools.auth.config import AuthConfig
    from uaitools.limits.front import Limits
    from uaitools.proxy.discovery import Source
    from uaitools.proxy.downstream import ClientPolicy
    from uaitools.proxy.http1.response import ResponseHead
    from uaitools.proxy.upstream import Upstream

QUEUE_LIMIT: Final = 64 * 1024  # bytes of an answer that wait for the client
# aiohttp has answered Expect and decoded Content-Encoding before the handler runs.
_DONE_BY_AIOHTTP: Final = frozenset((b"expect", b"content-encoding"))


class ReverseProxy:
    """Forwards requests that an aiohttp application has received, with all that the gateway does.

        proxy = ReverseProxy("http://127.0.0.1:9001", "http://127.0.0.1:9002")
        app.router.add_route("*", "/api/{tail:.*}", proxy.handle)
        app.cleanup_ctx.append(proxy.lifespan)

    upstreams: URLs of one service that takes every path. config: routes and services instead.
    auth, limits, registry: see Gateway. Run the application with `handler_cancellation=True`, as in
    `web.run_app(app, handler_cancellation=True)`: else aiohttp tells nobody that a waiting client
    has left.
    """

    def __init__(
        self,
        *upstreams: str,
        config: ProxyConfig | None = None,
        auth: AuthConfig | None = None,
        limits: Limits | None = None,
        registry: Source | None = None,
    ) -> None:
        if bool(upstreams) == (config is not None):
            raise ValueError("give either upstream URLs or a configuration")
        if config is None:
            service = ServiceSettings.model_validate({"endpoints": upstreams})
            route = RouteSettings(path="/", service="upstream")
            config = ProxyConfig(services={"upstream": service}, routes=(route,))
        self._gateway = Gateway(config, auth=auth, limits=limits, registry=registry)

    def __repr__(self) -> str:
        return f"<ReverseProxy {self._gateway!r}>"

    @property
    def gateway(self) -> Gateway:
        """The services and counts behind the handler; it listens nowhere."""
        return self._gateway

    async def lifespan(self, _app: web.Application) -> AsyncIterator[None]:
        """For `app.cleanup_ctx`: resolve endpoints before the application serves, close after."""
        await self._gateway.open()
        yield
        await self._gateway.stop()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Forward one request and answer it.

        Raises RuntimeError when the application was started without `lifespan`.
        """
        if not self._gateway.opened:
            raise RuntimeError("add ReverseProxy.lifespan to the application's cleanup_ctx")
        access = self._gateway.site.access
        address, trusted = self._gateway.peer(request.remote or "0.0.0.0")  # noqa: S104
        try:
            plan = self._gateway.site.plan(_raw_head(request), monotonic(), trusted=trusted)
        except MessageError as error:
            self._gateway.malformed(error.code)
            request_id = self._gateway.new_request_id()
            if access is not None:
                access.refused(error, request_id, address)
            return _refusal(error, request_id)
        client = HandlerClient(request, address, self._gateway.client)
        exchange = client.exchange = Exchange(client, plan, monotonic(), access)
        feeding: asyncio.Task[None] | None = None
        try:
            if plan.body == 0:
                exchange.start(monotonic())
            else:
                exchange.start_with_body(b"", monotonic(), done=False)
                feeding = spawn(client.feed(), name="request body")
            return await client.answer()
        finally:
            if feeding is not None:
                feeding.cancel()
            client.close_exchange()


class HandlerClient:
    """An exchange's client whose connection belongs to aiohttp."""

    def __init__(self, request: web.Request, address: bytes, policy: ClientPolicy) -> None:
        self.address = address
        self.exchange: Exchange | None = None
        self._request = request
        self._policy = policy
        self._head: ResponseHead | None = None
        self._added: list[bytes] = []
        self._request_id = b""
        self._pieces: deque[bytes] = deque()
        self._queued = 0
        self._done = False
        self._broken = False
        self._changed = asyncio.Event()
        self._readable = asyncio.Event()
        self._readable.set()
        self._tunnel_over: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<HandlerClient {self.address.decode()} queued={self._queued}>"

    @property
    def name(self) -> str:
        """See Client."""
        return GATEWAY

    @property
    def message_as(self) -> str:
        """See Client."""
        return ""

    @property
    def full(self) -> bool:
        """The client does not keep up with the answer."""
        return self._queued > QUEUE_LIMIT

    # -- the coroutine's side ---------------------------------------------------------------

    async def feed(self) -> None:
        """Hand the request's body to the exchange, as fast as the upstream takes it."""
        content = self._request.content
        try:
            while not content.at_eof():
                await self._readable.wait()
                async with asyncio.timeout(self._policy.body):
                    data = await content.readany()
                if self.exchange is None or self._done:
                    return
                if data:
                    self.exchange.body(data, done=False)
        except TimeoutError:
            if self.exchange is not None and not self._done:
                self.exchange.reject(MessageError(408, "the request body did not arrive in time"))
            return
        except (OSError, ClientPayloadError):  # the client is gone, or its framing was bad
            self.close_exchange()
            self.break_off()
            return
        await self._readable.wait()
        if self.exchange is not None and not self._done:
            self.exchange.body(b"", done=True)

    async def answer(self) -> web.StreamResponse:
        """Send the answer as it comes."""
        await self._changed.wait()
        if self._tunnel_over is not None:
            await self._tunnel_over
            return web.StreamResponse(status=101)
        head = self._head
        response = self._response(head) if head is not None else web.StreamResponse(status=502)
        if not self._broken:
            await response.prepare(self._request)
        while not self._broken:
            self._changed.clear()
            while self._pieces:
                piece = self._pieces.popleft()
                self._queued -= len(piece)
                await response.write(piece)
            if self.exchange is not None:
                self.exchange.client_drained()
            if self._done and not self._pieces:
                await response.write_eof()
                return response
            await self._changed.wait()
        if self._request.transport is not None:
            reset(self._request.transport)
        return response

    def close_exchange(self) -> None:
        """The handler is over; what is still under way has lost its client."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None and not self._done and not self._broken:
            exchange.cancel()

    def _response(self, head: ResponseHead) -> web.StreamResponse:
        response = web.StreamResponse(status=head.status)
        for line in [*head.start.split(b"\r\n")[1:], *self._added]:
            if line:
                name, _, value = line.decode("utf-8", "surrogateescape").partition(":")
                response.headers.add(name, value.strip())
        if head.length:
            response.content_length = int(head.length.split(b":")[1])
        response.headers["X-Request-Id"] = self._request_id.decode()
        return response

    # -- the exchange's side, see client.Client -------------------------------------------

    def respond(
        self,
        exchange: Exchange,
        head: ResponseHead,
        payload: bytes,
        now: float,
        done: bool,
    ) -> None:
        """Queue the head and the first piece."""
        self._head = head
        self._added = exchange.added.split(b"\r\n")
        self._request_id = exchange.request_id
        self.relay(exchange, payload, now, done=done)

    def relay(self, exchange: Exchange, payload: bytes, _now: float, *, done: bool) -> None:
        """Queue a piece."""
        if payload:
            self._pieces.append(payload)
            self._queued += len(payload)
        self._done = self._done or done
        if self.full and not done:
            exchange.client_full()
        self._changed.set()

    def inform(self, head: ResponseHead) -> None:
        """Aiohttp's response cannot carry 1xx heads: they are dropped, as RFC 9110 15.2 allows."""

    def proceed(self) -> None:
        """Aiohttp has sent 100 Continue already."""

    def upgrade(self, exchange: Exchange, head: ResponseHead, upstream: Upstream) -> Tunnel:
        """Take the transport over from aiohttp and make it one side of a tunnel."""
        transport = self._request.transport
        assert transport is not None
        self._done = True
        self._tunnel_over = asyncio.get_running_loop().create_future()
        side = _TunnelSide(transport, self._request.protocol, self._tunnel_over)
        side.tunnel = Tunnel(side, upstream, self._policy.tunnel)
        transport.write(switching(head, exchange.request_id, exchange.added))
        transport.set_protocol(side)
        self._changed.set()
        return side.tunnel

    def pause_body(self) -> None:
        """Read no more of the request's body."""
        self._readable.clear()

    def resume_body(self) -> None:
        """Read on."""
        self._readable.set()

    def break_off(self) -> None:
        """The answer must not look whole."""
        self._broken = True
        self._changed.set()


class _TunnelSide(asyncio.Protocol):
    """The client's end of a tunnel, on a transport that was aiohttp's."""

    def __init__(
        self,
        transport: asyncio.Transport,
        previous: asyncio.BaseProtocol,
        over: asyncio.Future[None],
    ) -> None:
        self.tunnel: Tunnel | None = None
        self._eof = False
        self._transport = transport
        self._previous = previous
        self._over = over
        self._timer: asyncio.TimerHandle | None = None
        self.write = transport.write
        # asyncio's TLS cannot half-close: the end of one way is then the end.
        self.write_eof = transport.write_eof if transport.can_write_eof() else transport.close

    def data_received(self, data: bytes) -> None:
        if self.tunnel is not None:
            self.tunnel.from_client(data)

    def eof_received(self) -> bool:
        self._eof = True
        return self.tunnel is not None and self.tunnel.client_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self.write = discard
        if self.tunnel is not None:
            self.tunnel.client_lost()
        self.tunnel_ended()
        self._previous.connection_lost(exc)  # aiohttp keeps account of its connections

    def pause_writing(self) -> None:
        if self.tunnel is not None:
            self.tunnel.client_full()

    def resume_writing(self) -> None:
        if self.tunnel is not None:
            self.tunnel.client_drained()

    def pause_reading(self) -> None:
        """The upstream does not keep up."""
        if not self._eof:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """It keeps up again; after EOF that would only be delivered anew."""
        if not self._eof:
            self._transport.resume_reading()

    def close(self) -> None:
        """The tunnel is over."""
        self._transport.close()

    def tunnel_active(self) -> None:
        """Bytes went through; one timer for a tunnel, which is rare and long."""
        if self._timer is not None:
            self._timer.cancel()
        if self.tunnel is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.tunnel.patience, self._transport.abort)

    def tunnel_ended(self) -> None:
        """Both sides are closed."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._over.done():
            self._over.set_result(None)


def _refusal(error: MessageError, request_id: str) -> web.Response:
    response = web.Response(
        status=error.code,
        body=error_body(error, request_id),
        content_type="application/json",
        headers={"X-Request-Id": request_id},
    )
    if error.allow:
        response.headers["Allow"] = error.allow.decode()
    response.force_close()
    return response


def _raw_head(request: web.Request) -> bytes:
    """The head as the wire had it, for our own parser."""
    version = request.version
    lines = [
        f"{request.method} {request.raw_path} HTTP/{version.major}.{version.minor}".encode(
            "utf-8", "surrogateescape"
        )
    ]
    decoded = any(name.lower() == b"content-encoding" for name, _ in request.raw_headers)
    for name, value in request.raw_headers:
        lower = name.lower()
        if lower in _DONE_BY_AIOHTTP or (decoded and lower == b"content-length"):
            continue
        lines.append(name + b": " + value)
    if (
        decoded
        and request.body_exists
        and b"transfer-encoding" not in map(bytes.lower, (name for name, _ in request.raw_headers))
    ):
        lines.append(b"Transfer-Encoding: chunked")
    return b"\r\n".join(lines)
