"""Tokens of the configured issuers: whose they are, and whether they are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from uaitools.auth.claims import Expected
from uaitools.auth.errors import Refused
from uaitools.auth.jws import Algorithm, Token, parse, signatures, verify

if TYPE_CHECKING:
    from uaitools.auth.jws import Key
    from uaitools.auth.principal import Principal

PRINCIPAL_TYPE: Final = "principal+jwt"
"""`typ` of our own principal tokens, so that neither kind passes for the other (RFC 8725, 3.11)."""


class Keys(Protocol):
    """The keys of one issuer."""

    def find(self, kid: str | None, algorithm: Algorithm) -> Key | None:
        """The key for a token, if there is one. Raises Unresolved and NotReady."""


class OneKey:
    """The secret or the public key of an issuer that has one; `kid` says nothing then."""

    __slots__ = ("_algorithm", "_key")

    def __init__(self, algorithm: Algorithm, key: Key) -> None:
        self._algorithm = algorithm
        self._key = key

    def __repr__(self) -> str:
        return f"<OneKey {self._algorithm}>"

    def find(self, _kid: str | None, algorithm: Algorithm) -> Key | None:
        """The key, if it is for this algorithm."""
        return self._key if algorithm == self._algorithm else None


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who may have signed a token, how, and what it then has to say."""

    algorithms: Mapping[str, Algorithm]
    keys: Keys
    expected: Expected

    def verify(self, token: Token, now: float) -> Principal:
        """Whom a token names. Raises Refused, Unresolved and NotReady.

        The signature comes last: a token that is refused anyway costs neither its check (20 to
        100 us) nor, with an invented `kid`, a request for keys.
        """
        algorithm = self.algorithms.get(token.algorithm)
        if algorithm is None:
            raise Refused("the token's algorithm is not accepted")
        principal = self.expected.principal(token.claims, now, "jwt")
        key = self.keys.find(token.kid, algorithm)
        if key is None:
            raise Refused("the token's key is unknown")
        verify(token, key, algorithm)
        return principal


class JwtVerifier:
    """Verifies the tokens of several issuers, told apart by `iss`."""

    __slots__ = ("_issuers",)

    def __init__(self, issuers: Sequence[Issuer]) -> None:
        self._issuers = tuple(issuers)
        for algorithm in {one for issuer in issuers for one in issuer.algorithms.values()}:
            signatures(algorithm)  # imports what the first token would wait for

    def __repr__(self) -> str:
        return f"<JwtVerifier issuers={len(self._issuers)}>"

    def verify(self, text: bytes, now: float) -> Principal:
        """Whom a token names. now: unix seconds. Raises Refused, Unresolved and NotReady."""
        if not self._issuers:
            raise Refused("tokens are not accepted here; send an API key")
        token = parse(text)
        if token.kind == PRINCIPAL_TYPE:
            raise Refused("a principal token is no user's token")
        return self._issuer(token).verify(token, now)

    def _issuer(self, token: Token) -> Issuer:
        if len(self._issuers) == 1:
            return self._issuers[0]
        claimed = token.claims.get("iss")
        for issuer in self._issuers:
            if issuer.expected.issuer == claimed:
                return issuer
        raise Refused("the token is of another issuer")
