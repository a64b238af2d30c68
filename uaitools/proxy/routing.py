"""Which route a request takes: native paths first, then the longest prefix.

Prefixes match on segment boundaries: `/api/chat` takes `/api/chat` and `/api/chat/7`, not
`/api/chats`. Paths arrive normalised (http1.target), so a rule sees what the upstream will see.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from uaitools.errors import ServiceError
from uaitools.proxy.cors import Cors
from uaitools.proxy.http1.grammar import COMMON_METHODS

_NOT_TAKEN: Final = "this path does not take this method; see Allow"


@dataclass(frozen=True, slots=True)
class Route:
    """Where requests go whose path begins with `path`.

    methods: those allowed, all when empty; GET includes HEAD. service: by name, None for the
    gateway's own application. rewrite: what replaces the prefix, or None. max_body: bytes, or
    None for any size. label: the `endpoint` label of metrics. cors: rules for pages of other
    origins, or None where that is the upstream's business.
    """

    path: bytes
    service: str | None
    methods: frozenset[bytes] = frozenset()
    rewrite: bytes | None = None
    max_body: int | None = None
    label: str = ""
    cors: Cors | None = None

    def allows(self, method: bytes) -> bool:
        """Whether requests with `method` may take this route."""
        return (
            not self.methods
            or method in self.methods
            or (method == b"HEAD" and b"GET" in self.methods)
        )

    def upstream_path(self, path: bytes) -> bytes:
        """The path that the upstream is asked for."""
        if self.rewrite is None:
            return path
        return self.rewrite.rstrip(b"/") + path[len(self.path.rstrip(b"/")) :] or b"/"


@dataclass(frozen=True, slots=True)
class NativeRoute:
    """Paths that the gateway's own application answers: one path, or a pattern of them."""

    path: bytes | re.Pattern[bytes]
    route: Route


class RouteError(ServiceError):
    """No route for a request.

    allow: the methods to name in Allow for a 405. label: the `endpoint` label of metrics.
    """

    def __init__(
        self,
        code: int,
        message: str,
        allow: Iterable[bytes] = (),
        label: str = "unmatched",
    ) -> None:
        super().__init__(code, message, "proxy")
        self.label = label
        self.allow = b", ".join(sorted(allow))


class Router:
    """An immutable table of routes."""

    __slots__ = ("_depth", "_paths", "_patterns", "_prefixes")

    def __init__(self, routes: Iterable[Route], native: Sequence[NativeRoute] = ()) -> None:
        self._paths = {n.path: n.route for n in native if isinstance(n.path, bytes)}
        self._patterns = [(n.path, n.route) for n in native if not isinstance(n.path, bytes)]
        self._prefixes: dict[bytes, list[Route]] = {}
        for route in routes:
            self._prefixes.setdefault(route.path.rstrip(b"/"), []).append(route)
        self._depth = max((prefix.count(b"/") for prefix in self._prefixes), default=0)

    def __repr__(self) -> str:
        native = len(self._paths) + len(self._patterns)
        return f"<Router prefixes={len(self._prefixes)} native={native}>"

    def match(self, method: bytes, path: bytes) -> Route:
        """The route for a request. Raises RouteError 404 or 405."""
        own = self._own(path)
        if own is not None:
            if method not in COMMON_METHODS:
                raise RouteError(405, _NOT_TAKEN, COMMON_METHODS, own.label)
            return own
        # Only as many segments as the deepest prefix has can matter.
        segments = path.split(b"/", self._depth + 1)[: self._depth + 1]
        for count in range(len(segments), 0, -1):
            routes = self._prefixes.get(b"/".join(segments[:count]))
            if routes is not None:
                return _allowed(routes, method)
        raise RouteError(404, "no route matches this path; see the routes in the configuration")

    def _own(self, path: bytes) -> Route | None:
        own = self._paths.get(path)
        if own is None:
            for pattern, route in self._patterns:
                if pattern.fullmatch(path) is not None:
                    return route
        return own


def _allowed(routes: list[Route], method: bytes) -> Route:
    for route in routes:
        if route.allows(method):
            return route
    allow = frozenset().union(*(route.methods for route in routes))
    if b"GET" in allow:
        allow |= {b"HEAD"}
    raise RouteError(405, _NOT_TAKEN, allow, routes[0].label)
