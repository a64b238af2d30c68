"""The configuration in force: routes and services, and the plan that each request head leads to.

A reload builds a new Site and swaps it in; requests under way keep the plan they began with.
A plan holds all that is the same for equal heads, so that parsing, routing and rewriting are paid
once a head and not once a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from uaitools.errors import ServiceError
from uaitools.proxy.failure import too_large
from uaitools.proxy.headers import NOTHING, Trust, outgoing
from uaitools.proxy.http1.request import RequestHead
from uaitools.proxy.memo import Memo
from uaitools.proxy.reply import Redirect, Reply
from uaitools.proxy.routing import Route, RouteError, Router
from uaitools.proxy.series import Requests, Series
from uaitools.proxy.service import Service

if TYPE_CHECKING:
    from uaitools.proxy.edits import Edits


class Destination:
    """Where requests go that take one route by one path.

    answer: what answers them instead, or None. path: the one the upstream is asked for. route: the
    one that does more than naming a service, or None. shares: where each service of a split is.
    """

    __slots__ = ("answer", "max_body", "path", "route", "series", "service", "shares")

    def __init__(
        self, service: Service, series: Series, path: bytes, max_body: int | None = None
    ) -> None:
        self.service = service
        self.series = series
        self.path = path
        self.max_body = max_body
        self.answer: ServiceError | Reply | None = None
        self.route: Route | None = None
        self.shares: Sequence[Destination] = ()

    def __repr__(self) -> str:
        return f"<Destination {self.service.name} {self.path!r}>"


class Plan:
    """What to do with every request that has this head; never changed once built.

    answer: what answers such requests without an upstream, else None. split: chooses the plan of
    each request instead of this one, or None. prefix: of the outgoing head, see headers.outgoing;
    empty where there is a split. request_id, trace, trace_flags: see headers.Trust. edits: of
    responses, or None. body: as in RequestHead.
    """

    __slots__ = (
        "answer",
        "body",
        "edits",
        "head",
        "is_head",
        "keep_alive",
        "max_body",
        "prefix",
        "request_id",
        "series",
        "service",
        "split",
        "trace",
        "trace_flags",
    )

    def __init__(self, head: RequestHead, destination: Destination, *, trusted: bool) -> None:
        self.head = head
        self.service = destination.service
        self.series = destination.series
        self.answer = destination.answer
        self.max_body = destination.max_body
        self.body = head.body
        # Bytes behind an upgrade that is refused were meant for a tunnel: they are no request.
        self.keep_alive = head.keep_alive and not head.websocket
        self.is_head = head.method == b"HEAD"
        self.split: Fork | None = None
        self.edits: Edits | None = None
        controls = head.controls
        trust = Trust(controls.trust, trusted=trusted) if controls.trust else NOTHING
        route = destination.route
        if route is None:
            self.prefix = outgoing(head, destination.path, trust)
        else:
            self._follow(route, destination, trust, trusted=trusted)
        if self.max_body is not None and self.body > self.max_body:
            self.answer = too_large(self.max_body)
        self.request_id = trust.request_id
        self.trace = trust.trace
        self.trace_flags = trust.trace_flags

    def __repr__(self) -> str:
        return f"<Plan {self.head!r} -> {self.service.name}>"

    def _follow(
        self, route: Route, destination: Destination, trust: Trust, *, trusted: bool
    ) -> None:
        """Do what a route asks for beside naming a service."""
        head = self.head
        self.edits = route.response_edits
        if isinstance(route.answer, Redirect):
            self.answer = route.answer.reply(head, route)
        if destination.shares:
            self.split = Fork(head, destination, trust.chain, trusted=trusted)
            self.prefix = b""
        else:
            edits, host = route.request_edits, route.host_header
            self.prefix = outgoing(head, destination.path, trust, edits, host)


class Fork:
    """The plans of one head whose route is split, each made when it is first chosen."""

    __slots__ = ("_destination", "_fixed", "_head", "_plans", "_split", "_trusted")

    def __init__(
        self, head: RequestHead, destination: Destination, chain: bytes, *, trusted: bool
    ) -> None:
        assert destination.route is not None
        assert destination.route.split is not None
        split = self._split = destination.route.split
        self._head = head
        self._destination = destination
        self._trusted = trusted
        self._plans: list[Plan | None] = [None for _ in destination.shares]
        key = split.key(head.lines)
        if split.by_address and chain:
            # Behind a trusted proxy: the client that its first one saw. It may be made up, which
            # lets its client choose a side, and nothing else.
            key = chain.partition(b",")[0].strip(b" \t")
        self._fixed = None if key is None else split.place(key)

    def __repr__(self) -> str:
        return f"<Fork {self._head!r} {self._split!r}>"

    def choose(self, address: bytes, digits: bytes) -> tuple[Plan, bytes]:
        """The plan of one request, and lines to add to its answer.

        address: the peer's. digits: 48 random hex digits.
        """
        split, index, lines = self._split, self._fixed, b""
        if index is None:
            if split.by_address:
                index = split.place(address)
            elif split.cookie:
                value = digits[-16:]
                index = split.place(value)
                cookie = (split.cookie, value)
                lines = b"Set-Cookie: %b=%b; Path=/; HttpOnly; SameSite=Lax\r\n" % cookie
            else:
                index = split.at(int(digits[-8:], 16))
        plan = self._plans[index]
        if plan is None:
            share = self._destination.shares[index]
            plan = self._plans[index] = Plan(self._head, share, trusted=self._trusted)
        return plan, lines


class Site:
    """Router and services, with a memo of plans for trusted and one for other peers."""

    __slots__ = (
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
    ) -> None:
        self._router = router
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
        router = self._router
        key = head.method + head.path if router.plain else router.key(head)
        destination = self._destinations.young.get(key)
        if destination is None:
            destination = self._route(head)
            self._destinations.put(key, destination)
        plan = Plan(head, destination, trusted=trusted)
        memo.put(raw, plan)
        return plan

    def _route(self, head: RequestHead) -> Destination:
        method, path = head.method, head.path
        try:
            route = self._router.match(method, path, head.host, head.lines, head.query)
        except RouteError as error:
            series = self._requests.series(method, error.label)
            refused = Destination(self.native, series, path)
            # Without its traceback: what is remembered must not hold the frames of a connection.
            refused.answer = error.with_traceback(None)
            return refused
        series = self._requests.series(method, route.label)
        service = self.native if route.service is None else self.services[route.service]
        destination = Destination(service, series, route.upstream_path(path), route.max_body)
        if not route.plain:
            destination.route = route
            if isinstance(route.answer, Reply):
                destination.answer = route.answer.edited(route.response_edits)
            if route.split is not None:
                destination.shares = [
                    self._share(destination, self.services[name]) for name in route.split.services
                ]
        return destination

    @staticmethod
    def _share(whole: Destination, service: Service) -> Destination:
        share = Destination(service, whole.series, whole.path, whole.max_body)
        share.route = whole.route
        return share
