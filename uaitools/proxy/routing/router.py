"""Which route a request takes: native paths first, then the most specific route.

Order of preference: the host (exact, longest wildcard, any), the path (exact; templates, those
with more literal segments first; prefixes, the longest first), then more conditions on headers,
query and method, then the order of the file. The routes of the first host and path whose other
conditions hold decide alone: a method that none of them takes is a 405 and falls through to no
wider route. Paths arrive normalised (http1.target), so a rule sees what the upstream will see.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from uaitools.errors import ServiceError
from uaitools.proxy.http1.grammar import COMMON_METHODS
from uaitools.proxy.memo import Memo
from uaitools.proxy.patience import Overrides
from uaitools.proxy.routing.conditions import Condition, Facts, Question
from uaitools.proxy.routing.cors import Cors
from uaitools.proxy.routing.hosts import ANY, Hosts
from uaitools.proxy.routing.paths import Level, Paths
from uaitools.proxy.routing.pattern import EXACT, PREFIX, fill, parse_pattern

if TYPE_CHECKING:
    from uaitools.proxy.guards.guard import Guard
    from uaitools.proxy.http1.request import RequestHead
    from uaitools.proxy.routing.edits import Edits
    from uaitools.proxy.routing.reply import Redirect, Reply
    from uaitools.proxy.routing.split import Split

_NOT_TAKEN: Final = "this path does not take this method; see Allow"


class Route:
    """What requests it takes, and what becomes of them; never changed once built.

    path, exact: see pattern. service: by name, None for the gateway's own application and for
    answers. methods: those allowed, all when empty; GET includes HEAD. rewrite: what replaces the
    prefix, or the whole path of an exact route or a template, or None. max_body: bytes, or None
    for any size. label: the `endpoint` label of metrics. host: see hosts. conditions: all of them
    have to hold. split: the services that share its requests. answer: given without asking a
    service. host_header: the upstream's Host, None for the client's. request_edits,
    response_edits: of header fields. patience: where it differs from the service's. guard: what the
    route asks of requests. cors: rules for pages of other origins, None where that is the
    upstream's business. plain: it only names a service.
    """

    __slots__ = (
        "answer",
        "conditions",
        "cors",
        "guard",
        "host",
        "host_header",
        "label",
        "max_body",
        "methods",
        "path",
        "patience",
        "pattern",
        "plain",
        "request_edits",
        "response_edits",
        "rewrite",
        "service",
        "split",
    )

    def __init__(
        self,
        path: bytes,
        service: str | None,
        methods: frozenset[bytes] = frozenset(),
        *,
        rewrite: bytes | None = None,
        max_body: int | None = None,
        label: str = "",
        host: bytes = b"",
        exact: bool = False,
        conditions: Iterable[Condition] = (),
        split: Split | None = None,
        answer: Reply | Redirect | None = None,
        host_header: bytes | None = None,
        request_edits: Edits | None = None,
        response_edits: Edits | None = None,
        patience: Overrides = Overrides(),  # noqa: B008 - frozen
        guard: Guard | None = None,
        cors: Cors | None = None,
    ) -> None:
        self.path = path
        self.pattern = parse_pattern(path, exact=exact)
        self.service = service
        self.methods = methods
        self.rewrite = rewrite
        self.max_body = max_body
        self.label = label
        self.host = host
        self.conditions = tuple(sorted(conditions, key=_place))
        self.split = split
        self.answer = answer
        self.host_header = host_header
        self.request_edits = request_edits
        self.response_edits = response_edits
        self.patience = patience
        self.guard = guard
        self.cors = cors
        special = (split, answer, host_header, request_edits, response_edits)
        self.plain = all(part is None for part in special)

    def __repr__(self) -> str:
        return f"<Route {self.host.decode()}{self.path.decode()} -> {self.service}>"

    def allows(self, method: bytes) -> bool:
        """Whether requests with `method` may take this route."""
        return (
            not self.methods
            or method in self.methods
            or (method == b"HEAD" and b"GET" in self.methods)
        )

    def upstream_path(self, path: bytes) -> bytes:
        """The path that the upstream is asked for."""
        rewrite = self.rewrite
        if rewrite is None:
            return path
        if self.pattern.kind == PREFIX:
            return rewrite.rstrip(b"/") + path[len(self.path.rstrip(b"/")) :] or b"/"
        if self.pattern.kind == EXACT:
            return rewrite
        return fill(rewrite, self.pattern.parameters(path))


def _place(condition: Condition) -> tuple[str, bytes]:
    return condition.where, condition.name


@dataclass(frozen=True, slots=True)
class NativeRoute:
    """Paths that the gateway's own application answers: one path, or a pattern of them."""

    path: bytes | re.Pattern[bytes]
    route: Route


class RouteError(ServiceError):
    """No route for a request.

    allow: the methods to name in Allow for a 405. label: the `endpoint` label of metrics. codings:
    those to name in Accept-Encoding for a 415.
    """

    def __init__(
        self,
        code: int,
        message: str,
        allow: Iterable[bytes] = (),
        label: str = "unmatched",
        codings: Iterable[bytes] = (),
    ) -> None:
        super().__init__(code, message, "proxy")
        self.label = label
        self.allow = b", ".join(sorted(allow))
        self.codings = b", ".join(sorted(codings))


class Router:
    """An immutable table of routes.

    native: the gateway's own paths, which win. beside: routes to functions of a mounted component,
    by method and path, which win over those. nothing: what is said of a request that none matches.
    plain: routes look at method and path only.
    """

    __slots__ = (
        "_anywhere",
        "_beside",
        "_by_host",
        "_conditional",
        "_hosts",
        "_native",
        "_nothing",
        "_patterns",
        "_questions",
        "plain",
    )

    def __init__(
        self,
        routes: Iterable[Route],
        native: Sequence[NativeRoute] = (),
        beside: Mapping[tuple[bytes, bytes], Route] | None = None,
        nothing: str = "no route matches this request; see the routes in the configuration",
    ) -> None:
        self._nothing = nothing
        self._beside = beside or {}
        self._native = {n.path: n.route for n in native if isinstance(n.path, bytes)}
        self._patterns = [(n.path, n.route) for n in native if not isinstance(n.path, bytes)]
        self._anywhere = Paths()  # of routes without a host
        self._hosts: Hosts[Paths] = Hosts()
        self._hosts.put(ANY, self._anywhere)
        self._by_host = self._conditional = False
        self._questions: Memo[list[Question]] = Memo(capacity=512, key_limit=1024)
        for order, route in enumerate(routes):
            paths = self._hosts.get(route.host)
            if paths is None:
                paths = Paths()
                self._hosts.put(route.host, paths)
            paths.add(route, order)
            self._by_host = self._by_host or route.host != b""
            self._conditional = self._conditional or route.conditions != ()
        self.plain = not (self._by_host or self._conditional)

    def __repr__(self) -> str:
        native = len(self._native) + len(self._patterns)
        return f"<Router hosts={len(self._hosts)} native={native} plain={self.plain}>"

    def match(
        self,
        method: bytes,
        path: bytes,
        host: bytes | None = None,
        lines: bytes = b"",
        query: bytes = b"",
    ) -> Route:
        """The route for a request, given by parts of its head. Raises RouteError 404 or 405."""
        own = self._own(path)
        if own is not None:
            beside = self._beside.get((method, path))
            if beside is not None:
                return beside
            if method not in COMMON_METHODS:
                raise RouteError(405, _NOT_TAKEN, COMMON_METHODS, own.label)
            return own
        facts: Facts | None = None
        for level in self._levels(path, host):
            routes = level.plain
            if level.conditional:
                if facts is None:
                    facts = Facts(lines, query)
                routes = level.candidates(facts)
            if routes:
                return _allowed(routes, method)
        raise RouteError(404, self._nothing)

    def key(self, head: RequestHead) -> bytes:
        """What `match` looks at in a head, and no more: heads with one key take one route.

        Of the host it is the pattern that takes it, of a field or parameter which of the values
        that routes name it has: clients cannot make up keys without end.
        """
        key = head.method + head.path
        if self._by_host:
            # No pattern and no method has a space in it.
            key = self._hosts.best(head.host) + b" " + key
        if self._conditional:
            questions = self._questions.young.get(key)
            if questions is None:
                questions = _questions(self._levels(head.path, head.host))
                self._questions.put(key, questions)
            if questions:
                facts = Facts(head.lines + head.credentials, head.query)
                key += b" " + b",".join([question.code(facts) for question in questions])
        return key

    def _levels(self, path: bytes, host: bytes | None) -> list[Level]:
        if not self._by_host:
            return self._anywhere.levels(path)
        found: list[Level] = []
        for paths in self._hosts.candidates(host):
            found += paths.levels(path)
        return found

    def _own(self, path: bytes) -> Route | None:
        own = self._native.get(path)
        if own is None:
            for pattern, route in self._patterns:
                if pattern.fullmatch(path) is not None:
                    return route
        return own


def _questions(levels: Iterable[Level]) -> list[Question]:
    """What decides among levels, up to the first that asks nothing."""
    values: dict[tuple[str, bytes], set[bytes]] = {}
    for level in levels:
        for condition in level.conditions:
            known = values.setdefault((condition.where, condition.name), set())
            if condition.value is not None:
                known.add(condition.value)
        if level.plain:
            break
    return [Question(where, name, known) for (where, name), known in values.items()]


def _allowed(routes: list[Route], method: bytes) -> Route:
    for route in routes:
        if route.allows(method):
            return route
    allow = frozenset().union(*(route.methods for route in routes))
    if b"GET" in allow:
        allow |= {b"HEAD"}
    raise RouteError(405, _NOT_TAKEN, allow, routes[0].label)
