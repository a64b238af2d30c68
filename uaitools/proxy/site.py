"""The configuration in force: routes and services, and the plan that each request head leads to.

A reload builds a new Site and swaps it in; requests under way keep the plan they began with.
A plan holds all that is the same for equal heads, so that parsing, routing and rewriting are paid
once a head and not once a request.
"""

from __future__ import annotations

from collections.abc import Mapping

from uaitools.errors import ServiceError
from uaitools.proxy.failure import too_large
from uaitools.proxy.headers import NOTHING, Trust, outgoing
from uaitools.proxy.http1.request import RequestHead
from uaitools.proxy.memo import Memo
from uaitools.proxy.routing import RouteError, Router
from uaitools.proxy.series import Requests, Series
from uaitools.proxy.service import Service


class Destination:
    """Where requests of one method and path go.

    refusal: the error that answers them instead, or None. path: the one the upstream is asked for.
    """

    __slots__ = ("max_body", "path", "refusal", "series", "service")

    def __init__(
        self,
        service: Service,
        series: Series,
        path: bytes,
        max_body: int | None = None,
        refusal: ServiceError | None = None,
    ) -> None:
        self.service = service
        self.series = series
        self.path = path
        self.max_body = max_body
        self.refusal = refusal

    def __repr__(self) -> str:
        return f"<Destination {self.service.name} {self.path!r}>"


class Plan:
    """What to do with every request that has this head; never changed once built.

    refusal: the error that answers such requests, else None. prefix: of the outgoing head, see
    headers.outgoing. added: as in Exchange. request_id, trace, trace_flags: see headers.Trust.
    body: as in RequestHead.
    """

    __slots__ = (
        "added",
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
        destination: Destination,
        *,
        trusted: bool,
        scheme: bytes = b"http",
        added: bytes = b"",
        identity: bytes = b"",
    ) -> None:
        self.head = head
        self.added = added
        self.service = destination.service
        self.series = destination.series
        self.refusal = destination.refusal
        self.max_body = destination.max_body
        self.body = head.body
        # Bytes behind an upgrade that is refused were meant for a tunnel: they are no request.
        self.keep_alive = head.keep_alive and not head.websocket
        self.is_head = head.method == b"HEAD"
        if self.max_body is not None and self.body > self.max_body:
            self.refusal = too_large(self.max_body)
        controls = head.controls
        trust = Trust(controls.trust, trusted=trusted) if controls.trust else NOTHING
        self.prefix = outgoing(head, destination.path, trust, scheme, identity)
        self.request_id = trust.request_id
        self.trace = trust.trace
        self.trace_flags = trust.trace_flags

    def __repr__(self) -> str:
        return f"<Plan {self.head!r} -> {self.service.name}>"


class Site:
    """Router and services, with a memo of plans for trusted and one for other peers.

    scheme: of clients' connections. added: lines for the head of every answer, each ended by CR LF.
    """

    __slots__ = (
        "_destinations",
        "_identified_plans",
        "_requests",
        "_router",
        "_scheme",
        "added",
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
        *,
        scheme: bytes = b"http",
        added: bytes = b"",
    ) -> None:
        self._router = router
        self._scheme = scheme
        self.added = added
        self._requests = requests
        self.services = services
        self.native = native
        self._destinations: Memo[Destination] = Memo(capacity=512, key_limit=1024)
        self.plans: Memo[Plan] = Memo(capacity=512, key_limit=2048)
        self.trusted_plans: Memo[Plan] = Memo(capacity=512, key_limit=2048)
        self._identified_plans: Memo[Plan] = Memo(capacity=512, key_limit=4096)

    def __repr__(self) -> str:
        return f"<Site services={len(self.services)} {self._router!r}>"

    def plan(self, raw: bytes, *, trusted: bool, identity: bytes = b"") -> Plan:
        """Parse, route and rewrite a head, given without its empty line. Raises MessageError.

        identity: of a client with a certificate; a trusted proxy's is not its client's.
        """
        memo, key = self.trusted_plans if trusted else self.plans, raw
        if identity and not trusted:
            # No head has an empty line within it: nobody can ask for another one's plan.
            memo, key = self._identified_plans, identity + b"\r\n\r\n" + raw
        plan = memo.young.get(key)
        if plan is not None:
            return plan
        head = RequestHead(raw)
        target = head.method + head.path
        destination = self._destinations.young.get(target)
        if destination is None:
            destination = self._route(head.method, head.path)
            self._destinations.put(target, destination)
        plan = Plan(
            head,
            destination,
            trusted=trusted,
            scheme=self._scheme,
            added=self.added,
            identity=b"" if trusted else identity,
        )
        memo.put(key, plan)
        return plan

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
        )
