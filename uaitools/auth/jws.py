"""Signed tokens as they travel (RFC 7515, compact form), read strictly.

PyJWT verifies the signatures. What it is lenient about is refused here: foreign characters within
base64, duplicate members (RFC 7519, 4), NaN, and headers that declare themselves critical.
"""

from __future__ import annotations

import binascii
import functools
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from uaitools.auth.errors import Refused

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from jwt import PyJWS

    Key = bytes | RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

Algorithm = Literal["HS256", "RS256", "ES256", "EdDSA"]

_COMPACT: Final = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Token:
    """A token taken apart. Nothing of it is verified yet.

    algorithm, kid, kind: its header's `alg`, `kid` and `typ`. Keys that a header brings or points
    to (jwk, jku, x5c, x5u) are never looked at.
    """

    algorithm: str
    kid: str | None
    kind: str
    claims: Mapping[str, Any] = field(repr=False)
    text: bytes = field(repr=False)


def parse(text: bytes) -> Token:
    """Take a token apart. Raises Refused."""
    match = _COMPACT.fullmatch(text)
    if match is None:
        raise Refused("the token is malformed")
    header = _object(match[1])
    if "crit" in header:
        raise Refused("the token has a critical header that is not understood")
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "")
    if (
        not isinstance(algorithm, str)
        or not isinstance(kid, str | None)
        or not isinstance(kind, str)
    ):
        raise Refused("the token is malformed")
    return Token(algorithm, kid, kind.lower(), _object(match[2]), text)


def verify(token: Token, key: Key, algorithm: Algorithm) -> None:
    """Check the signature. algorithm: what `key` is for, never what the token says. Raises Refused.

    The key's type was matched to the algorithm when it was loaded, which closes the confusion of a
    public key with an HMAC secret.
    """
    try:
        signatures(algorithm).decode_complete(token.text, key, algorithms=[algorithm])
    except (_failure(), ValueError) as error:
        raise Refused("the token's signature is wrong") from error


@functools.cache
def signatures(algorithm: Algorithm) -> PyJWS:
    """PyJWT, for one algorithm. Ask once at start: importing it takes 0.1 s."""
    from jwt import PyJWS  # noqa: PLC0415 - only where tokens are in use

    return PyJWS(algorithms=[algorithm])


@functools.cache
def _failure() -> type[Exception]:
    from jwt.exceptions import PyJWTError  # noqa: PLC0415 - see above

    return PyJWTError


def _object(segment: bytes) -> dict[str, Any]:
    try:
        data = urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
        document = json.loads(
            data.decode(), object_pairs_hook=_distinct, parse_constant=_no_constant
        )
    except (binascii.Error, ValueError, RecursionError) as error:
        raise Refused("the token is malformed") from error
    if not isinstance(document, dict):
        raise Refused("the token is malformed")
    return document


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member stands twice")
    return members


def _no_constant(_: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")
