"""The resources of the admin API, and the orders that it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from uaitools.errors import ServiceError
from uaitools.proxy.admin import models
from uaitools.proxy.admin.connections import Slices, answer, slices
from uaitools.proxy.admin.redact import redacted
from uaitools.proxy.orders import Order
from uaitools.rest import Resource, body, query

if TYPE_CHECKING:
    from uaitools.proxy.gateway import Gateway

SERVICE: Final = "proxy"


class Api:
    """What the API does.

    order: has every process obey, this one included. reload: reads the configuration again in
    every process; raises ServiceError (422) when it is wrong. None where nobody can. survey: asks
    the other processes, given their number; None where there is none.
    """

    __slots__ = ("_gateway", "_order", "_reload", "_survey")

    def __init__(
        self,
        gateway: Gateway,
        order: Callable[[Order], None],
        reload: Callable[[], None] | None,
        survey: Callable[[bytes, int], Awaitable[list[bytes]]] | None,
    ) -> None:
        self._survey = survey
        self._gateway = gateway
        self._order = order
        self._reload = reload

    def __repr__(self) -> str:
        return f"<Api {self._gateway!r}>"

    def resources(self) -> list[Resource]:
        """Everything that it serves."""
        which, accepted = models.Which, models.Accepted
        endpoint = "/endpoints/{}".format
        return [
            Resource("GET", "/services", self._services, "All services", models.Services),
            Resource("GET", "/endpoints", self._endpoints, "All endpoints", models.Endpoints),
            Resource("GET", "/routes", self._routes, "All routes", models.Routes),
            Resource(
                "GET",
                "/connections",
                self._connections,
                "Client connections, in pages",
                models.Connections,
                query=models.Page,
            ),
            Resource(
                "GET",
                "/configuration",
                self._configuration,
                "The configuration in force, without secrets",
                models.Configuration,
            ),
            Resource(
                "POST",
                endpoint("drain"),
                self._drain,
                "Begin no more requests at an endpoint; those under way finish",
                models.EndpointView,
                which,
                errors=(404,),
            ),
            Resource(
                "POST",
                endpoint("restore"),
                self._restore,
                "Bring a drained or ejected endpoint back, through its ramp",
                models.EndpointView,
                which,
                errors=(404,),
            ),
            Resource(
                "POST",
                endpoint("eject"),
                self._eject,
                "Take an endpoint out for a while, as its breaker would",
                models.EndpointView,
                models.Eject,
                errors=(404,),
            ),
            Resource(
                "POST",
                endpoint("weight"),
                self._weigh,
                "Give an endpoint another weight",
                models.EndpointView,
                models.Weigh,
                errors=(404,),
            ),
            Resource(
                "POST",
                "/reload",
                self._reread,
                "Read the configuration again",
                accepted,
                status=202,
                errors=(422, 501),
            ),
        ]

    # -- what is ----------------------------------------------------------------------------

    async def _services(self, _request: web.Request) -> models.Services:
        whole = await self._gateway.gather()
        views = []
        for name, report in sorted(whole.services.items()):
            document: dict[str, Any] = report.document()
            endpoints = [{"service": name, **one} for one in document.pop("endpoints")]
            service = self._gateway.services.get(name)
            balance = service.policy.balance if service is not None else ""
            views.append({"name": name, "balance": balance, "endpoints": endpoints, **document})
        return models.Services.model_validate({"workers": whole.workers, "services": views})

    async def _endpoints(self, request: web.Request) -> models.Endpoints:
        services = (await self._services(request)).services
        return models.Endpoints(endpoints=[e for one in services for e in one.endpoints])

    async def _routes(self, _request: web.Request) -> models.Routes:
        routes = self._gateway.config.model_dump(mode="json")["routes"]
        return models.Routes.model_validate({"routes": redacted(routes)})

    async def _connections(self, request: web.Request) -> models.Connections:
        page = query(request, models.Page)
        offset, limit = page.offset, page.limit
        others = (await self._gateway.gather()).workers - 1 if self._survey is not None else 0
        totals = {one["pid"]: one["total"] for one in await self._ask_all({}, others)}
        total = sum(totals.values())
        pages = await self._ask_all(slices(totals, offset, limit), others)
        following = offset + limit
        return models.Connections(
            total=total,
            connections=[one for page in pages for one in page["connections"]],
            next=following if following < total else None,
        )

    async def _ask_all(self, wanted: Slices, others: int) -> list[dict[str, Any]]:
        """Their number, and those wanted, of the connections of every process."""
        question = orjson.dumps(wanted, option=orjson.OPT_NON_STR_KEYS)
        answers = [answer(self._gateway.clients, question)]
        if self._survey is not None:
            answers += await self._survey(question, others)
        return sorted(map(orjson.loads, answers), key=lambda one: int(one["pid"]))

    async def _configuration(self, _request: web.Request) -> models.Configuration:
        gateway = self._gateway
        tables = {
            "proxy": gateway.config,
            "auth": gateway.authenticator.config,
            "limits": gateway.limits.config,
        }
        return models.Configuration.model_validate(
            {name: redacted(table.model_dump(mode="json")) for name, table in tables.items()}
        )

    # -- orders -----------------------------------------------------------------------------

    async def _drain(self, request: web.Request) -> models.EndpointView:
        which = await body(request, models.Which, SERVICE)
        return await self._obeyed(Order("drain", which.service, which.address))

    async def _restore(self, request: web.Request) -> models.EndpointView:
        which = await body(request, models.Which, SERVICE)
        return await self._obeyed(Order("restore", which.service, which.address))

    async def _eject(self, request: web.Request) -> models.EndpointView:
        asked = await body(request, models.Eject, SERVICE)
        until = None if asked.seconds is None else monotonic() + asked.seconds
        return await self._obeyed(Order("eject", asked.service, asked.address, until=until))

    async def _weigh(self, request: web.Request) -> models.EndpointView:
        asked = await body(request, models.Weigh, SERVICE)
        return await self._obeyed(
            Order("weight", asked.service, asked.address, weight=asked.weight)
        )

    async def _obeyed(self, order: Order) -> models.EndpointView:
        """Give an order, and tell how the endpoint is when every process has it.

        The reports are pulled over the same channels, behind the order.
        """
        service = self._gateway.services.get(order.service)
        if service is None:
            raise ServiceError(404, f"there is no service {order.service!r}", SERVICE)
        if order.address not in {endpoint.address for endpoint in service.pools}:
            raise ServiceError(
                404, f"the service has no endpoint {order.address!r}; see /endpoints", SERVICE
            )
        self._order(order)
        report = (await self._gateway.gather()).services[order.service]
        endpoint = report.endpoints[order.address]
        return models.EndpointView.model_validate(
            {
                "service": order.service,
                "address": order.address,
                "state": endpoint.state,
                "cause": endpoint.cause,
                "weight": endpoint.weight,
                **endpoint.numbers,
            }
        )

    async def _reread(self, _request: web.Request) -> models.Accepted:
        if self._reload is None:
            raise ServiceError(501, "the program that runs this gateway reloads it", SERVICE)
        self._reload()
        return models.Accepted()
