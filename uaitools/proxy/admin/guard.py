"""Who may use the admin API.

With a token: who knows it. Without one the listener is on loopback, and what has to be kept out is
the operator's own browser: a page that was loaded from elsewhere and sends requests to 127.0.0.1,
or that had its name resolved to it (DNS rebinding).
"""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from uaitools.addresses import Address
from uaitools.errors import ServiceError
from uaitools.ip import is_address

_SERVICE: Final = "proxy"
_OPEN: Final = frozenset(("/health",))
_SAME: Final = frozenset(("same-origin", "none"))


def guard(address: Address, token: str | None) -> Middleware:
    """Let nobody pass who may not. address: where the API listens."""
    expected = None if token is None else sha256(token.encode()).digest()

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if address.loopback:
            _check_host(request, address)
        _check_origin(request)
        if expected is not None and request.path not in _OPEN:
            _check_token(request, expected)
        return await handler(request)

    return guarded


def _check_host(request: web.Request, address: Address) -> None:
    """A rebound name is a name: only addresses, localhost and the configured one are let in."""
    host = request.headers.get(hdrs.HOST, "").lower()
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name in ("localhost", address.host.lower()):
        return
    if not is_address(name):
        raise ServiceError(421, "use the address of this API, not a name", _SERVICE)


def _check_origin(request: web.Request) -> None:
    """RFC 6454 7: browsers name the page that sends a request which changes something."""
    origins = request.headers.getall(hdrs.ORIGIN, [])
    ours = {f"{scheme}://{request.headers.get(hdrs.HOST, '')}" for scheme in ("http", "https")}
    site = request.headers.get("Sec-Fetch-Site", "none")
    if any(origin not in ours for origin in origins) or site not in _SAME:
        raise ServiceError(403, "pages of other origins may not use this API", _SERVICE)


def _check_token(request: web.Request, expected: bytes) -> None:
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    # Digests: a comparison in constant time still tells the length of what it compares.
    digest = sha256(given.strip().encode("utf-8", "surrogateescape")).digest()
    if not compare_digest(digest, expected) or scheme.lower() != "bearer":
        raise Unauthorized


class Unauthorized(web.HTTPUnauthorized):
    """The token is missing or wrong; says how to send it."""

    def __init__(self) -> None:
        super().__init__(
            text="send the admin_token of the configuration as Authorization: Bearer TOKEN",
            headers={hdrs.WWW_AUTHENTICATE: 'Bearer realm="admin"'},
        )
