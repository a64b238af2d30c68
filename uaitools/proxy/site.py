"""The configuration in force: routes and services, and the plan that each request head leads to.

A reload builds a new Site and swaps it in; requests under way keep the plan they began with.
A plan holds all that is the same for equal heads, so that parsing, routing and rewriting are paid
once a head and not once a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from uaitools.errors import ServiceError
from uaitools.proxy.deadlines import Deadlines
from uaitools.proxy.failure import too_large
from uaitools.proxy.headers import Trust, outgoing
from uaitools.proxy.http1.request import NO_CONTROLS, RequestHead
from uaitools.proxy.memo import Memo
from uaitools.proxy.patience import NEVER, Overrides, Patience
from uaitools.proxy.routing.cors import Cors, Preflight, preflight_method
from uaitools.proxy.routing.reply import Redirect, Reply
from uaitools.proxy.routing.router import Route, RouteError, Router
from uaitools.proxy.series import Requests, Series
from uaitools.proxy.service import Service

if TYPE_CHECKING:
    from uaitools.proxy.access.log import AccessLog
    from uaitools.proxy.affinity import Preference
    from uaitools.proxy.guards.guard import Caller, Guard
    from uaitools.proxy.routing.edits import Edits


class Destination:
    """Where requests go that take one route by one path.

    answer: what answers them instead, or None. path: the one the upstream is asked for. deadlines:
    where requests are kept that have one. overrides: where the route's patience differs from the
    service's. added: lines for the answers' heads. cors: the route's rules, or None. route: the one
    that does more than naming a service, or None. guard: what it asks of requests, or None. shares:
    where each service of a split is.
    """

    __slots__ = (
        "added",
        "answer",
        "bounded",
        "cors",
        "deadlines",
        "guard",
        "max_body",
        "overrides",
        "path",
        "patience",
        "route",
        "series",
        "service",
        "shares",
        "timeout",
    )

    def __init__(
        self,
        service: Service,
        series: Series,
        path: bytes,
        deadlines: Deadlines,
        *,
        added: bytes = b"",
        max_body: int | None = None,
        overrides: Overrides = Overrides(),  # noqa: B008 - frozen
        cors: Cors | None = None,
    ) -> None:
        self.added = added
        self.cors = cors
        self.service = service
        self.series = series
        self.path = path
        self.deadlines = deadlines
        self.max_body = max_body
        self.overrides = overrides
        patience: Patience = overrides.over(service.policy)
        self.patience = patience
        self.timeout = patience.total
        self.bounded = deadlines if patience.total != NEVER else None  # none where there is none
        self.answer: ServiceError | Reply | Preflight | None = None
        self.route: Route | None = None
        self.guard: Guard | None = None
        self.shares: Sequence[Destination] = ()

    def __repr__(self) -> str:
        return f"<Destination {self.service.name} {self.path!r}>"

    def to(self, service: Service, path: bytes) -> Destination:
        """The same for another service, or another path there."""
        other = Destination(
            service,
            self.series,
            path,
            self.deadlines,
            added=self.added,
            max_body=self.max_body,
            overrides=self.overrides,
            cors=self.cors,
        )
        other.route = self.route
        other.guard = self.guard
        return other


class Plan:
    """What to do with every request that has this head; as good as never changed.

    answer: what answers such requests without an upstream, else None. split: chooses the plan of
    each request instead of this one, or None. prefix: of the outgoing head, see headers.outgoing;
    empty where there is a split. request_id, trace, trace_flags: see headers.Trust. edits: of
    responses, or None. body: as in RequestHead. guard: of the route, or None; caller: then, what it
    knows of who sends such requests. expires: when the plan has to be made anew, monotonic.
    timeout: seconds for the whole request, the route's or the client's, whichever is shorter.
    deadlines: where such requests are kept; None when there is no such time. preference: what the
    service's affinity, where it has one, has read in the head. added: lines for the answers' heads.
    cors: the route's rules, or None. logged: what the access log keeps here.
    """

    __slots__ = (
        "added",
        "answer",
        "body",
        "caller",
        "cors",
        "deadlines",
        "destination",
        "edits",
        "expires",
        "guard",
        "head",
        "is_head",
        "keep_alive",
        "logged",
        "max_body",
        "patience",
        "preference",
        "prefix",
        "request_id",
        "series",
        "service",
        "split",
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
        self.answer = destination.answer
        self.max_body = destination.max_body
        self.patience = destination.patience
        self.cors = destination.cors
        self.added = destination.added
        if self.cors is not None:
            self.added += self.cors.lines(head.lines)
        self.body = head.body
        # Bytes behind an upgrade that is refused were meant for a tunnel: they are no request.
        self.keep_alive = head.keep_alive and not head.websocket
        self.is_head = head.method == b"HEAD"
        self.split: Fork | None = None
        self.edits: Edits | None = None
        self.guard = guard = destination.guard
        self.caller: Caller | None = None
        self.expires = NEVER
        identity: bytes | None = None
        if guard is not None:
            caller = self.caller = guard.identify(head, trust, self.service.name, now)
            self.expires = caller.identity.expires
            # Who may not come is told nothing about what is there.
            self.answer = caller.identity.refusal or self.answer
            identity = caller.identity.lines
        route = destination.route
        if route is None:
            self.prefix = outgoing(head, destination.path, trust, identity)
        else:
            self._follow(route, identity)
        if self.max_body is not None and self.body > self.max_body:
            refused = self.caller.identity.refusal if self.caller is not None else None
            self.answer = refused or too_large(self.max_body)
        self.timeout, self.deadlines = destination.timeout, destination.bounded
        controls = head.controls
        if controls is not NO_CONTROLS and controls.timeout is not None:
            self.timeout = min(self.timeout, int(controls.timeout) / 1000)
            self.deadlines = destination.deadlines
        self.request_id = trust.request_id
        self.trace = trust.trace
        self.trace_flags = trust.trace_flags
        self.preference: Preference | None = None
        self.logged: bytes | None = None

    def __repr__(self) -> str:
        return f"<Plan {self.head!r} -> {self.service.name}>"

    def again(self, now: float) -> Plan:
        """The plan for the same head as it is now."""
        return Plan(self.head, self.destination, self.trust, now)

    def revised(self, service: Service, path: bytes, lines: bytes, now: float) -> Plan:
        """The plan for a request that goes elsewhere, or with other lines; same guard and caller.

        lines: those to forward, each after a CR LF.
        """
        destination = self.destination.to(service, path)
        return Plan(self.head.with_lines(lines), destination, self.trust, now)

    def _follow(self, route: Route, identity: bytes | None) -> None:
        """Do what a route asks for beside naming a service."""
        head, destination = self.head, self.destination
        self.edits = route.response_edits
        if isinstance(route.answer, Redirect):
            self.answer = self.answer or route.answer.reply(head, route)
        if destination.shares:
            self.split = Fork(head, destination, self.trust)
            self.prefix = b""
        else:
            edits, host = route.request_edits, route.host_header
            self.prefix = outgoing(
                head, destination.path, self.trust, identity, edits=edits, sent_host=host
            )


class Fork:
    """The plans of one head whose route is split, each made when it is first chosen."""

    __slots__ = ("_destination", "_fixed", "_head", "_plans", "_split", "_trust")

    def __init__(self, head: RequestHead, destination: Destination, trust: Trust) -> None:
        assert destination.route is not None
        assert destination.route.split is not None
        split = self._split = destination.route.split
        self._head = head
        self._destination = destination
        self._trust = trust
        self._plans: list[Plan | None] = [None for _ in destination.shares]
        key = split.key(head.lines + head.credentials)
        if split.by_address and trust.chain:
            # Behind a trusted proxy: the client that its first one saw. It may be made up, which
            # lets its client choose a side, and nothing else.
            key = trust.chain.partition(b",")[0].strip(b" \t")
        self._fixed = None if key is None else split.place(key)

    def __repr__(self) -> str:
        return f"<Fork {self._head!r} {self._split!r}>"

    def choose(self, address: bytes, digits: bytes, now: float) -> tuple[Plan, bytes]:
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
        if plan is None or plan.expires <= now:
            share = self._destination.shares[index]
            plan = self._plans[index] = Plan(self._head, share, self._trust, now)
        return plan, lines


class Site:
    """Router and services, with a memo of plans for trusted and one for other peers.

    scheme: of clients' connections. added: lines for the head of every answer, each ended by CR LF.
    access: the log of all requests, or None.
    """

    __slots__ = (
        "_certified_plans",
        "_deadlines",
        "_destinations",
        "_nothing",
        "_requests",
        "_router",
        "_scheme",
        "access",
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
        deadlines: Deadlines | None = None,
        access: AccessLog | None = None,
        scheme: bytes = b"http",
        added: bytes = b"",
    ) -> None:
        self._deadlines = deadlines if deadlines is not None else Deadlines()
        self._router = router
        self._scheme = scheme
        self._nothing = Trust([], trusted=False, scheme=scheme)  # of most heads
        self.access = access
        self.added = added
        self._requests = requests
        self.services = services
        self.native = native
        self._destinations: Memo[Destination] = Memo(capacity=512, key_limit=1024)
        self.plans: Memo[Plan] = Memo(capacity=512, key_limit=2048)
        self.trusted_plans: Memo[Plan] = Memo(capacity=512, key_limit=2048)
        self._certified_plans: Memo[Plan] = Memo(capacity=512, key_limit=4096)

    def __repr__(self) -> str:
        return f"<Site services={len(self.services)} {self._router!r}>"

    def plan(self, raw: bytes, now: float, *, trusted: bool, certificate: bytes = b"") -> Plan:
        """Parse, route and rewrite a head, given without its empty line. Raises MessageError.

        certificate: lines about that of the client; a trusted proxy's is not its client's.
        """
        memo, key = self.trusted_plans if trusted else self.plans, raw
        if certificate and not trusted:
            # No head has an empty line within it: nobody can ask for another one's plan.
            memo, key = self._certified_plans, certificate + b"\r\n\r\n" + raw
        plan = memo.young.get(key)
        if plan is not None and plan.expires > now:
            return plan
        head = RequestHead(raw)
        destination = self._preflight(head) if head.method == b"OPTIONS" else None
        if destination is None:
            router = self._router
            target = head.method + head.path if router.plain else router.key(head)
            destination = self._destinations.young.get(target)
            if destination is None:
                destination = self._route(head)
                self._destinations.put(target, destination)
        trust = self._nothing
        if certificate or head.controls is not NO_CONTROLS:
            trust = self._trust(head, trusted, certificate)
        plan = Plan(head, destination, trust, now)
        memo.put(key, plan)
        return plan

    def _trust(self, head: RequestHead, trusted: bool, certificate: bytes) -> Trust:
        """What is believed of a head that came by this site's connections."""
        fields = head.controls.trust
        if not fields and (not certificate or trusted):
            return self._nothing
        certificate = b"" if trusted else certificate
        return Trust(fields, trusted=trusted, scheme=self._scheme, certificate=certificate)

    def _preflight(self, head: RequestHead) -> Destination | None:
        """Where a preflight goes if the route of the request that it asks for has rules."""
        wanted = preflight_method(head.method, head.lines)
        if wanted is None:
            return None
        try:
            route = self._router.match(wanted, head.path, head.host, head.lines, head.query)
        except RouteError:
            return None
        if route.cors is None:
            return None
        series = self._requests.series(head.method, route.label)
        destination = Destination(self.native, series, head.path, self._deadlines, added=self.added)
        destination.answer = Preflight(route.cors.preflight(head.lines))
        return destination

    def _route(self, head: RequestHead) -> Destination:
        method, path = head.method, head.path
        try:
            route = self._router.match(
                method, path, head.host, head.lines + head.credentials, head.query
            )
        except RouteError as error:
            series = self._requests.series(method, error.label)
            refused = Destination(self.native, series, path, self._deadlines, added=self.added)
            # Without its traceback: what is remembered must not hold the frames of a connection.
            refused.answer = error.with_traceback(None)
            return refused
        series = self._requests.series(method, route.label)
        service = self.native if route.service is None else self.services[route.service]
        destination = Destination(
            service,
            series,
            route.upstream_path(path),
            self._deadlines,
            added=self.added,
            max_body=route.max_body,
            overrides=route.patience,
            cors=route.cors,
        )
        destination.guard = route.guard
        if not route.plain:
            destination.route = route
            if isinstance(route.answer, Reply):
                destination.answer = route.answer.edited(route.response_edits)
            if route.split is not None:
                destination.shares = [
                    destination.to(self.services[name], destination.path)
                    for name in route.split.services
                ]
                destination.guard = None  # each side has it, and knows its own service
        return destination
