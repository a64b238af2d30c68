"""Who sends a request: from its credentials to the lines that tell its upstream.

What credentials stand for is found out once and remembered until it could change: because a key is
revoked, a token expires, or the principal token for the upstream has to be renewed. The upstream
does not see the credentials, only whose they are, and a token that proves it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import time
from typing import TYPE_CHECKING, Final

from uaitools.auth.credential import USER_TOKEN, credential
from uaitools.auth.errors import AuthError, Unresolved
from uaitools.auth.memo import Memo
from uaitools.auth.principal import ANONYMOUS, GUEST, Principal, require
from uaitools.errors import ServiceError

if TYPE_CHECKING:
    from uaitools.auth.authenticator import Authenticator
    from uaitools.proxy.guards.guard import Caller

RENEWAL: Final = 25.0  # seconds; a principal token lives for 60 and must outlast its request
_SPEAKER: Final = "proxy"
_MEMORY: Final = 1024  # callers remembered, of all routes together; at most twice as many
_LONGEST: Final = 4096  # bytes of credentials that are
_TOKEN_LINE: Final = b"\r\n%b: " % USER_TOKEN.encode()


@dataclass(frozen=True, slots=True)
class Access:
    """What a route asks of its callers.

    required: a credential; without one that is offered only. scopes: all are needed. roles: one
    is. forward: the upstream gets the credentials, too.
    """

    required: bool = True
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    forward: bool = False


class Identity:
    """Who a caller is.

    lines: for the upstream in place of the credentials, None to leave those. key: the caller's in
    limits, empty for who has no name. caller: what the guard makes of it, once. refusal: why the
    caller may not pass, or None. unresolved: what to wait for before that can be told. expires:
    when to find all this out anew, monotonic.
    """

    __slots__ = ("caller", "expires", "key", "lines", "principal", "refusal", "unresolved")

    def __init__(
        self,
        principal: Principal,
        expires: float,
        *,
        lines: bytes | None = b"",
        refusal: ServiceError | None = None,
        unresolved: Unresolved | None = None,
    ) -> None:
        self.principal = principal
        self.expires = expires
        self.lines = lines
        self.key = b"" if principal.kind == "anonymous" else b"p:" + principal.id.encode()
        self.refusal = refusal
        self.unresolved = unresolved
        self.caller: Caller | None = None

    def __repr__(self) -> str:
        return f"<Identity {self.principal.id} refusal={self.refusal}>"


def unasked() -> Identity:
    """Everybody, where a route does not ask."""
    return Identity(ANONYMOUS, float("inf"), lines=None)


Known = Memo[tuple[object, str, bytes], Identity]
"""Callers by route, the service that they want, and their credentials."""


def nobody_yet() -> Known:
    """For all routes of a site together: else each route would multiply what a client can fill."""
    return Memo(_MEMORY)


class Identities:
    """Who callers of one route are. known: see Known. wall: Unix time, of tokens and keys."""

    __slots__ = ("_access", "_authenticator", "_known", "_wall")

    def __init__(
        self,
        authenticator: Authenticator,
        access: Access,
        known: Known,
        wall: Callable[[], float] = time,
    ) -> None:
        self._authenticator = authenticator
        self._access = access
        self._known = known
        self._wall = wall

    def __repr__(self) -> str:
        return f"<Identities {self._access} known={len(self._known)}>"

    def of(self, credentials: bytes, service: str, now: float) -> Identity:
        """Whose `credentials` these are, header lines each after a CR LF."""
        key = (self, service, credentials)  # what it makes of the caller is the route's own
        identity = self._known.young.get(key) or self._known.get(key)
        if identity is None or identity.expires <= now:
            identity = self._find(credentials, service, now)
            good = identity.refusal is None and identity.unresolved is None
            if good and len(credentials) <= _LONGEST:
                self._known.put(key, identity)
        return identity

    def _find(self, credentials: bytes, service: str, now: float) -> Identity:
        wall = self._wall()
        try:
            principal = self._principal(credentials, wall)
        except Unresolved as unresolved:
            return Identity(GUEST, now, unresolved=unresolved)
        except ServiceError as error:
            # Without its traceback, which would keep the frames of a connection.
            return Identity(GUEST, now, refusal=error.with_traceback(None))
        lines = self._lines(principal, service, wall)
        if self._access.forward:
            lines += credentials
        return Identity(principal, now + min(RENEWAL, principal.expires - wall), lines=lines)

    def _principal(self, credentials: bytes, wall: float) -> Principal:
        """Raises AuthError, NotReady and Unresolved."""
        brought = credential(*_values(credentials), None, _SPEAKER)
        principal = GUEST
        if brought is not None or self._access.required:
            principal = self._authenticator.authenticate(brought, wall)
        require(principal, self._access.scopes, self._access.roles, _SPEAKER)
        return principal

    def _lines(self, principal: Principal, service: str, wall: float) -> bytes:
        if principal is GUEST:
            return b""
        scopes = " ".join(sorted(principal.scopes))
        lines = b"\r\nX-User-Id: %b\r\nX-User-Scopes: %b" % (
            principal.id.encode(),
            scopes.encode(),
        )
        token = self._authenticator.principal_token(principal, service, wall)
        return lines if token is None else lines + _TOKEN_LINE + token.encode()


def _values(credentials: bytes) -> tuple[bytes | None, bytes | None]:
    """The values of Authorization and X-API-Key. Raises AuthError for one that stands twice."""
    found: dict[bytes, bytes] = {}
    for line in credentials.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        lower = name.lower()
        if lower in found:
            raise AuthError.malformed(f"{lower.decode()} may stand in a request once", _SPEAKER)
        found[lower] = value.strip(b" \t")
    return found.get(b"authorization"), found.get(b"x-api-key")
