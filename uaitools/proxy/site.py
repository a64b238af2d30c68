"""The configuration in force: routes and services, and the plan that each request head leads to.

A reload builds a new Site and swaps it in; requests under way keep the plan they began with.
A plan holds all that is the same for equal heads, so that parsing, routing and rewriting are paid
once a head and not once a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from uaitools.errors import ServiceError
from uaitools.proxy.deadlines import Deadlines
from uaitools.proxy.failure import too_large
from uaitools.proxy.headers import NOTHING, Trust, outgoing
from uaitools.proxy.http1.request import RequestHead
from uaitools.proxy.memo import Memo
from uaitools.proxy.patience import NEVER, Overrides, Patience
from uaitools.proxy.routing import RouteError, Router
from uaitools.proxy.series import Requests, Series
from uaitools.proxy.service import Service

if TYPE_CHECKING:
    from uaitools.proxy.guard import Caller, Guard


class Destination:
    """Where requests of one method and path go.

    refusal: the error that answers them instead, or None. path: the one the upstream is asked for.
    deadlines: where requests are kept that have one. guard: what the route asks of requests, or
    None. overrides: where its patience differs from the service's.
    """

    __slots__ = (
        "deadlines",
        "guard",
        "max_body",
        "overrides",
        "path",
        "patience",
        "refusal",
        "series",
        "service",
    )

    def __init__(
        self,
        service: Service,
        series: Series,
        path: bytes,
        deadlines: Deadlines,
        *,
        max_body: int | None = None,
        refusal: ServiceError | None = None,
        guard: Guard | None = None,
        overrides: Overrides = Overrides(),  # noqa: B008 - frozen
    ) -> None:
        self.deadlines = deadlines
        self.guard = guard
        self.service = service
        self.overrides = overrides
        self.patience: Patience = overrides.over(service.policy)
        self.series = series
        self.path = path
        self.max_body = max_body
        self.refusal = refusal

    def __repr__(self) -> str:
        return f"<Destination {self.service.name} {self.path!r}>"


class Plan:
    """What to do with every request that has this head; never changed once built.

    refusal: the error that answers such requests, else None. prefix: of the outgoing head, see
    headers.outgoing. request_id, trace, trace_flags: see headers.Trust. body: as in RequestHead.
    guard: of the route, or None; caller: then, what it knows of who sends such requests. expires:
    when the plan has to be made anew, monotonic. timeout: seconds for the whole request, the
    route's or the client's, whichever is shorter. deadlines: where such requests are kept; None
    when there is no such time.
    """

    __slots__ = (
        "body",
        "caller",
        "deadlines",
        "destination",
        "expires",
        "guard",
        "head",
        "is_head",
        "keep_alive",
        "max_body",
        "patience",
        "prefix",
        "refusal",
        "request_id",
        "series",
        "service",
        "timeout",
        "trace",
        "trace_flags",
        "trust",
    )

    def __init__(
        self, head: RequestHead, destination: Destination, trust: Trust, now: float
    ) -> None:
        self.head = head
        self.destination = destination
        self.trust = trust
        self.service = destination.service
        self.series = destination.series
        self.refusal = destination.refusal
        self.max_body = destination.max_body
        self.patience = destination.patience
        self.body = head.body
        # Bytes behind an upgrade that is refused were meant for a tunnel: they are no request.
        self.keep_alive = head.keep_alive and not head.websocket
        self.is_head = head.method == b"HEAD"
        self.guard = guard = destination.guard
        self.caller: Caller | None = None
        self.expires = NEVER
        identity: bytes | None = None
        if guard is not None:
            self.caller = guard.identify(head, trust.chain, self.service.name, now)
            self.expires = self.caller.identity.expires
            self.refusal = self.refusal or self.caller.identity.refusal
            identity = self.caller.identity.lines
        if self.max_body is not None and self.body > self.max_body:
            self.refusal = self.refusal or too_large(self.max_body)
        self.timeout = self.patience.total
        if head.controls.timeout is not None:
            self.timeout = min(self.timeout, int(head.controls.timeout) / 1000)
        self.deadlines = destination.deadlines if self.timeout != NEVER else None
        self.prefix = outgoing(head, destination.path, trust, identity)
        self.request_id = trust.request_id
        self.trace = trust.trace
        self.trace_flags = trust.trace_flags

    def __repr__(self) -> str:
        return f"<Plan {self.head!r} -> {self.service.name}>"

    def again(self, now: float) -> Plan:
        """The plan for the same head as it is now."""
        return Plan(self.head, self.destination, self.trust, now)

    def revised(self, service: Service, path: bytes, lines: bytes, now: float) -> Plan:
        """The plan for a request that goes elsewhere, or with other lines; same guard and caller.

        lines: those to forward, each after a CR LF.
        """
        destination = Destination(
            service,
            self.series,
            path,
            self.destination.deadlines,
            max_body=self.max_body,
            guard=self.destination.guard,
            overrides=self.destination.overrides,
        )
        return Plan(self.head.with_lines(lines), destination, self.trust, now)


class Site:
    """Router and services, with a memo of plans for trusted and one for other peers."""

    __slots__ = (
        "_deadlines",
        "_destinations",
        "_requests",
        "_router",
        "native",
        "plans",
        "services",
        "trusted_plans",
    )

    def __init__(
        self,
        router: Router,
        services: Mapping[str, Service],
        native: Service,
        requests: Requests,
        deadlines: Deadlines | None = None,
    ) -> None:
        self._deadlines = deadlines if deadlines is not None else Deadlines()
        self._router = router
        self._requests = requests
        self.services = services
        self.native = native
        self._destinations: Memo[Destination] = Memo(capacity=512, key_limit=1024)
        self.plans: Memo[Plan] = Memo(capacity=512, key_limit=2048)
        self.trusted_plans: Memo[Plan] = Memo(capacity=512, key_limit=2048)

    def __repr__(self) -> str:
        return f"<Site services={len(self.services)} {self._router!r}>"

    def plan(self, raw: bytes, now: float, *, trusted: bool) -> Plan:
        """Parse, route and rewrite a head, given without its empty line. Raises MessageError."""
        memo = self.trusted_plans if trusted else self.plans
        plan = memo.young.get(raw)
        if plan is not None and plan.expires > now:
            return plan
        head = RequestHead(raw)
        key = head.method + head.path
        destination = self._destinations.young.get(key)
        if destination is None:
            destination = self._route(head.method, head.path)
            self._destinations.put(key, destination)
        controls = head.controls
        trust = Trust(controls.trust, trusted=trusted) if controls.trust else NOTHING
        plan = Plan(head, destination, trust, now)
        memo.put(raw, plan)
        return plan

    def _route(self, method: bytes, path: bytes) -> Destination:
        try:
            route = self._router.match(method, path)
        except RouteError as error:
            series = self._requests.series(method, error.label)
            # Without its traceback: what is remembered must not hold the frames of a connection.
            refusal = error.with_traceback(None)
            return Destination(self.native, series, path, self._deadlines, refusal=refusal)
        return Destination(
            self.native if route.service is None else self.services[route.service],
            self._requests.series(method, route.label),
            route.upstream_path(path),
            self._deadlines,
            max_body=route.max_body,
            guard=route.guard,
            overrides=route.patience,
        )
