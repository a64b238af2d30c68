"""`[[proxy.routes]]`: which requests go where."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from uaitools.config import Model
from uaitools.proxy.config.units import Count, Seconds
from uaitools.proxy.hooks import load_hook
from uaitools.proxy.http1.grammar import MessageError
from uaitools.proxy.http1.target import normalise

_PATH: Final = re.compile(r"/[!$&'()*+,;=:@%A-Za-z0-9\-._~/]*")
_METHOD: Final = re.compile(r"[A-Z]{1,32}")
# A scope or a role: RFC 6749 3.3.
Name = Annotated[str, StringConstraints(pattern=r"^[!#-\[\]-~]{1,128}$")]


class RouteTimeouts(Model):
    """Patience with an upstream in seconds where a route's differs from its service's Timeouts."""

    connect: Seconds | None = None
    first_byte: Seconds | None = None
    between_bytes: Seconds | None = None


class RouteSettings(Model):
    """One route: requests whose path begins with `path` go to `service`.

    methods: those allowed, all when empty. rewrite: replaces the prefix. max_body: bytes.

    auth: whether credentials are needed, looked at, or left to the service; None for what
    `proxy.auth_enabled` says. scopes: all are needed. roles: one is. forward_credentials: the
    service gets them, too. allow, deny: networks of clients. concurrency: requests of one caller
    under way at once, in one worker. hooks: `package.module:function` each; hook_timeout: seconds,
    hook_body: bytes for all of them.
    timeout: seconds from a request's head to the last byte of its answer, retries included.
    """

    path: str
    service: str
    methods: tuple[str, ...] = ()
    rewrite: str | None = None
    max_body: Annotated[int, Field(ge=0)] | None = None
    auth: Literal["none", "optional", "required"] | None = None
    scopes: frozenset[Name] = frozenset()
    roles: frozenset[Name] = frozenset()
    forward_credentials: bool = False
    allow: tuple[IPv4Network | IPv6Network, ...] = ()
    deny: tuple[IPv4Network | IPv6Network, ...] = ()
    concurrency: Count | None = None
    hooks: tuple[str, ...] = ()
    hook_timeout: Seconds = 5
    hook_body: Annotated[int, Field(ge=0, le=1 << 30)] = 1 << 20
    timeouts: RouteTimeouts = RouteTimeouts()
    timeout: Seconds | None = None

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
    def _scopes_of_somebody(self) -> Self:
        if self.auth == "none" and (self.scopes or self.roles):
            raise ValueError('scopes and roles need auth = "required" or "optional"')
        return self

    @field_validator("methods")
    @classmethod
    def _methods(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        for method in methods:
            if not _METHOD.fullmatch(method):
                raise ValueError(f"{method!r} is not a method; methods are upper-case: GET")
        return methods


DEFAULT_ROUTES = (
    RouteSettings(path="/api/chat", methods=("POST",), service="llm-router"),
    RouteSettings(path="/api/memory", service="memory", rewrite="/memories"),
)
