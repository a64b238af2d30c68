"""The rules of docs/routing.md, written down plainly: every route is looked at for every request.

The oracle of the router's tests. It shares nothing with the index: paths are regular expressions,
headers and parameters are parsed by other libraries.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from uaitools.proxy.routing.conditions import HEADER, QUERY, Condition
from uaitools.proxy.routing.router import Route


@dataclass(frozen=True)
class Spec:
    """A route as its configuration has it."""

    path: str
    host: str = ""
    exact: bool = False
    methods: tuple[str, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)

    def route(self, name: str) -> Route:
        """The same for the router."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = ((HEADER, headers), (QUERY, self.query))
        return Route(
            self.path.encode(),
            name,
            frozenset(method.encode() for method in self.methods),
            host=self.host.encode(),
            exact=self.exact,
            conditions=[
                Condition(where, key.encode(), None if value == "*" else value.encode())
                for where, values in asked
                for key, value in values.items()
            ],
        )


@dataclass(frozen=True)
class Request:
    """What a router looks at."""

    method: str
    path: str
    host: str = "a"
    headers: tuple[tuple[str, str], ...] = ()
    query: str = ""

    @property
    def head(self) -> bytes:
        """On the wire."""
        query = f"?{self.query}" if self.query else ""
        lines = "".join(f"\r\n{name}: {value}" for name, value in self.headers)
        return f"{self.method} {self.path}{query} HTTP/1.1\r\nHost: {self.host}{lines}".encode()


def decide(specs: Sequence[Spec], request: Request) -> int | tuple[int, frozenset[str]]:
    """The index of the route, or the status of the refusal and what Allow names."""
    found = [
        index
        for index, spec in enumerate(specs)
        if _host(spec, request) and _path(spec, request.path) and _conditions(spec, request)
    ]
    if not found:
        return 404, frozenset()
    found.sort(key=lambda index: (*_preference(specs[index]), index))
    first = _level(specs[found[0]])
    level = [index for index in found if _level(specs[index]) == first]
    for index in level:
        methods = specs[index].methods
        as_get = request.method == "HEAD" and "GET" in methods
        if not methods or request.method in methods or as_get:
            return index
    allowed = frozenset().union(*(specs[index].methods for index in level))
    return 405, allowed | ({"HEAD"} if "GET" in allowed else set())


def _host(spec: Spec, request: Request) -> bool:
    host = re.sub(r":\d*$", "", request.host.lower()).removesuffix(".")
    if not spec.host:
        return True
    if spec.host.startswith("*."):
        return host.endswith(spec.host[1:]) and host != spec.host[1:]
    return host == spec.host


def _path(spec: Spec, path: str) -> bool:
    if spec.exact:
        return path == spec.path
    if "{" not in spec.path:
        return f"{path}/".startswith(spec.path.rstrip("/") + "/")
    pattern = re.escape(spec.path).replace(r"\{", "{").replace(r"\}", "}").replace(r"\.", ".")
    pattern = re.sub(r"\{\w+\.\.\.\}", ".*", pattern)
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path) is not None


def _conditions(spec: Spec, request: Request) -> bool:
    for name, wanted in spec.headers.items():
        values = [value for key, value in request.headers if key.lower() == name.lower()]
        if not values or wanted not in ("*", ", ".join(values)):
            return False
    pairs = parse_qsl(request.query, keep_blank_values=True)
    for name, wanted in spec.query.items():
        values = [value for key, value in pairs if key == name]
        if not values or wanted not in ("*", "&".join(values)):
            return False
    return True


def _preference(spec: Spec) -> tuple[object, ...]:
    """Smaller is asked first; only for specs that take one request."""
    host = (not spec.host, spec.host.startswith("*."), -len(spec.host))
    demand = -len(spec.headers) - len(spec.query) - bool(spec.methods)
    return (*host, *_width(spec), demand)


def _width(spec: Spec) -> tuple[object, ...]:
    if spec.exact:
        return (0,)
    segments = (
        spec.path.rstrip("/").split("/")[1:] if "{" not in spec.path else (spec.path.split("/")[1:])
    )
    tail = bool(segments) and segments[-1].endswith("...}")
    if tail:
        segments = segments[:-1]
    free = [segment.startswith("{") for segment in segments]
    if "{" in spec.path and not tail:
        return (1, sum(free), *free)
    return (2, -len(segments), sum(free), *free, not tail)


def _level(spec: Spec) -> tuple[object, ...]:
    """What is equal for routes of one host and one path."""
    path = re.sub(r"\{\w+", "{", spec.path)
    if "{" not in path and not spec.exact:
        path = path.rstrip("/")
    return spec.host, spec.exact, path
