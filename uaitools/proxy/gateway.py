"""The gateway: listens, holds the site in force, and swaps it when the configuration changes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import getrandbits
from secrets import token_bytes
from time import monotonic
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from uaitools import web as component
from uaitools.auth.authenticator import Authenticator
from uaitools.auth.config import AuthConfig
from uaitools.config import Address
from uaitools.limits.config import LimitsConfig
from uaitools.limits.front import Limits
from uaitools.log import get_logger
from uaitools.metrics import Snapshot
from uaitools.proxy import direct, native, status
from uaitools.proxy.access.log import AccessLog
from uaitools.proxy.access.writer import AccessWriter
from uaitools.proxy.clients import Clients
from uaitools.proxy.config import REGISTRY_MISSING, AccessLogSettings, ProxyConfig
from uaitools.proxy.deadlines import Deadlines
from uaitools.proxy.directory import Directory
from uaitools.proxy.discovery import Discovery, Source
from uaitools.proxy.downstream import ClientPolicy, Downstream
from uaitools.proxy.ejection import Ejection
from uaitools.proxy.guards.builder import Guards
from uaitools.proxy.guards.hooks import Hook
from uaitools.proxy.headers import GATEWAY
from uaitools.proxy.http1.grammar import HEAD_LIMIT
from uaitools.proxy.mounted import Mounted
from uaitools.proxy.orders import Order
from uaitools.proxy.outbox import Outbox
from uaitools.proxy.peers import Peers
from uaitools.proxy.pool import Connector, Pool
from uaitools.proxy.report import Report
from uaitools.proxy.routing.router import Router
from uaitools.proxy.routing.table import route_of
from uaitools.proxy.series import Requests
from uaitools.proxy.service import Service, ServicePolicy
from uaitools.proxy.site import Site
from uaitools.proxy.sweep import Sweep
from uaitools.proxy.tls.front import Front
from uaitools.sockets import listening_socket
from uaitools.traffic.breaker import BreakerPolicy, CircuitBreaker
from uaitools.traffic.endpoint import Endpoint
from uaitools.traffic.retry import RetryPolicy

_log = get_logger(__name__)
_UNLIMITED: Final = 1 << 30
_PATIENCE: Final = 86_400.0  # seconds
# What aiohttp decodes wherever it runs; others it refuses before there is a request, or not at all.
_CODINGS: Final = frozenset({b"deflate", b"gzip"})
# The gateway's own application is never taken out: its 503 is an answer, not a failure.
_NATIVE_POLICY: Final = ServicePolicy(
    connections=_UNLIMITED,
    requests=_UNLIMITED,
    breaker=BreakerPolicy(failures=_UNLIMITED, connect_errors=_UNLIMITED, minimum=_UNLIMITED),
    # A handler of ours may take its time, and is not asked twice.
    first_byte=_PATIENCE,
    between_bytes=_PATIENCE,
    retry=RetryPolicy(tries=1),
)


class Gateway:
    """A reverse proxy inside one's own program.

        async with Gateway(config) as gateway:
            print(gateway.address)

    app: an aiohttp application whose paths, beside /health, /metrics and /api/status, are
    answered here and win over routes, or a whole component. sockets: listening ones to serve
    instead of opening `config.listen`. redirect: the same for `config.tls.redirect`. gather: asked
    for the report of all workers instead of only this process. on_ejection: told of every endpoint
    that this process takes out. auth: who may come, where routes ask for it; without it everyone
    may. limits: counts requests, for workers made before they were forked; the gateway starts and
    stops it. secret: signs the cookies of sticky sessions where the configuration sets none; random
    when left out. registry: where services with `registry` have their instances.
    """

    def __init__(
        self,
        config: ProxyConfig,
        *,
        app: web.Application | Mounted | None = None,
        sockets: Sequence[socket.socket] = (),
        redirect: socket.socket | None = None,
        gather: Callable[[], Awaitable[Report]] | None = None,
        on_ejection: Callable[[Ejection], None] | None = None,
        auth: AuthConfig | None = None,
        limits: Limits | None = None,
        secret: bytes | None = None,
        registry: Source | None = None,
    ) -> None:
        self._mounted = app if isinstance(app, Mounted) else None
        self.name = self._mounted.name if self._mounted is not None else GATEWAY
        self.message_as = self._mounted.message_as if self._mounted is not None else ""
        self.config = config
        self.client = ClientPolicy(**config.client.model_dump())
        self.opened = False
        self.draining = False
        self.requests = Requests()
        self.malformed_counts: dict[int, int] = {}
        self._sockets = list(sockets)
        self.gather = gather or self._gather_own
        self.access_writer: AccessWriter | None = None
        self.outbox = Outbox()
        self._sweep = Sweep()
        self.clients = Clients(self.client)
        self._sweep.hooks.append(self.clients.enforce_budget)
        self.deadlines = Deadlines()
        self._sweep.hooks.append(self.deadlines.expire)
        self._directory = Directory(self._sweep, self.outbox, self.client_of, on_ejection)
        self.discovery = Discovery(self._directory.rediscover, self._directory.pools)
        self._directory.instances = self.discovery.instances
        self._directory.known = self.discovery.knows
        self._source = registry
        self._secret = secret or token_bytes(32)
        self._peers = Peers(config.trusted_proxies)
        self.authenticator = Authenticator(auth or AuthConfig(), audience=self.name)
        self._generation = -1  # of what the authenticator knows
        self.limits = limits or Limits(LimitsConfig())
        self._guards = Guards(self.limits, self.deadlines)
        self._sweep.hooks.append(self._forget_callers)
        self._servers: list[asyncio.Server] = []
        self.front: Front | None = None  # with [proxy.tls], from the start on
        self._redirect = redirect
        self._metrics = status.registry(self)
        if self._mounted is not None:
            self._metrics.add(self._mounted.samples)
        self._runner = web.AppRunner(
            self._application(app.app if isinstance(app, Mounted) else app),
            handle_signals=False,
            handler_cancellation=True,
            access_log=None,
            # Our own limits hold, and stand in front of these.
            max_line_size=2 * HEAD_LIMIT,
            max_field_size=2 * HEAD_LIMIT,
            # Our own paths read no bodies, and components unpack them by uaitools.unpacking; other
            # applications may expect them unpacked.
            auto_decompress=app is not None and not isinstance(app, Mounted),
        )
        self._native = Service(self.name, _NATIVE_POLICY, monotonic())
        own = self._mounted.direct if self._mounted is not None else {}
        self._direct = {name: Service(name, _NATIVE_POLICY, monotonic()) for name in own}
        self.site = Site(Router(()), {}, self._native, self.requests)

    def __repr__(self) -> str:
        return f"<Gateway {self.config.listen} clients={len(self.clients)} {self.site!r}>"

    # -- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Resolve endpoints, then listen.

        Raises OSError when the address cannot be had, MaterialError for a broken certificate.
        """
        tls = self.config.tls
        accept: Callable[[], asyncio.Protocol] = lambda: Downstream(self)  # noqa: E731
        if tls is not None:
            self.front = Front(tls, accept, self.clients, self._sweep, self._redirect)
            accept = self.front.listener.accept
        await self.open()
        if not self._sockets:
            address = self.config.listen
            self._sockets.append(listening_socket(address.host, address.port))
        loop = asyncio.get_running_loop()
        for listener in self._sockets:
            self._servers.append(await loop.create_server(accept, sock=listener, backlog=4096))
        if self.front is not None:
            await self.front.start(self.address.port, self.outbox, self.malformed)
        _log.info("listening", address=str(self.address))

    async def open(self) -> None:
        """Resolve endpoints and be ready for exchanges, without a listener of our own."""
        self.opened = True
        await self._runner.setup()
        server = self._runner.server
        assert server is not None
        self._connect_own(self._native, native.connector(server))
        for name, service in self._direct.items():
            assert self._mounted is not None
            answer, good = self._mounted.direct[name]
            self._connect_own(
                service, direct.connector(self.name, answer, good, message_as=self.message_as)
            )
        await self.authenticator.start()
        await self.limits.start()
        await self.reload(self.config)
        self._sweep.start()
        await self._directory.start()

    def _connect_own(self, service: Service, connect: Connector) -> None:
        """Give a service of our own its only endpoint."""
        endpoint = Endpoint(
            "in process", 1, CircuitBreaker(_NATIVE_POLICY.breaker), _NATIVE_POLICY.requests
        )
        pool = Pool(endpoint, service, connect, self._sweep, self.outbox)
        service.replace({endpoint: pool})

    async def drain(self, deadline: float) -> None:
        """Accept nobody new, finish what is under way, close connections as they become idle.

        deadline: on the loop's clock; by then the caller stops waiting.
        """
        del deadline  # the caller stops waiting by then
        self.draining = True
        for server in self._servers:
            server.close()
        if self.front is not None:
            self.front.close()
        # Again at each sweep: an answer that had begun before promised to keep its connection.
        self._sweep.hooks.append(self.clients.close_idle)
        self.clients.close_idle(monotonic())
        _log.info("draining", clients=len(self.clients))
        await self.clients.all_gone()

    async def stop(self) -> None:
        """Release everything at once."""
        self.draining = True
        for server in self._servers:
            server.close()
        self.clients.cut_off()
        if self.front is not None:
            await self.front.stop()
        await self._sweep.stop()
        await self.discovery.stop()
        await self._directory.stop()
        await self.authenticator.stop()
        await self.limits.stop()
        for service in (self._native, *self._direct.values()):
            service.replace({})
        await self._runner.cleanup()
        if self.access_writer is not None:
            await self.access_writer.close()
        for listener in self._sockets:
            with contextlib.suppress(OSError):
                listener.close()
        _log.info("stopped")

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    @property
    def address(self) -> Address:
        """Where the gateway listens; the real port when `listen` asked for any free one."""
        if not self._sockets:
            return self.config.listen
        host, port = self._sockets[0].getsockname()[:2]
        return Address(host, port)

    # -- configuration ----------------------------------------------------------------------

    async def reload(
        self,
        config: ProxyConfig,
        auth: AuthConfig | None = None,
        registry: Source | None = None,
    ) -> None:
        """Make `config` the one in force, at once and whole; connections and tunnels stay.

        What has a socket, and all that ProxyConfig.keeping names, needs a restart and is kept as it
        was, as are `auth` and `registry` unless given. Raises ValueError, KeyFileError and
        MaterialError when that is not possible, and then nothing has changed but whose credentials
        are good and which registry is asked.
        """
        enabled = self.authenticator.enabled if auth is None else auth.enabled
        if not enabled and (asking := config.asking()):
            raise ValueError(f"{asking[0]} asks for credentials: configure [auth]")
        self._source = registry or self._source
        registered = config.registered
        if registered and self._source is None:
            raise ValueError(f"services are to be found in a registry: {REGISTRY_MISSING}")
        if auth is not None:
            await self.authenticator.reload(auth)
        kept = config.keeping(self.config)
        if self.front is not None and kept.tls is not None and config is not self.config:
            await self.front.reload(kept.tls)
        await self.discovery.follow(self._source, registered)
        self._directory.zone = self.discovery.zone
        await self._directory.resolve(config.services)
        self._directory.secret = config.sticky.key or self._secret
        named = [name for route in config.routes for name in route.service_names]
        mentioned = [name for name in named if name not in self._direct]
        self._directory.apply(config.services, mentioned)
        for name in self._directory.services:
            if name not in config.services:
                _log.warning("a route names a service without settings", upstream=name)
        if pinned := config.pinned(kept):
            _log.warning("some settings change with a restart only", settings=pinned)
        self.client = self.clients.policy = ClientPolicy(**config.client.model_dump())
        trusted_differ = config.trusted_proxies != self.config.trusted_proxies
        self.config = kept
        if trusted_differ:
            self._peers = Peers(config.trusted_proxies)
            for downstream in self.clients:
                downstream.recognise()
        self._build_site()
        await self.discovery.keep(registered)

    def hook(self, function: Hook) -> Hook:
        """Run `function` for every request that is proxied, before the hooks of its route.

        @gateway.hook
        async def tag(request, forward): ...
        """
        self._guards.hooks.append(function)
        if self.opened:
            self._build_site()
        return function

    def _build_site(self) -> None:
        """Swap in routes, guards and services as they are now; requests under way keep theirs."""
        services = {**self._directory.services, **self._direct}
        guards = self._guards.of(self.config, self._peers, services, self.authenticator)
        routes = [route_of(*one) for one in zip(self.config.routes, guards, strict=True)]
        natives = native.native_routes(self._runner.app)
        if self._mounted is None:
            router = Router(routes, natives)
        else:
            direct = [route for route in routes if route.service in self._direct]
            beside = {(method, route.path): route for route in direct for method in route.methods}
            nothing = "there is nothing here; /openapi.json says what is"
            router = Router(routes, natives, beside, nothing)
        access = self._access_log(self.config.access_log)
        self.site = Site(
            router,
            services,
            self._native,
            self.requests,
            deadlines=self.deadlines,
            access=access,
            scheme=b"http" if self.front is None else b"https",
            added=b"" if self.front is None else self.front.added,
            codings=frozenset() if self._mounted is None else _CODINGS,
        )

    def _forget_callers(self, _now: float) -> None:
        """What keys say has changed: find out anew who everybody is."""
        generation = self.authenticator.generation
        if generation != self._generation:
            self._generation = generation
            self._build_site()

    @property
    def refusals(self) -> Mapping[str, int]:
        """How often each limit has refused a request, by its name."""
        return self._guards.refusals

    def reopen_logs(self) -> None:
        """Open the access log's file anew, which somebody may have moved away."""
        if self.access_writer is not None:
            self.access_writer.reopen(self.access_writer.file)

    def _access_log(self, settings: AccessLogSettings) -> AccessLog | None:
        if not settings.enabled:
            return None
        writer = self.access_writer
        if writer is None:
            writer = self.access_writer = AccessWriter(settings.file, settings.buffer)
        elif writer.file != settings.file:
            writer.reopen(settings.file)
        writer.limit = settings.buffer
        return AccessLog(
            writer,
            sample=settings.sample,
            errors=settings.errors,
            redacted_query=settings.query == "redacted",
        )

    @property
    def handshake_failures(self) -> Mapping[str, int]:
        """TLS handshakes that came to nothing, by kind; see TlsListener."""
        return self.front.listener.failures if self.front is not None else {}

    @property
    def services(self) -> Mapping[str, Service]:
        """The services in force, by name."""
        return self._directory.services

    def labels_of(self, service: str) -> frozenset[str]:
        """The `endpoint` labels of the routes to a service."""
        return frozenset(r.label for r in self.config.routes if service in r.service_names)

    def eject(self, ejection: Ejection) -> None:
        """Take an endpoint out that another worker found bad."""
        self._directory.eject(ejection)

    def obey(self, order: Order) -> None:
        """Do what an operator says, in this process."""
        if order.action == "reopen":
            self.reopen_logs()
        else:
            self._directory.obey(order)

    # -- clients ----------------------------------------------------------------------------

    def accepted(self, downstream: Downstream) -> bool:
        """A client has connected; False when there are too many."""
        self._sweep.connections.add(downstream)
        return self.clients.add(downstream)

    def departed(self, downstream: Downstream) -> None:
        """A client's connection has ended."""
        self._sweep.connections.discard(downstream)
        self.clients.remove(downstream)

    def peer(self, host: str) -> tuple[bytes, bool]:
        """See Peers.find."""
        return self._peers.find(host)

    def client_of(self, chain: str) -> str:
        """See Peers.client."""
        return self._peers.client(chain)

    def malformed(self, code: int) -> None:
        """Count bytes that were no request."""
        self.malformed_counts[code] = self.malformed_counts.get(code, 0) + 1

    def new_request_id(self) -> str:
        """An id for an answer to what was no request."""
        return f"{getrandbits(128):032x}"

    # -- native paths -----------------------------------------------------------------------

    def _application(self, mounted: web.Application | None) -> web.Application:
        async def snapshot() -> Snapshot:
            return (await self.gather()).metrics

        async def get_status(_request: web.Request) -> web.Response:
            return component.json_response(status.document(await self.gather(), self.name))

        app = component.application(
            self.name,
            health=self.health,
            snapshot=snapshot,
            app=mounted,
            authenticator=self.authenticator,
            cors=self.config.cors,
            message_as=self.message_as,
            times=self._mounted.times if self._mounted is not None else "seconds",
        )
        app.middlewares.insert(0, native.forwarded(self.client_of))
        app.router.add_get("/api/status", get_status)
        return app

    def report(self) -> Report:
        """What this process has to tell of itself."""
        return status.report(self, self._metrics)

    async def _gather_own(self) -> Report:
        return self.report()

    def health(self) -> component.Health:
        """Whether each service has an endpoint to send to."""
        now = monotonic()
        available = {
            name: any(endpoint.breaker.share(now) > 0 for endpoint in service.pools)
            for name, service in self.services.items()
        }
        required = self._mounted.required if self._mounted is not None else ()
        return component.Health(
            {**available, **self.dependencies}, draining=self.draining, required=required
        )

    @property
    def dependencies(self) -> Mapping[str, bool | None]:
        """Whether what the gateway itself depends on works, by name."""
        mounted = self._mounted.dependencies() if self._mounted is not None else {}
        return {**self.limits.dependencies, **self.discovery.dependencies, **mounted}
