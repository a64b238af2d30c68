"""Whose memories a request is about."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from uaitools.auth.middleware import PRINCIPAL
from uaitools.errors import ServiceError
from uaitools.memory.errors import SERVICE, BadRequest

ANY: Final = "memory:any"
"""The scope of services that act for every user, whom they name."""


def owner_or_everyone(request: web.Request, named: str | None) -> str | None:
    """The user whose memories a request reaches; None for all, if a service names nobody."""
    if named is None and request[PRINCIPAL].has((ANY,)):
        return None
    return owner(request, named)


def owner(request: web.Request, named: str | None) -> str:
    """The user whose memories a request reaches. named: by it.

    A user's token reaches his own. Raises BadRequest and ServiceError 403.
    """
    principal = request[PRINCIPAL]
    if principal.has((ANY,)):
        if named is None:
            raise BadRequest("user_id", "say whose memories: the credential is no user's")
        return named
    if named not in (None, principal.id):
        message = f"your credential reaches your own memories; others need the scope {ANY}"
        raise ServiceError(403, message, SERVICE)
    return principal.id
