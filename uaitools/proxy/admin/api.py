"""The resources of the admin API, and the orders that it takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson
from aiohttp import hdrs, web
from pydantic import BaseModel, TypeAdapter, ValidationError

from uaitools.errors import ServiceError
from uaitools.proxy.admin import models
from uaitools.proxy.admin.connections import Slices, answer, slices
from uaitools.proxy.admin.redact import redacted
from uaitools.proxy.orders import Order

if TYPE_CHECKING:
    from uaitools.proxy.gateway import Gateway

PAGE: Final = 1000  # connections in one answer at most
_SERVICE: Final = "proxy"
A = TypeVar("A", bound=BaseModel)
Handler = Callable[[web.Request], Awaitable[BaseModel]]


@dataclass(frozen=True, slots=True)
class Resource:
    """One method and path. asked: the model of its body, if any. said: that of its answer."""

    method: str
    path: str
    handler: Handler
    summary: str
    said: type[BaseModel]
    asked: type[BaseModel] | None = None
    status: int = 200


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
            ),
            Resource(
                "POST",
                endpoint("restore"),
                self._restore,
                "Bring a drained or ejected endpoint back, through its ramp",
                models.EndpointView,
                which,
            ),
            Resource(
                "POST",
                endpoint("eject"),
                self._eject,
                "Take an endpoint out for a while, as its breaker would",
                models.EndpointView,
                models.Eject,
            ),
            Resource(
                "POST",
                endpoint("weight"),
                self._weigh,
                "Give an endpoint another weight",
                models.EndpointView,
                models.Weigh,
            ),
            Resource(
                "POST", "/reload", self._reread, "Read the configuration again", accepted, None, 202
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
        offset = _whole_number(request, "offset", 0, 1 << 53)
        limit = _whole_number(request, "limit", 100, PAGE)
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
        which = await _body(request, models.Which)
        return await self._obeyed(Order("drain", which.service, which.address))

    async def _restore(self, request: web.Request) -> models.EndpointView:
        which = await _body(request, models.Which)
        return await self._obeyed(Order("restore", which.service, which.address))

    async def _eject(self, request: web.Request) -> models.EndpointView:
        asked = await _body(request, models.Eject)
        until = None if asked.seconds is None else monotonic() + asked.seconds
        return await self._obeyed(Order("eject", asked.service, asked.address, until=until))

    async def _weigh(self, request: web.Request) -> models.EndpointView:
        asked = await _body(request, models.Weigh)
        return await self._obeyed(
            Order("weight", asked.service, asked.address, weight=asked.weight)
        )

    async def _obeyed(self, order: Order) -> models.EndpointView:
        """Give an order, and tell how the endpoint is when every process has it.

        The reports are pulled over the same channels, behind the order.
        """
        service = self._gateway.services.get(order.service)
        if service is None:
            raise ServiceError(404, f"there is no service {order.service!r}", _SERVICE)
        if order.address not in {endpoint.address for endpoint in service.pools}:
            raise ServiceError(
                404, f"the service has no endpoint {order.address!r}; see /endpoints", _SERVICE
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
            raise ServiceError(501, "the program that runs this gateway reloads it", _SERVICE)
        self._reload()
        return models.Accepted()


def handle(resource: Resource) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The aiohttp handler of a resource."""

    async def handler(request: web.Request) -> web.Response:
        said = await resource.handler(request)
        return web.Response(
            body=said.model_dump_json().encode(),
            status=resource.status,
            content_type="application/json",
            headers={hdrs.CACHE_CONTROL: "no-store"},
        )

    return handler


async def _body(request: web.Request, model: type[A]) -> A:
    """The body as `model`. Raises ServiceError 415 or 400, and ValidationError (422)."""
    if request.content_type != "application/json":
        raise ServiceError(415, "send JSON as application/json", _SERVICE)
    try:
        document = orjson.loads(await request.read())
    except ValueError as error:
        raise ServiceError(400, f"the body is not JSON: {error}", _SERVICE) from error
    return model.model_validate(document)


_NUMBER: Final = TypeAdapter(int)


def _whole_number(request: web.Request, name: str, default: int, most: int) -> int:
    """A number of the query. Raises ServiceError 422."""
    text = request.query.get(name)
    if text is None:
        return default
    least = 1 if name == "limit" else 0
    try:
        number = _NUMBER.validate_python(text) if text.isascii() and text.isdigit() else -1
    except ValidationError:
        number = -1  # more digits than an integer may have
    if not least <= number <= most:
        message = f"must be a whole number from {least} to {most}"
        details = [{"field": name, "message": message}]
        raise ServiceError(422, f"{name} {message}", _SERVICE, details=details)
    return number
