"""Principal tokens: the gateway vouches for a user to the services behind it.

    {"typ": "principal+jwt", "alg": "HS256"}
    {"iss": "uaitools", "aud": "memory", "sub": "u-1", "scope": "a b", "roles": ["r"],
     "iat": 1767225600, "exp": 1767225660}

Who steals one can use it for a minute, at one service. A component that hands a user on to another
one issues a token of its own from the principal it was given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import orjson

from uaitools.auth.claims import Expected
from uaitools.auth.errors import Refused
from uaitools.auth.jws import parse, signatures, verify
from uaitools.auth.jwt import PRINCIPAL_TYPE
from uaitools.auth.memo import Memo
from uaitools.auth.principal import Principal

LIFE: Final = 60  # seconds
_ISSUER: Final = "uaitools"
_LEEWAY: Final = 5.0  # seconds that the clocks of two of our machines may differ
_REMEMBERED: Final = 4096


@dataclass(frozen=True, slots=True)
class _Issued:
    text: str
    since: float
    until: float  # from when on a fresh one is issued


class ServiceTokens:
    """Issues and verifies principal tokens with the secret that all components share."""

    __slots__ = ("_engine", "_issued", "_secret")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._engine = signatures("HS256")
        self._issued: Memo[tuple[Principal, str], _Issued] = Memo(_REMEMBERED)

    def __repr__(self) -> str:
        return f"<ServiceTokens issued={len(self._issued)}>"

    def issue(self, principal: Principal, audience: str, now: float) -> str:
        """A token for `principal` at the service `audience`, with at least half of its life left.

        It is signed once and handed out again for half a minute. now: unix seconds. Raises
        ValueError for the anonymous: there is nobody to vouch for.
        """
        known = self._issued.get((principal, audience))
        if known is not None and known.since <= now < known.until:
            return known.text
        return self._sign(principal, audience, now)

    def verify(self, text: bytes, audience: str, now: float) -> Principal:
        """Whom a token for the service `audience` names. Raises Refused."""
        token = parse(text)
        if token.kind != PRINCIPAL_TYPE or token.algorithm != "HS256":
            raise Refused("this is no principal token")
        expected = Expected(_ISSUER, frozenset({audience}), _LEEWAY)
        principal = expected.principal(token.claims, now, "service")
        verify(token, self._secret, "HS256")
        return principal

    def _sign(self, principal: Principal, audience: str, now: float) -> str:
        if principal.kind == "anonymous":
            raise ValueError("there is nobody to vouch for")
        issued = int(now)
        expires = int(min(issued + LIFE, principal.expires))  # never longer than its source
        claims = {
            "iss": _ISSUER,
            "aud": audience,
            "sub": principal.id,
            "scope": " ".join(sorted(principal.scopes)),
            "roles": sorted(principal.roles),
            "iat": issued,
            "exp": expires,
        }
        header = {"typ": PRINCIPAL_TYPE}
        text = self._engine.encode(orjson.dumps(claims), self._secret, "HS256", header)
        self._issued.put((principal, audience), _Issued(text, now, (now + expires) / 2))
        return text
