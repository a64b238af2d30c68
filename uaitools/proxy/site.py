"""The configuration in force: routes and services, and the plan that each request head leads to.

A reload builds a new Site and swaps it in; requests under way keep the plan they began with.
A plan holds all that is the same for equal heads, so that parsing, routing and rewriting are paid
once a head and not once a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from uaitools.errors import ServiceError
from uaitools.proxy.cors import Cors, Preflight, preflight_method
from uaitools.proxy.failure import too_large
from uaitools.proxy.headers import NOTHING, Trust, outgoing
from uaitools.proxy.http1.request import RequestHead
from uaitools.proxy.memo import Memo
from uaitools.proxy.routing import RouteError, Router
from uaitools.proxy.series import Requests, Series
from uaitools.proxy.service import Service

if TYPE_CHECKING:
    from uaitools.proxy.access import AccessLog


class Destination:
    """Where requests of one method and path go.

    refusal: what answers them instead, or None. path: the one the upstream is asked for.
    """

    __slots__ = ("cors", "max_body", "path", "refusal", "series", "service")

    def __init__(
        self,
        service: Service,
        series: Series,
        path: bytes,
        max_body: int | None = None,
        *,
        refusal: ServiceError | Preflight | None = None,
        cors: Cors | None = None,
    ) -> None:
        self.cors = cors
        self.service = service
        self.series = series
        self.path = path
        self.max_body = max_body
        self.refusal = refusal

    def __repr__(self) -> str:
        return f"<Destination {self.service.name} {self.path!r}>"


class Plan:
    """What to do with every request that has this head; never changed once built.

    refusal: what answers such requests, else None. added: lines for the answers' heads. cors: the
    route's rules, or None. prefix: of the outgoing head, see
    headers.outgoing. request_id, trace, trace_flags, chain: see headers.Trust. body: as in
    RequestHead. logged: what the access log keeps here.
    """

    __slots__ = (
        "added",
        "body",
        "chain",
        "cors",
        "head",
        "is_head",
        "keep_alive",
        "logged",
        "max_body",
        "prefix",
        "refusal",
        "request_id",
        "series",
        "service",
        "trace",
        "trace_flags",
    )

    def __init__(self, head: RequestHead, destination: Destination, *, trusted: bool) -> None:
        self.head = head
        self.service = destination.service
        self.series = destination.series
        self.refusal = destination.refusal
        self.max_body = destination.max_body
        self.cors = destination.cors
        self.added = b"" if self.cors is None else self.cors.lines(head.lines)
        self.body = head.body
        # Bytes behind an upgrade that is refused were meant for a tunnel: they are no request.
        self.keep_alive = head.keep_alive and not head.websocket
        self.is_head = head.method == b"HEAD"
        if self.max_body is not None and self.body > self.max_body:
            self.refusal = too_large(self.max_body)
        controls = head.controls
        trust = Trust(controls.trust, trusted=trusted) if controls.trust else NOTHING
        self.prefix = outgoing(head, destination.path, trust)
        self.request_id = trust.request_id
        self.trace = trust.trace
        self.trace_flags = trust.trace_flags
        self.chain = trust.chain
        self.logged: bytes | None = None

    def __repr__(self) -> str:
        return f"<Plan {self.head!r} -> {self.service.name}>"


class Site:
    """Router and services, with a memo of plans for trusted and one for other peers.

    access: the log of all requests, or None.
    """

    __slots__ = (
        "_destinations",
        "_requests",
        "_router",
        "access",
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
        access: AccessLog | None = None,
    ) -> None:
        self._router = router
        self.access = access
        self._requests = requests
        self.services = services
        self.native = native
        self._destinations: Memo[Destination] = Memo(capacity=512, key_limit=1024)
        self.plans: Memo[Plan] = Memo(capacity=512, key_limit=2048)
        self.trusted_plans: Memo[Plan] = Memo(capacity=512, key_limit=2048)

    def __repr__(self) -> str:
        return f"<Site services={len(self.services)} {self._router!r}>"

    def plan(self, raw: bytes, *, trusted: bool) -> Plan:
        """Parse, route and rewrite a head, given without its empty line. Raises MessageError."""
        memo = self.trusted_plans if trusted else self.plans
        plan = memo.young.get(raw)
        if plan is not None:
            return plan
        head = RequestHead(raw)
        destination = self._preflight(head)
        if destination is None:
            key = head.method + head.path
            destination = self._destinations.young.get(key)
            if destination is None:
                destination = self._route(head.method, head.path)
                self._destinations.put(key, destination)
        plan = Plan(head, destination, trusted=trusted)
        memo.put(raw, plan)
        return plan

    def _preflight(self, head: RequestHead) -> Destination | None:
        """Where a preflight goes if the route of the request that it asks for has rules."""
        wanted = preflight_method(head.method, head.lines)
        if wanted is None:
            return None
        try:
            route = self._router.match(wanted, head.path)
        except RouteError:
            return None
        if route.cors is None:
            return None
        series = self._requests.series(head.method, route.label)
        answer = Preflight(route.cors.preflight(head.lines))
        return Destination(self.native, series, head.path, refusal=answer)

    def _route(self, method: bytes, path: bytes) -> Destination:
        try:
            route = self._router.match(method, path)
        except RouteError as error:
            series = self._requests.series(method, error.label)
            # Without its traceback: what is remembered must not hold the frames of a connection.
            return Destination(self.native, series, path, refusal=error.with_traceback(None))
        return Destination(
            self.native if route.service is None else self.services[route.service],
            self._requests.series(method, route.label),
            route.upstream_path(path),
            route.max_body,
            cors=route.cors,
        )
