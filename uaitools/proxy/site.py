"""The configuration in force: routes and services, and the plan that each request head leads to.

A reload builds a new Site and swaps it in; requests under way keep the plan they began with.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from uaitools.proxy.deadlines import Deadlines
from uaitools.proxy.headers import Trust
from uaitools.proxy.http1.request import NO_CONTROLS, RequestHead
from uaitools.proxy.memo import Memo
from uaitools.proxy.plan import Destination, Plan
from uaitools.proxy.routing.cors import Preflight, preflight_method
from uaitools.proxy.routing.reply import Reply
from uaitools.proxy.routing.router import RouteError, Router
from uaitools.proxy.series import Requests
from uaitools.proxy.service import Service

if TYPE_CHECKING:
    from uaitools.proxy.access.log import AccessLog


class Site:
    """Router and services, with a memo of plans for trusted and one for other peers.

    scheme: of clients' connections. added: lines for the head of every answer, each ended by CR LF.
    access: the log of all requests, or None. codings: content codings that native paths take; none
    where they say so themselves.
    """

    __slots__ = (
        "_certified_plans",
        "_codings",
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
        codings: frozenset[bytes] = frozenset(),
    ) -> None:
        self._codings = codings
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
            if self._codings and destination.service is self.native:
                destination = self._decoded(head, destination)
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

    def _decoded(self, head: RequestHead, destination: Destination) -> Destination:
        """The same, unless the body is coded in a way that is not taken there."""
        lines = head.lines.lower()
        start = lines.find(b"\r\ncontent-encoding:")
        if start < 0:
            return destination
        coding = lines[start:].split(b":", 1)[1].partition(b"\r\n")[0].strip()
        if coding in self._codings or coding in (b"", b"identity"):
            return destination
        accepted = b" or ".join(sorted(self._codings)).decode()
        message = f"send the body as it is, or with the Content-Encoding {accepted}"
        refused = destination.to(self.native, destination.path)
        refused.guard = None
        refused.answer = RouteError(415, message, codings=self._codings)
        return refused

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
