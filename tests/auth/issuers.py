"""Issuers of tokens: keys, signatures made step by step, and a key set on a real HTTP server."""

from __future__ import annotations

import asyncio
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

NOW = 1_800_000_000.0
SECRET = "kXq7-0vJ2mPz9LwRtY4uBn6CdEfGh1s3"
SERVICE_SECRET = "Zr5tYuIoP0aSdFgHjKlQwErTyUiOp9x8"
ISSUER = "https://issuer.example"
AUDIENCE = "uai"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def private_key(algorithm: str, which: int = 0) -> PrivateKey:
    """A key of the suite, made once. which: another one for another number."""
    return _private_key(algorithm, which)


@cache
def _private_key(algorithm: str, _which: int) -> PrivateKey:
    match algorithm:
        case "RS256":
            return rsa.generate_private_key(65_537, 2048)
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
    raise LookupError(algorithm)


def public_pem(algorithm: str, which: int = 0) -> bytes:
    key = private_key(algorithm, which).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def jwk(algorithm: str, which: int = 0, **members: object) -> dict[str, Any]:
    """The public key as an entry of a key set; its `kid` is `ALGORITHM-WHICH`."""
    key = private_key(algorithm, which).public_key()
    match key:
        case rsa.RSAPublicKey():
            document = RSAAlgorithm.to_jwk(key, as_dict=True)
        case ec.EllipticCurvePublicKey():
            document = ECAlgorithm.to_jwk(key, as_dict=True)
        case _:
            document = OKPAlgorithm.to_jwk(key, as_dict=True)
    document.pop("key_ops", None)
    return {**document, "kid": f"{algorithm}-{which}", "use": "sig", **members}


def claims(**changed: object) -> dict[str, Any]:
    """Right claims, with some changed; None takes one away."""
    right: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "scope": "a:read b:write",
        "roles": ["editor"],
        "exp": int(NOW) + 600,
    }
    return {name: value for name, value in {**right, **changed}.items() if value is not None}


def signed(
    algorithm: str,
    body: Mapping[str, Any] | None = None,
    *,
    which: int = 0,
    header: Mapping[str, Any] | None = None,
) -> bytes:
    """A token as an honest issuer makes it."""
    key = SECRET if algorithm == "HS256" else private_key(algorithm, which)
    body = dict(claims() if body is None else body)
    return jwt.encode(body, key, algorithm, dict(header or {})).encode()


def encoded(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def forged(
    header: Mapping[str, Any] | bytes,
    body: Mapping[str, Any] | bytes,
    sign: Callable[[bytes], bytes],
) -> bytes:
    """A token of any header and payload, down to bytes that are no JSON."""
    parts = [
        part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, body)
    ]
    message = b".".join(map(encoded, parts))
    return message + b"." + encoded(sign(message))


def hs256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda message: hmac.digest(secret, message, "sha256")


class KeyServer:
    """A key set at a URL. `answer` replaces the set; `slow` is awaited before each answer."""

    def __init__(self, *keys: Mapping[str, Any]) -> None:
        self.keys: list[Mapping[str, Any]] = list(keys)
        self.answer: Callable[[], web.Response] | None = None
        self.asked = 0
        self.slow = asyncio.Event()
        self.slow.set()
        self.port = 0
        self._changed = asyncio.Condition()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/keys"

    async def start(self) -> None:
        """Serve, on the port of last time if there was one."""
        app = web.Application()
        app.router.add_get("/keys", self._get)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def asked_at_least(self, times: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.asked >= times)

    async def _get(self, _request: web.Request) -> web.Response:
        async with self._changed:
            self.asked += 1
            self._changed.notify_all()
        await self.slow.wait()
        return self.answer() if self.answer else web.json_response({"keys": self.keys})
