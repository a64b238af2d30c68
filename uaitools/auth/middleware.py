"""Authentication in front of the handlers of an aiohttp application.

    @needs("memory:write")
    async def create(request: web.Request) -> web.Response:
        owner = request[PRINCIPAL].id

Every handler asks for a credential unless `access` says otherwise. `uaitools.web.application`
installs the middleware; where no authentication is configured, everyone is ANONYMOUS.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from aiohttp import web

from uaitools.auth.credential import API_KEY, AUTHORIZATION, USER_TOKEN, Credential, credential
from uaitools.auth.errors import AuthError
from uaitools.auth.principal import ANONYMOUS, GUEST, Principal, require
from uaitools.cors import PREFLIGHTS
from uaitools.errors import ServiceError

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from uaitools.auth.authenticator import Authenticator

PRINCIPAL: Final = web.RequestKey("principal", Principal)
"""Who sends a request: `request[PRINCIPAL]` in every handler."""

Access = Literal["none", "optional", "required"]

OPERATIONS: Final = "ops:read"
_OPERATIONS_PATHS: Final = frozenset({"/metrics", "/api/status"})
_HEALTH: Final = "/health"
_ACCESS: Final = "__uaitools_access__"

H = TypeVar("H", bound=Callable[..., Awaitable[web.StreamResponse]])


def access(mode: Access) -> Callable[[H], H]:
    """Say whether a handler wants a credential.

    none: it is not looked at. optional: who brings none is GUEST, who brings a wrong one is
    refused. Use it outermost: where another decorator hides it, a credential is required.
    """

    def mark(handler: H) -> H:
        setattr(handler, _ACCESS, mode)
        return handler

    return mark


def needs(
    *scopes: str, roles: Iterable[str] = ()
) -> Callable[[H], Callable[..., Awaitable[web.StreamResponse]]]:
    """Let only principals with all `scopes` and, if given, one of `roles` reach a handler (403).

    For functions, methods that get the request last, and methods of `web.View`.
    """
    either = tuple(roles)

    def guard(handler: H) -> Callable[..., Awaitable[web.StreamResponse]]:
        @functools.wraps(handler)
        async def guarded(*args: Any) -> web.StreamResponse:
            request = args[-1].request if isinstance(args[-1], web.View) else args[-1]
            if PRINCIPAL not in request:
                raise RuntimeError("@needs works in an application of uaitools.web.application")
            require(request[PRINCIPAL], scopes, either, request[_SERVICE])
            return await handler(*args)

        return guarded

    return guard


def authentication(authenticator: Authenticator | None, service: str) -> Middleware:
    """Tell each request's principal before its handler runs, or refuse it.

    authenticator: None accepts everyone; otherwise started and stopped by the caller. /health is
    never asked for a credential, /metrics and /api/status need `ops:read`.
    """

    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[_SERVICE] = service
        if authenticator is None or not authenticator.enabled:
            request[PRINCIPAL] = ANONYMOUS
            return await handler(request)
        resource = request.match_info.route.resource
        path = resource.canonical if resource is not None else None
        admit = functools.partial(_principal, request, path, authenticator)
        request[_ADMIT] = admit
        request[PRINCIPAL] = principal = await admit()
        if path in _OPERATIONS_PATHS and not _preflight(request):
            require(principal, (OPERATIONS,), (), service)
        return await handler(request)

    return authenticate


_SERVICE: Final = web.RequestKey("authenticating_service", str)
_ADMIT: Final = web.RequestKey("admit", functools.partial)


async def still_admitted(request: web.Request) -> bool:
    """Whether the credential of a request is still good for what it was: for streams to ask.

    A key may have been revoked or got other scopes, a token may have expired. While that cannot
    be told it counts as good.
    """
    admit = request.get(_ADMIT)
    if admit is None:
        return True
    try:
        again: Principal = await admit()
    except ServiceError as error:
        return error.code >= 500
    return again == request[PRINCIPAL]


async def _principal(
    request: web.Request, path: str | None, authenticator: Authenticator
) -> Principal:
    mode: Access = getattr(request.match_info.handler, _ACCESS, "required")
    if path == _HEALTH or mode == "none" or _preflight(request):
        return GUEST
    brought = credential_of(request, authenticator.audience)
    if brought is None and mode == "optional":
        return GUEST
    return await authenticator.admit(brought)


def _preflight(request: web.Request) -> bool:
    """Whether a browser asks what it may send, which it does without credentials (Fetch, 4.8).

    By the route, not by what the request says of itself: it could name any handler.
    """
    return request.match_info.route in request.config_dict.get(PREFLIGHTS, ())


def credential_of(request: web.Request, service: str) -> Credential | None:
    """What a request brings to prove who sends it. Raises AuthError."""
    return credential(
        _only(request, AUTHORIZATION, service),
        _only(request, API_KEY, service),
        _only(request, USER_TOKEN, service),
        service,
    )


def _only(request: web.Request, name: str, service: str) -> bytes | None:
    """A header's value. Of two nobody could tell which one another reader has checked."""
    values = request.headers.getall(name, ())
    if len(values) > 1:
        raise AuthError.malformed(f"{name} stands twice", service)
    return values[0].encode("utf-8", "surrogateescape") if values else None
