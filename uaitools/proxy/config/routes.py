"""`[[proxy.routes]]`: which requests go where."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from uaitools.config import Model
from uaitools.cors import CorsSettings
from uaitools.limits.config import LimitSettings
from uaitools.proxy.config.actions import (
    FieldEdits,
    FixedResponse,
    RedirectTo,
    Target,
    editable,
)
from uaitools.proxy.config.units import Count, Seconds
from uaitools.proxy.guards.hooks import load_hook
from uaitools.proxy.http1.grammar import AUTHORITY, MessageError
from uaitools.proxy.http1.target import normalise
from uaitools.proxy.routing.pattern import PREFIX, Pattern, parse_pattern, placeholders

_PATH: Final = re.compile(r"/[!$&'()*+,;=:@%A-Za-z0-9\-._~/{}]*")
_HOST: Final = re.compile(r"(?:\*\.)?[a-z0-9_\-]+(?:\.[a-z0-9_\-]+)*|\[[0-9a-f:.]+\]")
_METHOD: Final = re.compile(r"[A-Z]{1,32}")
_STICKY: Final = re.compile(r"(?:(?:cookie|header):[!#$%&'*+\-.^_`|~0-9A-Za-z]+|address)?")
_CONDITIONS: Final = 16  # of one route
_TARGETS: Final = 16
# A scope or a role: RFC 6749 3.3.
Name = Annotated[str, StringConstraints(pattern=r"^[!#-\[\]-~]{1,128}$")]


class RouteTimeouts(Model):
    """Patience with an upstream in seconds where a route's differs from its service's Timeouts."""

    connect: Seconds | None = None
    first_byte: Seconds | None = None
    between_bytes: Seconds | None = None


class RouteSettings(Model):
    """One route: what it takes, and what becomes of it.

    path: a prefix; a template if it has parameters, /users/{id}; with `exact` that path alone.
    host: `a.example.org` or `*.example.org`, any when empty. methods: those allowed, all when
    empty. headers, query: what a request must have, "*" for any value. Then one of: service;
    split, with `sticky`; redirect; respond. rewrite: replaces the prefix, or the whole path of
    others. host_header: the upstream's Host instead of the client's. max_body: bytes.

    auth: whether credentials are needed, looked at, or left to the service; None for what
    `proxy.auth_enabled` says. scopes: all are needed. roles: one is. forward_credentials: the
    service gets them, too. allow, deny: networks of clients. limits: of requests, all of which have
    to admit one; None for `proxy.rate_limit`. concurrency: requests of one caller under way at
    once, in one worker. hooks: `package.module:function` each; hook_timeout: seconds, hook_body:
    bytes for all of them. timeout: seconds from a request's head to the last byte of its answer,
    retries included. cors: what pages of other origins may do; left out, that is the
    upstream's business.
    """

    path: str
    host: str = ""
    exact: bool = False
    methods: tuple[str, ...] = ()
    headers: Annotated[dict[str, str], Field(max_length=_CONDITIONS)] = Field(default_factory=dict)
    query: Annotated[dict[str, str], Field(max_length=_CONDITIONS)] = Field(default_factory=dict)
    service: str | None = None
    split: Annotated[tuple[Target, ...], Field(max_length=_TARGETS)] = ()
    sticky: str = ""
    redirect: RedirectTo | None = None
    respond: FixedResponse | None = None
    rewrite: str | None = None
    host_header: str | None = None
    request_headers: FieldEdits = FieldEdits()
    response_headers: FieldEdits = FieldEdits()
    max_body: Annotated[int, Field(ge=0)] | None = None
    auth: Literal["none", "optional", "required"] | None = None
    scopes: frozenset[Name] = frozenset()
    roles: frozenset[Name] = frozenset()
    forward_credentials: bool = False
    allow: tuple[IPv4Network | IPv6Network, ...] = ()
    deny: tuple[IPv4Network | IPv6Network, ...] = ()
    limits: tuple[LimitSettings, ...] | None = None
    concurrency: Count | None = None
    hooks: tuple[str, ...] = ()
    hook_timeout: Seconds = 5
    hook_body: Annotated[int, Field(ge=0, le=1 << 30)] = 1 << 20
    timeouts: RouteTimeouts = RouteTimeouts()
    timeout: Seconds | None = None
    cors: CorsSettings | None = None

    @field_validator("path", "rewrite")
    @classmethod
    def _path(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not _PATH.fullmatch(value):
            raise ValueError("a path begins with '/' and has no query; other bytes are escaped")
        try:
            normal = normalise(value.encode()).decode()
        except MessageError as error:
            raise ValueError(error.message) from error
        if normal != value:
            # Requests are matched in this form: any other spelling would match none of them.
            raise ValueError(f"a path is written in its normal form, {normal}")
        if value.endswith("*"):
            raise ValueError("a path is a prefix already: leave out the '*'")
        return value

    @field_validator("hooks")
    @classmethod
    def _hooks(cls, hooks: tuple[str, ...]) -> tuple[str, ...]:
        for hook in hooks:
            load_hook(hook)
        return hooks

    @model_validator(mode="after")
    def _hooks_of_a_service(self) -> Self:
        if self.hooks and not self.service_names:
            raise ValueError("hooks are for routes to a service; this one answers by itself")
        return self

    @model_validator(mode="after")
    def _scopes_of_somebody(self) -> Self:
        if self.auth == "none" and (self.scopes or self.roles):
            raise ValueError('scopes and roles need auth = "required" or "optional"')
        return self

    @field_validator("path")
    @classmethod
    def _pattern(cls, path: str) -> str:
        parse_pattern(path.encode())
        return path

    @field_validator("host")
    @classmethod
    def _host(cls, host: str) -> str:
        name = host.lower().removesuffix(".")
        if name and not _HOST.fullmatch(name):
            raise ValueError("a host is a name without port, a.example.org or *.example.org")
        return name

    @field_validator("host_header")
    @classmethod
    def _authority(cls, host: str | None) -> str | None:
        if host is not None and not AUTHORITY.fullmatch(host.encode("ascii", "replace")):
            raise ValueError("a Host header is a host with an optional port")
        return host

    @field_validator("methods")
    @classmethod
    def _methods(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        for method in methods:
            if not _METHOD.fullmatch(method):
                raise ValueError(f"{method!r} is not a method; methods are upper-case: GET")
        return methods

    @field_validator("headers")
    @classmethod
    def _headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            editable(name)
            if value != value.strip(" \t"):
                raise ValueError("a header's value has no space at its ends")
        if len({name.lower() for name in headers}) < len(headers):
            raise ValueError("a header stands here twice; names are the same in any case")
        return headers

    @field_validator("split")
    @classmethod
    def _shares(cls, split: tuple[Target, ...]) -> tuple[Target, ...]:
        if len({target.service for target in split}) < len(split):
            raise ValueError("a service stands in a split once; give it the sum of its weights")
        if split and not any(target.weight for target in split):
            raise ValueError("a split needs a weight that is not 0")
        return split

    @field_validator("sticky")
    @classmethod
    def _key(cls, sticky: str) -> str:
        if not _STICKY.fullmatch(sticky):
            raise ValueError("sticky is 'cookie:NAME', 'header:NAME' or 'address'")
        if sticky.startswith("header:"):
            editable(sticky.removeprefix("header:"))
        return sticky

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        actions = (self.service, self.split or None, self.redirect, self.respond)
        if sum(action is not None for action in actions) != 1:
            raise ValueError("a route has one of service, split, redirect and respond")
        if self.sticky and not self.split:
            raise ValueError("sticky is for a split: a service has one side only")
        pattern = self.pattern
        names = frozenset(name.decode() for name in (*pattern.names, pattern.tail) if name)
        if self.redirect is not None and (unknown := self.redirect.unknown(names)):
            raise ValueError(f"the redirect's {{{unknown[0]}}} is no parameter of the path")
        if self.rewrite is not None:
            self._check_rewrite(self.rewrite, pattern)
        return self

    def _check_rewrite(self, rewrite: str, pattern: Pattern) -> None:
        """The upstream must see a normal path whatever the parameters are."""
        if not self.service_names:
            raise ValueError("only a route to a service has a rewrite")
        used = placeholders(rewrite.encode())
        unknown = [name for name in used if name not in (*pattern.names, pattern.tail)]
        if unknown:
            raise ValueError(f"the rewrite's {{{unknown[0].decode()}}} is no parameter of the path")
        *inner, last = rewrite.split("/")
        parts = [*inner, last]
        if any(("{" in part or "}" in part) and not _whole(part) for part in parts):
            raise ValueError("in a rewrite a parameter is a whole segment: /v2/{id}")
        if pattern.tail and f"{{{pattern.tail.decode()}}}" in inner:
            raise ValueError("in a rewrite the parameter that takes the rest stands at the end")

    @property
    def pattern(self) -> Pattern:
        """What the path takes. Raises ValueError for `exact` with parameters."""
        return parse_pattern(self.path.encode(), exact=self.exact)

    @property
    def service_names(self) -> tuple[str, ...]:
        """The services that may get a request of this route."""
        return (self.service,) if self.service else tuple(t.service for t in self.split)

    @property
    def label(self) -> str:
        """The `endpoint` label of metrics."""
        return self.host + self.path

    @property
    def conditions(self) -> frozenset[tuple[str, str, str]]:
        """What it asks beside host, path and method, in one spelling."""
        return frozenset(
            [
                *(("header", name.lower(), value) for name, value in self.headers.items()),
                *(("query", name, value) for name, value in self.query.items()),
            ]
        )

    @property
    def anyone(self) -> bool:
        """Whether it takes whatever is below its path: no host, no conditions, no exact path."""
        return not (self.host or self.conditions) and self.pattern.kind == PREFIX

    def collides(self, method: str) -> object:
        """Equal for two routes of which only one could ever take `method`."""
        pattern = self.pattern
        shape = (pattern.kind, pattern.segments, bool(pattern.tail))
        return (self.host, shape, self.conditions, method)


def _whole(part: str) -> bool:
    return placeholders(part.encode()) == [part[1:-1].encode()]


DEFAULT_ROUTES = (
    RouteSettings(path="/api/chat", methods=("POST",), service="llm-router"),
    RouteSettings(path="/api/memory", service="memory", rewrite="/memories"),
)
