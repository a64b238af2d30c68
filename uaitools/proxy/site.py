"""The configuration in force: routes and services, and the plan that each request head leads to.

A reload builds a new Site and swaps it in; requests under way keep the plan they began with.
A plan holds all that is the same for equal heads, so that parsing, routing and rewriting are paid
once a head and not once a request.
"""

from __future__ import annotations

from collections.abc import Mapping

from uaitools.errors import ServiceError
from uaitools.proxy.headers import outgoing
from uaitools.proxy.http1.request import RequestHead, parse_request
from uaitools.proxy.memo import Memo
from uaitools.proxy.routing import Route, RouteError, Router
from uaitools.proxy.series import Series
from uaitools.proxy.service import Service

# Methods that metrics know by name; a client must not be able to invent label values.
_METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"))
_UNMATCHED = "unmatched"


class Plan:
    """What to do with every request that has this head; never changed once built.

    refusal: the error that answers such requests, else None. prefix, request_id, trace and
    trace_flags: the outgoing head, see headers.Outgoing. body and keep_alive: as in RequestHead.
    """

    __slots__ = (
        "body",
        "head",
        "is_head",
        "keep_alive",
        "max_body",
        "prefix",
        "refusal",
        "request_id",
        "series",
        "service",
        "trace",
        "trace_flags",
    )

    def __init__(
        self,
        head: RequestHead,
        service: Service,
        series: Series,
        *,
        route: Route | None,
        trusted: bool,
        refusal: ServiceError | None,
    ) -> None:
        path = route.upstream_path(head.path) if route is not None else head.path
        self.head = head
        self.service = service
        self.series = series
        self.refusal = refusal
        self.body = head.body
        # Bytes behind an upgrade that is refused were meant for a tunnel: they are no request.
        self.keep_alive = head.keep_alive and not head.websocket
        self.is_head = head.method == b"HEAD"
        self.max_body = route.max_body if route is not None else None
        self.prefix, self.request_id, self.trace, self.trace_flags = outgoing(
            head, path, trusted=trusted
        )

    def __repr__(self) -> str:
        return f"<Plan {self.head.method.decode()} {self.head.path!r} -> {self.service.name}>"


class Requests:
    """All series of the process, by (method, endpoint); they outlive reloads."""

    __slots__ = ("_series",)

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], Series] = {}

    def __repr__(self) -> str:
        return f"<Requests series={len(self._series)}>"

    def series(self, method: bytes, endpoint: str) -> Series:
        """The series of a method and a route label."""
        name = method.decode() if method in _METHODS else "OTHER"
        series = self._series.get((name, endpoint))
        if series is None:
            series = self._series[name, endpoint] = Series()
        return series

    def items(self) -> list[tuple[tuple[str, str], Series]]:
        """Every series with its (method, endpoint)."""
        return list(self._series.items())

    def of_endpoints(self, endpoints: frozenset[str]) -> list[Series]:
        """The series of some route labels."""
        return [series for (_, endpoint), series in self._series.items() if endpoint in endpoints]


class Site:
    """Router and services, with a memo of plans for trusted and one for other peers."""

    __slots__ = ("_requests", "_router", "native", "plans", "services", "trusted_plans")

    def __init__(
        self,
        router: Router,
        services: Mapping[str, Service],
        native: Service,
        requests: Requests,
    ) -> None:
        self._router = router
        self._requests = requests
        self.services = services
        self.native = native
        self.plans: Memo[Plan] = Memo(capacity=512, key_limit=2048)
        self.trusted_plans: Memo[Plan] = Memo(capacity=512, key_limit=2048)

    def __repr__(self) -> str:
        return f"<Site services={len(self.services)} {self._router!r}>"

    def plan(self, raw: bytes, *, trusted: bool) -> Plan:
        """Parse, route and rewrite a head, given without its empty line. Raises MessageError."""
        memo = self.trusted_plans if trusted else self.plans
        plan = memo.get(raw)
        if plan is None:
            plan = self.plan_for(parse_request(raw), trusted=trusted)
            memo.put(raw, plan)
        return plan

    def plan_for(self, head: RequestHead, *, trusted: bool) -> Plan:
        """Route and rewrite a head that is parsed already."""
        route: Route | None = None
        refusal: ServiceError | None = None
        label = _UNMATCHED
        service = self.native
        try:
            route = self._router.match(head.method, head.path)
        except RouteError as error:
            refusal = error
        else:
            label = route.label
            service = self.services.get(route.service, self.native)
            if route.max_body is not None and head.body > route.max_body:
                refusal = ServiceError(
                    413, f"the body is over this route's {route.max_body} bytes", "proxy"
                )
        series = self._requests.series(head.method, label)
        return Plan(head, service, series, route=route, trusted=trusted, refusal=refusal)
