"""What a request brings to prove who sends it, read from its headers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal

from uaitools.auth.errors import AuthError

AUTHORIZATION: Final = "Authorization"
API_KEY: Final = "X-API-Key"
USER_TOKEN: Final = "X-User-Token"  # noqa: S105 - a header's name
"""The header of principal tokens. Gateways drop it, as all of X-User-*, from untrusted clients."""

LIMIT: Final = 8192  # bytes of a token

Source = Literal["key", "bearer", "principal"]

# RFC 6750, 2.1: one token of b64token's characters. The scheme is case-insensitive.
_BEARER: Final = re.compile(rb"(?i:bearer) +([A-Za-z0-9._~+/-]+=*) *")
_SCHEME: Final = re.compile(rb"(?i:bearer)(?: |$)")
_API_KEY: Final = re.compile(rb"[!-~]+")


@dataclass(frozen=True, slots=True)
class Credential:
    """A token and where it stood.

    source: `key` for X-API-Key, `bearer` for Authorization, `principal` for X-User-Token.
    """

    source: Source
    text: bytes = field(repr=False)  # a secret


def credential(
    authorization: bytes | None, api_key: bytes | None, user_token: bytes | None, service: str
) -> Credential | None:
    """The one credential that counts of these header values, or None if there is none.

    A principal token comes before the others: a gateway has verified those already. X-API-Key
    comes before Authorization, which may be meant for an upstream. What is chosen has to be right:
    there is no falling back. Raises AuthError.
    """
    if user_token is not None:
        return _sized("principal", user_token, service)
    if api_key is not None:
        if not _API_KEY.fullmatch(api_key):
            raise AuthError.invalid("X-API-Key is not a key", service)
        return _sized("key", api_key, service)
    if authorization is None:
        return None
    match = _BEARER.fullmatch(authorization)
    if match is None:
        if _SCHEME.match(authorization):
            raise AuthError.malformed("Authorization: Bearer needs one token", service)
        raise AuthError.scheme(service)
    return _sized("bearer", match[1], service)


def _sized(source: Source, text: bytes, service: str) -> Credential:
    if len(text) > LIMIT:
        raise AuthError.invalid(f"the token is over {LIMIT} bytes", service)
    return Credential(source, text)
