"""GET /ws: who may connect, and the socket that he gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web

from uaitools import log
from uaitools.auth.credential import Credential
from uaitools.auth.middleware import PRINCIPAL, access, credential_of
from uaitools.auth.principal import Principal
from uaitools.hub import extensions
from uaitools.hub.api.addresses import client_address
from uaitools.hub.api.origins import Origins
from uaitools.hub.errors import SERVICE
from uaitools.hub.handshake import VERSION, NoUpgrade, accept
from uaitools.hub.session import Session
from uaitools.hub.sockets.aiohttp import AiohttpSocket
from uaitools.hub.sockets.handover import hand_over, unsupported
from uaitools.hub.sockets.native import NativeSocket

if TYPE_CHECKING:
    from uaitools.hub.hub import Hub

# Up to there what is too long is a mistake that is answered; beyond, the connection ends.
_TIMES: Final = 4

# RFC 9110 15.5.22, RFC 6455 4.2.2
_ASKED: Final = {hdrs.UPGRADE: "websocket", hdrs.SEC_WEBSOCKET_VERSION: VERSION}

_log = log.get_logger(__name__)


class Upgrade:
    """Handlers of upgrades."""

    __slots__ = ("_hub", "_native", "_origins")

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._origins = Origins(hub.config.origins)
        mode = hub.config.mode
        missing = unsupported() if mode != "aiohttp" else ""
        self._native = mode == "native" or (mode == "auto" and not missing)
        if missing and self._native:
            _log.error('mode = "native" will fail with this aiohttp', reason=missing)
        elif missing:
            _log.error("sockets are aiohttp's, which take ten times the memory", reason=missing)
        if hub.config.compression and not self._native:
            _log.warning("sockets of aiohttp's compress nothing")

    def __repr__(self) -> str:
        return f"<Upgrade native={self._native} {self._origins!r}>"

    @access("optional")
    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """GET /ws."""
        try:
            accepted = accept(request.headers)
        except NoUpgrade as error:
            raise web.HTTPUpgradeRequired(text=error.message, headers=_ASKED) from error
        offered = request.headers.getall(extensions.HEADER, ())
        agreed = extensions.agree(offered, allowed=self._hub.config.compression)
        session = await self.session(request)
        largest = _TIMES * self._hub.largest
        if not self._native:
            ours = AiohttpSocket(session, request, largest)
            session.socket = ours
            return await ours.serve()
        socket = NativeSocket(session, largest, agreed)
        session.socket = socket
        try:
            return hand_over(request, accepted, socket, extensions.line(agreed))
        except ConnectionResetError:
            self._hub.left(session)
            return web.Response(status=400)  # nobody is there to read it

    async def session(self, request: web.Request) -> Session:
        """A session for who asks. Raises ServiceError."""
        self.check_origin(request)
        principal, credential = await self.principal(request)
        forwarded = request.headers.getall("X-Forwarded-For", ())
        address = client_address(request.remote, forwarded, self._hub.config.trusted_proxies)
        session = await self._hub.admit(principal, address)
        session.credential = credential if principal.kind == "key" else None
        return session

    def check_origin(self, request: web.Request) -> None:
        """Let pass pages that may connect. Raises ServiceError (403)."""
        self._origins.check(request.headers.get(hdrs.ORIGIN), request.host)

    async def principal(self, request: web.Request) -> tuple[Principal, Credential | None]:
        """Who asks, and with what: a header's credential, or the query's. Raises AuthError."""
        brought = credential_of(request, SERVICE)
        authenticator = self._hub.authenticator
        if brought is None and "token" in request.query and authenticator is not None:
            brought = Credential("bearer", request.query["token"].encode())
            return await authenticator.admit(brought), brought
        return request[PRINCIPAL], brought
