"""`[proxy.tls]` and a service's `tls`: what we serve with, and what we believe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from uaitools.config import ListenAddress, Model
from uaitools.proxy.config.units import Seconds

_NAME: Final = re.compile(r"(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.?)+", re.IGNORECASE)
# RFC 6797 6.1: directives, of which max-age has to be there.
_HSTS: Final = re.compile(r"max-age=[0-9]{1,10}(?:; ?(?:includeSubDomains|preload)){0,2}")


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, float) else value  # `min_version = 1.2` means it


Version = Annotated[Literal["1.2", "1.3"], BeforeValidator(_as_text)]


class CertificateFiles(Model):
    """A certificate with its chain and its key, in PEM files.

    names: what it answers for instead of the names in it; `*.example.com` for any one label.
    """

    cert: Path
    key: Path
    names: tuple[str, ...] = ()

    @field_validator("names")
    @classmethod
    def _host_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if _NAME.fullmatch(name) is None:
                raise ValueError(f"{name!r} is no host name; write example.com or *.example.com")
        return names


class ListenerTls(Model):
    """The `[proxy.tls]` table: `listen` speaks TLS, and nothing else.

    certificates: chosen by the name a client asks for; the first is for all other names.
    client_ca: a PEM file of those who sign clients' certificates. client_auth: whether clients
    have to show one. handshake: seconds. redirect: an address for plain HTTP, where every request
    is sent on to https. public_port: the port that clients know, that of `listen` unless given.
    hsts: the value of Strict-Transport-Security.
    """

    certificates: Annotated[tuple[CertificateFiles, ...], Field(min_length=1)]
    client_ca: Path | None = None
    client_auth: Literal["none", "optional", "required"] = "none"
    min_version: Version = "1.2"
    handshake: Seconds = 10
    redirect: ListenAddress | None = None
    public_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    hsts: str | None = None

    @field_validator("hsts")
    @classmethod
    def _directives(cls, value: str | None) -> str | None:
        if value is not None and _HSTS.fullmatch(value) is None:
            raise ValueError('write it as "max-age=31536000; includeSubDomains"')
        return value

    @model_validator(mode="after")
    def _authority(self) -> Self:
        if self.client_auth != "none" and self.client_ca is None:
            raise ValueError(f'client_auth = "{self.client_auth}" needs client_ca')
        if self.client_auth == "none" and self.client_ca is not None:
            raise ValueError('client_ca needs client_auth = "optional" or "required"')
        return self


class UpstreamTls(Model):
    """How a service's https endpoints are believed.

    verify: their certificate has to be valid and for their name. ca: a PEM file of those who sign
    it, instead of the system's. server_name: the name asked for and verified, instead of the
    endpoint's. cert, key: who we are, for services that ask.
    """

    verify: bool = True
    ca: Path | None = None
    server_name: str | None = None
    cert: Path | None = None
    key: Path | None = None
    min_version: Version = "1.2"

    @field_validator("server_name")
    @classmethod
    def _host_name(cls, name: str | None) -> str | None:
        if name is not None and (_NAME.fullmatch(name) is None or name.startswith("*")):
            raise ValueError(f"{name!r} is no host name")
        return name

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key are given together")
        if self.ca is not None and not self.verify:
            raise ValueError("ca has no effect with verify = false; leave one of them out")
        return self

    @property
    def files(self) -> tuple[Path, ...]:
        """All that its context is made from."""
        return tuple(path for path in (self.ca, self.cert, self.key) if path is not None)
