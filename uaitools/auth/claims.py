"""What a token says, held against what is expected of it (RFC 7519, 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from uaitools.auth.errors import Refused
from uaitools.auth.principal import ANONYMOUS, Kind, Principal, valid_id, valid_name

KEY_PREFIX: Final = "key:"
"""Begins the ids of API keys' principals; no token of another issuer may claim one."""

_END_OF_TIME: Final = 253_402_300_799  # the year 9999, unix seconds


@dataclass(frozen=True, slots=True)
class Expected:
    """What an issuer's tokens have to say, and where they say whom they are for.

    issuer: None for any. audience: of which the token has to name one; none: it may name none.
    leeway: seconds that clocks may differ. user, scopes, roles: names of claims; dots descend.
    """

    issuer: str | None
    audience: frozenset[str]
    leeway: float
    user: str = "sub"
    scopes: str = "scope"
    roles: str = "roles"

    def principal(self, claims: Mapping[str, Any], now: float, kind: Kind) -> Principal:
        """Whom the claims name, if they are right at `now`. Raises Refused."""
        expires = self._check_times(claims, now)
        if self.issuer is not None and claims.get("iss") != self.issuer:
            raise Refused("the token is of another issuer")
        self._check_audience(claims.get("aud"))
        user = _find(claims, self.user)
        if isinstance(user, int) and not isinstance(user, bool):
            user = str(user)
        if not isinstance(user, str) or not valid_id(user) or (kind == "jwt" and _reserved(user)):
            raise Refused("the token names no acceptable user")
        scopes = _names(_find(claims, self.scopes), "scopes")
        return Principal(user, scopes, _names(_find(claims, self.roles), "roles"), kind, expires)

    def _check_times(self, claims: Mapping[str, Any], now: float) -> float:
        """When the token ends, leeway included."""
        if "exp" not in claims:
            raise Refused("the token never expires; exp is required")
        expires = _time(claims["exp"]) + self.leeway
        if now >= expires:
            raise Refused("the token has expired")
        if "nbf" in claims and now < _time(claims["nbf"]) - self.leeway:
            raise Refused("the token is not valid yet")
        return expires

    def _check_audience(self, claimed: object) -> None:
        if claimed is None and not self.audience:
            return
        audience = [claimed] if isinstance(claimed, str) else claimed
        # Who does not find itself in a token's audience has to refuse it (RFC 7519, 4.1.3).
        if (
            not isinstance(audience, list)
            or not all(isinstance(one, str) for one in audience)
            or self.audience.isdisjoint(audience)
        ):
            raise Refused("the token is for another audience")


def _time(value: object) -> float:
    """A NumericDate: never text, which other readers might take for another time."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= _END_OF_TIME
    ):
        raise Refused("the token's exp or nbf is no time")
    return float(value)


def _reserved(user: str) -> bool:
    return user == ANONYMOUS.id or user.startswith(KEY_PREFIX)


def _find(claims: Mapping[str, Any], name: str) -> object:
    """The claim called `name`, or what its parts lead to: `realm_access.roles`."""
    if name in claims:
        return claims[name]
    value: object = claims
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return value


def _names(value: object, claim: str) -> frozenset[str]:
    """Scopes or roles: text with spaces between, or a list. What no rule could name is left out."""
    if value is None:
        return frozenset()
    names = value.split(" ") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refused(f"the token's {claim} are no list of names")
    return frozenset(filter(valid_name, names))
