"""Sticky sessions: `[proxy.sticky]` for all of them, `sticky` of a service for its own."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import Field, field_validator

from uaitools.config import Model
from uaitools.secret import Secret

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}")
_LEAST: Final = 32  # characters of a secret


class Stickiness(Model):
    """cookie: the name of the cookie. ttl: seconds without a request until it is forgotten."""

    cookie: str = "uai_route"
    ttl: Annotated[int, Field(ge=1, le=31_536_000)] = 3600

    @field_validator("cookie")
    @classmethod
    def _token(cls, name: str) -> str:
        if _NAME.fullmatch(name) is None:
            raise ValueError("a cookie's name is up to 100 letters, digits and -_.")
        return name


class StickySecret(Model):
    """secret: signs the cookies; the same on every machine. Random at each start when left out."""

    secret: Secret | None = None

    @field_validator("secret")
    @classmethod
    def _long(cls, secret: Secret | None) -> Secret | None:
        if secret is not None and len(secret.get_secret_value()) < _LEAST:
            raise ValueError(
                f"the secret has to have {_LEAST} characters at least; "
                "make one with: openssl rand -hex 32"
            )
        return secret

    @property
    def key(self) -> bytes:
        """The secret's bytes; none when there is no secret."""
        return self.secret.get_secret_value().encode() if self.secret is not None else b""
