"""Public keys: from PEM text and from JWKs (RFC 7517), each for exactly one algorithm.

Importing this takes the cryptography library; only configurations that name such keys do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK
from jwt.exceptions import PyJWTError

if TYPE_CHECKING:
    from uaitools.auth.jws import Algorithm

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

_RSA_BITS: Final = range(2048, 8193)  # RFC 7518, 3.3; and what a check may cost
_EXPONENT: Final = 1 << 33
_TYPES: Final = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA"}


def from_pem(data: bytes) -> tuple[Algorithm, PublicKey]:
    """The key of a PEM file and what it is for. Raises ValueError that says what is expected."""
    if b"PRIVATE KEY" in data:
        raise ValueError("holds a private key; give the public one alone")
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("holds no public key in PEM form (BEGIN PUBLIC KEY)") from error
    return _purpose(key)


def from_jwk(jwk: Mapping[str, Any]) -> tuple[Algorithm, PublicKey]:
    """The key of one entry of a key set and what it is for. Raises ValueError.

    Symmetric keys have no place in a published set, and private ones are known to everyone.
    """
    kind = jwk.get("kty")
    algorithm = _TYPES.get(kind) if isinstance(kind, str) else None
    operations = jwk.get("key_ops", ["verify"])
    if algorithm is None or "d" in jwk or jwk.get("alg", algorithm) != algorithm:
        raise ValueError("of another type or algorithm")
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list):
        raise ValueError("for another use")
    if "verify" not in operations:
        raise ValueError("for another use")
    try:
        key = PyJWK({**jwk, "alg": algorithm}).key
    except (PyJWTError, ValueError, TypeError, AttributeError, UnsupportedAlgorithm) as error:
        raise ValueError("malformed") from error
    return _purpose(key)


def _purpose(key: object) -> tuple[Algorithm, PublicKey]:
    match key:
        case RSAPublicKey():
            if key.key_size not in _RSA_BITS or key.public_numbers().e > _EXPONENT:
                raise ValueError("an RSA key has 2048 to 8192 bits")
            return "RS256", key
        case EllipticCurvePublicKey() if isinstance(key.curve, SECP256R1):
            return "ES256", key
        case Ed25519PublicKey():
            return "EdDSA", key
    raise ValueError("must be an RSA, P-256 or Ed25519 key")
