"""Who a request acts for, whatever it proved that with, and whether that is enough."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from uaitools.auth.errors import Forbidden

Kind = Literal["anonymous", "key", "jwt", "service"]
"""How a principal was told: not at all, by an API key, a JWT, or a principal token."""

EVERYTHING: Final = "*"
"""The scope that stands for every scope and role."""

# Both travel in headers (X-User-Id, X-User-Scopes), where a line break would begin another one.
_ID: Final = re.compile(r"[!-~](?:[ -~]{0,254}[!-~])?", re.ASCII)
_NAME: Final = re.compile(r"[!#-\[\]-~]{1,128}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated user or program, or nobody.

    id: unique among all kinds: an API key's is `key:ID`, which no token may claim. expires: unix
    seconds from which the principal is to be authenticated again, infinity for never.
    """

    id: str
    scopes: frozenset[str]
    roles: frozenset[str]
    kind: Kind
    expires: float = math.inf

    @property
    def user(self) -> str | None:
        """Its id, None of one that nobody knows."""
        return None if self.kind == "anonymous" else self.id

    def has(self, scopes: Iterable[str]) -> bool:
        """Whether every one of `scopes` is granted; `*` grants all."""
        return EVERYTHING in self.scopes or self.scopes.issuperset(scopes)

    def acts_as(self, roles: Iterable[str]) -> bool:
        """Whether at least one of `roles` is held, or none is asked for; the scope `*` has all."""
        roles = tuple(roles)
        return not roles or EVERYTHING in self.scopes or not self.roles.isdisjoint(roles)


ANONYMOUS: Final = Principal("anonymous", frozenset({EVERYTHING}), frozenset(), "anonymous")
"""Everyone, where no authentication is configured: may do everything."""

GUEST: Final = Principal("anonymous", frozenset(), frozenset(), "anonymous")
"""Who brings no credential where authentication is configured but optional: may do nothing else."""


def valid_id(text: str) -> bool:
    """Whether a principal may be called so: 1-256 printable ASCII characters, trimmed."""
    return _ID.fullmatch(text) is not None


def valid_name(text: str) -> bool:
    """Whether a scope or a role may be called so: 1-128 characters of RFC 6749's scope-token."""
    return _NAME.fullmatch(text) is not None


def require(
    principal: Principal, scopes: Iterable[str], roles: Iterable[str], service: str
) -> None:
    """Let pass who has every one of `scopes` and, if any are given, at least one of `roles`.

    Raises Forbidden (403) in the name of `service`.
    """
    if not (principal.has(scopes) and principal.acts_as(roles)):
        raise Forbidden.lacking(scopes, roles, service)
