"""Sticky sessions: a signed token that names the endpoint which a client had last.

The token says nothing that its bearer could use: the endpoint's name in it is a keyed digest of
its address. It holds for one service and until it expires, wherever the same secret is known.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hmac import compare_digest
from hmac import digest as hmac_digest
from typing import Final

from uaitools.traffic.breaker import State
from uaitools.traffic.endpoint import Endpoint

_NAME: Final = 9  # bytes of an endpoint's name
_EXPIRY: Final = 5  # of a unix time
_SIGNATURE: Final = 16
# 30 bytes are 40 digits without padding, so that a token has exactly one spelling.
_TOKEN: Final = re.compile(rb"[A-Za-z0-9_\-]{40}")
_KEPT: Final = frozenset((State.HEALTHY, State.RAMPING))


@dataclass(frozen=True, slots=True)
class Session:
    """What a valid token says. name: of an endpoint. expires: unix time."""

    name: bytes
    expires: int


class Sessions:
    """The tokens of one service. secret: bytes that nobody else knows. ttl: seconds."""

    __slots__ = ("_endpoints", "_key", "_names", "ttl")

    def __init__(
        self, secret: bytes, service: str, ttl: int, endpoints: Sequence[Endpoint]
    ) -> None:
        self._key = hmac_digest(secret, b"uaitools sticky session\0" + service.encode(), "sha256")
        self._names = {endpoint: self._name(endpoint.address) for endpoint in endpoints}
        self._endpoints = {name: endpoint for endpoint, name in self._names.items()}
        self.ttl = ttl

    def __repr__(self) -> str:
        return f"<Sessions endpoints={len(self._names)} ttl={self.ttl}>"

    def write(self, endpoint: Endpoint, wall: int) -> bytes:
        """A token that names `endpoint`. wall: the unix time of now."""
        name = self._names.get(endpoint) or self._name(endpoint.address)
        content = name + (wall + self.ttl).to_bytes(_EXPIRY, "big")
        return urlsafe_b64encode(content + self._sign(content))

    def read(self, token: bytes) -> Session | None:
        """What a token says, expired or not; None unless it was written with this secret."""
        if _TOKEN.fullmatch(token) is None:
            return None
        raw = urlsafe_b64decode(token)
        content, signature = raw[:-_SIGNATURE], raw[-_SIGNATURE:]
        if not compare_digest(signature, self._sign(content)):
            return None
        return Session(content[:_NAME], int.from_bytes(content[_NAME:], "big"))

    def endpoint(self, session: Session, wall: int, now: float) -> Endpoint | None:
        """The endpoint that a session is kept at; None when it has to find another one.

        It is kept while the endpoint is healthy or ramping up and has room, whatever its weight:
        weight 0 takes no new session. One at a backup goes back as soon as a primary is available.
        """
        if not wall < session.expires <= wall + self.ttl:
            return None
        endpoint = self._endpoints.get(session.name)
        if (
            endpoint is None
            or endpoint.breaker.state not in _KEPT
            or endpoint.in_flight >= endpoint.max_requests
        ):
            return None
        if endpoint.backup and any(e.share(now) > 0.0 for e in self._names if not e.backup):
            return None
        return endpoint

    def is_fresh(self, session: Session, endpoint: Endpoint, wall: int) -> bool:
        """Whether a session at `endpoint` needs no new token yet: half of its time is left."""
        left = session.expires - wall
        return self._names.get(endpoint) == session.name and self.ttl <= 2 * left <= 2 * self.ttl

    def _name(self, address: str) -> bytes:
        return hmac_digest(self._key, b"endpoint\0" + address.encode(), "sha256")[:_NAME]

    def _sign(self, content: bytes) -> bytes:
        return hmac_digest(self._key, b"session\0" + content, "sha256")[:_SIGNATURE]
