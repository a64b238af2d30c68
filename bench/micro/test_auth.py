"""Who a request acts for: microseconds for a credential that is known, and for a new one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pytest_benchmark.fixture import BenchmarkFixture

from uaitools.auth.authenticator import Authenticator
from uaitools.auth.config import AuthConfig
from uaitools.auth.credential import Credential
from uaitools.auth.keyfile import change
from uaitools.auth.keys import new_key
from uaitools.auth.principal import Principal
from uaitools.auth.service_token import ServiceTokens

NOW = 1_800_000_000.0
SECRET = "kXq7-0vJ2mPz9LwRtY4uBn6CdEfGh1s3"  # noqa: S105 - of nobody
CLAIMS = {"sub": "alice", "scope": "chat:write memory:read", "exp": int(NOW) + 600}
ALICE = Principal("alice", frozenset({"chat:write", "memory:read"}), frozenset(), "jwt")
PRIVATE: dict[str, Callable[[], rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey]] = {
    "RS256": lambda: rsa.generate_private_key(65_537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
}
EVERY = ("key", "HS256", "RS256", "ES256", "EdDSA")


def known(folder: Path, kind: str) -> tuple[AuthConfig, Credential]:
    """A configuration and a credential that it accepts."""
    if kind == "key":
        text, record = new_key("bench", scopes=["chat:write"], created=datetime.now(UTC))
        change(folder / "keys.json", lambda _: ((record,), None))
        config = AuthConfig.model_validate({"keys_file": folder / "keys.json"})
        return config, Credential("key", text.encode())
    if kind == "HS256":
        token = jwt.encode(CLAIMS, SECRET, kind)
        return AuthConfig.model_validate({"jwt": {"secret": SECRET}}), _bearer(token)
    private = PRIVATE[kind]() if kind in PRIVATE else ed25519.Ed25519PrivateKey.generate()
    file = folder / "key.pem"
    form = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    file.write_bytes(private.public_key().public_bytes(*form))
    config = AuthConfig.model_validate({"jwt": {"public_key_file": file}})
    return config, _bearer(jwt.encode(CLAIMS, private, kind))


def _bearer(token: str) -> Credential:
    return Credential("bearer", token.encode())


@pytest.mark.parametrize("kind", EVERY)
def test_a_credential_that_is_known(benchmark: BenchmarkFixture, tmp_path: Path, kind: str) -> None:
    config, credential = known(tmp_path, kind)
    authenticator = Authenticator(config, audience="bench")

    assert benchmark(authenticator.authenticate, credential, NOW).kind != "anonymous"
    assert authenticator.verified == 1


@pytest.mark.parametrize("kind", EVERY)
def test_a_new_credential(benchmark: BenchmarkFixture, tmp_path: Path, kind: str) -> None:
    config, credential = known(tmp_path, kind)
    authenticator = Authenticator(config, audience="bench", remember=0)

    assert benchmark(authenticator.authenticate, credential, NOW).kind != "anonymous"
    assert "known=0" in repr(authenticator)


def test_a_principal_token_that_is_signed_already(benchmark: BenchmarkFixture) -> None:
    tokens = ServiceTokens(SECRET.encode())

    assert benchmark(tokens.issue, ALICE, "memory", NOW)


def test_a_new_principal_token(benchmark: BenchmarkFixture) -> None:
    tokens = ServiceTokens(SECRET.encode())
    # A clock that runs backwards gets a new one each time.
    times = iter(NOW - step for step in range(10**9))

    assert benchmark(lambda: tokens.issue(ALICE, "memory", next(times)))
