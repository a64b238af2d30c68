"""API keys: `uai_ID_SECRET`, of which only the SHA-256 is stored.

A slow, salted hash protects what people choose. A key's secret is 256 random bits: no dictionary
holds it and no two keys share it, so that one fast hash is as good, and cheap enough for each
request.
"""

from __future__ import annotations

import hmac
import math
import re
import secrets
from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Final, Literal

import orjson
from pydantic import AfterValidator, AwareDatetime, Field, ValidationError

from uaitools.auth.claims import KEY_PREFIX
from uaitools.auth.errors import Refused
from uaitools.auth.principal import Principal, valid_name
from uaitools.config import Model
from uaitools.problems import dotted, explain

PREFIX: Final = b"uai_"
MOST: Final = 100_000  # keys in a file
_FORM: Final = re.compile(r"uai_([a-z0-9]{12})_[A-Za-z0-9_-]{43}", re.ASCII)
_ID: Final = re.compile(r"[a-z0-9]{12}", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789"


def _named(text: str) -> str:
    if not valid_name(text):
        raise ValueError("must be 1 to 128 ASCII characters without space, quote and backslash")
    return text


def _printable(text: str) -> str:
    if not 0 < len(text) <= 128 or not text.isprintable() or text != text.strip():
        raise ValueError("must be 1 to 128 printable characters without spaces around them")
    return text


def _identifier(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError("must be 12 lower-case letters and digits")
    return text


def _hash(text: str) -> str:
    # Not by a pattern of pydantic's, which would repeat what stands there: perhaps the key itself.
    if not _SHA256.fullmatch(text):
        raise ValueError("must be the SHA-256 of a key, 64 hex digits in lower case")
    return text


Name = Annotated[str, AfterValidator(_named)]


class KeyRecord(Model):
    """What is stored of a key.

    sha256: of the whole key, in hex. expires, revoked: from when on it is refused, if ever.
    """

    id: Annotated[str, AfterValidator(_identifier)]
    name: Annotated[str, AfterValidator(_printable)]
    sha256: Annotated[str, AfterValidator(_hash)]
    scopes: tuple[Name, ...] = ()
    roles: tuple[Name, ...] = ()
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None


class _Document(Model):
    version: Literal[1]
    keys: Annotated[tuple[KeyRecord, ...], Field(max_length=MOST)]


class ApiKeys:
    """The keys of a file, found by their hash."""

    __slots__ = ("_by_hash",)

    def __init__(self, records: Iterable[KeyRecord]) -> None:
        self._by_hash = {bytes.fromhex(record.sha256): _Known.of(record) for record in records}

    def __repr__(self) -> str:
        return f"<ApiKeys {len(self._by_hash)}>"

    def find(self, text: bytes, now: float) -> Principal:
        """Whose key `text` is. now: unix seconds. Raises Refused.

        The time of a dictionary look-up depends on the hash, which tells nothing of other keys.
        """
        digest = sha256(text).digest()
        known = self._by_hash.get(digest)
        if known is None or not hmac.compare_digest(known.digest, digest):
            raise Refused("the API key is unknown")
        if known.revoked:
            raise Refused("the API key has been revoked")
        if now >= known.principal.expires:
            raise Refused("the API key has expired")
        return known.principal


class _Known:
    __slots__ = ("digest", "principal", "revoked")

    def __init__(self, digest: bytes, principal: Principal, revoked: bool) -> None:
        self.digest = digest
        self.principal = principal
        self.revoked = revoked

    @classmethod
    def of(cls, record: KeyRecord) -> _Known:
        expires = record.expires.timestamp() if record.expires is not None else math.inf
        scopes, roles = frozenset(record.scopes), frozenset(record.roles)
        principal = Principal(KEY_PREFIX + record.id, scopes, roles, "key", expires)
        return cls(bytes.fromhex(record.sha256), principal, record.revoked is not None)


def new_key(
    name: str,
    *,
    scopes: Iterable[str] = (),
    roles: Iterable[str] = (),
    created: AwareDatetime,
    expires: AwareDatetime | None = None,
) -> tuple[str, KeyRecord]:
    """Make a key: its text, which is nowhere else, and what to store. Raises ValueError."""
    own_id = "".join(secrets.choice(_ALPHABET) for _ in range(12))
    text = f"uai_{own_id}_{secrets.token_urlsafe(32)}"
    document = {
        "id": own_id,
        "name": name,
        "sha256": sha256(text.encode()).hexdigest(),
        "scopes": list(scopes),
        "roles": list(roles),
        "created": created,
        "expires": expires,
    }
    try:
        return text, KeyRecord.model_validate(document)
    except ValidationError as error:
        problems = explain(error, KeyRecord, document)
    raise ValueError("; ".join(f"{dotted(key)} {reason}" for key, reason in problems))


def id_of(text: str) -> str:
    """The id of a key, given the id or, by mistake, the whole key."""
    match = _FORM.fullmatch(text)
    return match[1] if match else text


def parse(data: bytes) -> tuple[KeyRecord, ...]:
    """The records of a key file. Raises ValueError with every problem, one a line."""
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not valid JSON: {error}") from None
    try:
        records = _Document.model_validate(document).keys
    except ValidationError as error:
        problems = [f"{dotted(key)}: {why}" for key, why in explain(error, _Document, document)]
    else:
        for field in ("id", "sha256"):
            if len({getattr(record, field) for record in records}) < len(records):
                raise ValueError(f"two keys have one {field}")
        return records
    raise ValueError("\n".join(problems[:20]))


def render(records: Iterable[KeyRecord]) -> bytes:
    """The text of a key file, a line a key."""
    lines = [orjson.dumps(record.model_dump(mode="json", exclude_none=True)) for record in records]
    return b'{"version": 1, "keys": [\n' + b",\n".join(lines) + b"\n]}\n"
