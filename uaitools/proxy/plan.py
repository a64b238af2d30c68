"""What to do with requests: the plan of a head, and where its route goes.

A plan holds all that is the same for equal heads, so that parsing, routing and rewriting are paid
once a head and not once a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from uaitools.errors import ServiceError
from uaitools.proxy.deadlines import Deadlines
from uaitools.proxy.failure import too_large
from uaitools.proxy.headers import Trust, outgoing
from uaitools.proxy.http1.request import NO_CONTROLS, RequestHead
from uaitools.proxy.patience import NEVER, Overrides, Patience
from uaitools.proxy.routing.cors import Cors, Preflight
from uaitools.proxy.routing.reply import Redirect, Reply
from uaitools.proxy.routing.router import Route
from uaitools.proxy.series import Series
from uaitools.proxy.service import Service

if TYPE_CHECKING:
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
