"""The insight service as a server: its parts, its resources and the gateway's listener in front."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from uaitools.auth.config import AuthConfig
from uaitools.config import Address
from uaitools.insight.api.resources import Api
from uaitools.insight.config import InsightConfig
from uaitools.insight.errors import SERVICE
from uaitools.insight.metrics import samples
from uaitools.insight.pace import Lately, Pace, Totals
from uaitools.insight.service import InsightService
from uaitools.limits.config import LimitsConfig
from uaitools.limits.front import Limits
from uaitools.proxy import Gateway, Mounted, ProxyConfig
from uaitools.rest import Resource
from uaitools.rounds import Rounds

BODY: Final = 64 << 10  # bytes of a request
_MINUTE, _MARKS = 60.0, 12
_LONGEST: Final = 15  # seconds from a request's head to its answer
# Seconds: a whole head, a piece of a body, a piece of an answer, between two requests.
_CLIENT: Final = {"header": 15, "body": 15, "write": 15, "idle": 60}


class InsightServer:
    """A service of `lifecycle.run`, or used by itself.

        async with InsightServer(config, InsightService(config, directory)) as server:
            print(server.address)

    auth: whose credentials are good; without it everyone may do everything. limits: how requests
    are counted. sockets: listening ones to use instead of opening `config.listen`.
    """

    def __init__(
        self,
        config: InsightConfig,
        service: InsightService,
        *,
        auth: AuthConfig | None = None,
        limits: LimitsConfig | None = None,
        sockets: Sequence[socket.socket] = (),
    ) -> None:
        self.service = service
        self.api = Api(self)
        self.pace = _Pace(self)
        self._config = config
        auth = auth or AuthConfig()
        app = web.Application(client_max_size=BODY)
        self.api.add_to(app, secured=auth.enabled)
        found = [(one.direct, one) for one in self.api.resources() if one.direct is not None]
        mounted = Mounted(
            SERVICE,
            app,
            self._dependencies,
            lambda: samples(self),
            {direct.name: (direct.answer, one.status) for direct, one in found},
            message_as="error",
            times="words",
        )
        self.gateway = Gateway(
            self._front([self._route(one, secured=auth.enabled) for _, one in found]),
            app=mounted,
            sockets=sockets,
            auth=auth,
            limits=self._limits(limits or LimitsConfig()),
        )

    def __repr__(self) -> str:
        return f"<InsightServer {self.service!r}>"

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self.gateway.address

    async def start(self) -> None:
        """Open what it needs, then listen. Raises what InsightService.start does, and OSError."""
        await self.service.start()
        try:
            self.api.start()
            await self.pace.start()
            await self.gateway.start()
        except BaseException:
            await self.stop()
            raise

    async def drain(self, deadline: float) -> None:
        """Finish what is under way."""
        await self.gateway.drain(deadline)

    async def stop(self) -> None:
        """Release everything."""
        await self.pace.stop()
        await self.gateway.stop()
        await self.service.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    def _front(self, routes: Sequence[Mapping[str, Any]]) -> ProxyConfig:
        config = self._config
        return ProxyConfig.model_validate(
            {
                "listen": str(config.listen),
                "client": _CLIENT,
                "cors": config.cors,
                "rate_limit": config.rate_limit,
                "access_log": config.access_log,
                "routes": routes,
            }
        )

    def _route(self, resource: Resource, *, secured: bool) -> Mapping[str, Any]:
        """To the function that answers a resource."""
        assert resource.direct is not None
        return {
            "path": resource.path,
            "exact": "{" not in resource.path,
            "methods": [resource.method],
            "service": resource.direct.name,
            "max_body": 1024,
            "timeout": _LONGEST,
            "auth": resource.access if secured else "none",
            "cors": self._config.cors,
        }

    def _limits(self, config: LimitsConfig) -> Limits:
        """What counts requests: in Redis as well, where there is one and something to count."""
        counted = self._config.rate_limit is not None
        return Limits(config, redis_url=self.service.redis_url if counted else None)

    def _dependencies(self) -> Mapping[str, bool | None]:
        service = self.service
        return {
            "database": not service.probe.failing,
            "redis": None if service.redis_url is None else not service.cache.failing,
            "python_api": service.python_api.works,
        }


class _Pace(Rounds):
    """Of the requests of a server in the last minute."""

    def __init__(self, server: InsightServer) -> None:
        super().__init__(self._mark, _MINUTE / _MARKS, "mark the pace")
        self._server = server
        self._lately = Lately(_MARKS, Totals(monotonic(), 0, 0.0))

    def now(self) -> Pace:
        """As it is."""
        return self._lately.pace(self._totals())

    async def _mark(self) -> None:
        self._lately.mark(self._totals())

    def _totals(self) -> Totals:
        every = [series for _, series in self._server.gateway.requests.items()]
        requests = sum(sum(one.statuses.values()) for one in every)
        return Totals(monotonic(), requests, sum(one.latency.sum for one in every))
