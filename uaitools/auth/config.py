"""The `[auth]` table: which credentials are accepted, by every component alike."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from uaitools.auth.jws import Algorithm
from uaitools.config import Model
from uaitools.secret import Secret

_SECRET_BYTES: Final = 32  # as long as HS256's hash (RFC 7518, 3.2)
_VARIETY: Final = 8  # different characters; random text of that length has more


def _strong(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if len(text.encode()) < _SECRET_BYTES or len(set(text)) < _VARIETY:
        raise ValueError(
            f"must be at least {_SECRET_BYTES} random bytes; python -c "
            '"import secrets; print(secrets.token_urlsafe(32))" makes one'
        )
    if "-----BEGIN" in text:
        raise ValueError("is a key file's text; a public key goes into public_key_file")
    return secret


def _fetchable(url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or parts.username is not None or parts.scheme not in ("http", "https"):
        raise ValueError("must be https://HOST[:PORT]/PATH, without a user")
    if parts.scheme == "http" and not _loopback(host):
        # Who could change the answer on its way could sign every token.
        raise ValueError("must be https:// unless its host is this machine")
    return url


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _key_file(path: Path) -> Path:
    from uaitools.auth.keyfile import KeyFileError, read  # noqa: PLC0415 - only where it is set

    try:
        read(path)
    except KeyFileError as error:
        raise ValueError(str(error)) from error
    return path


def _one_or_several(value: object) -> object:
    return (value,) if isinstance(value, Mapping | str | Model) else value


StrongSecret = Annotated[Secret, AfterValidator(_strong)]
ClaimName = Annotated[str, Field(min_length=1, max_length=128)]


class JwtConfig(Model):
    """Tokens of one issuer: `[auth.jwt]`, or `[[auth.jwt]]` for each of several.

    algorithms: by default all that the key allows. secret, public_key_file, jwks_url: one of
    them, for HS256, for the key in a PEM file, for keys at a URL. issuer, audience: what `iss` has
    to be and what `aud` has to contain. leeway: seconds that clocks may differ. jwks_refresh:
    seconds between fetches. *_claim: where user, scopes and roles stand; dots descend.
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    algorithms: tuple[Algorithm, ...] = ()
    secret: StrongSecret | None = None
    public_key_file: Path | None = None
    jwks_url: Annotated[str, AfterValidator(_fetchable)] | None = None
    issuer: Annotated[str, Field(min_length=1)] | None = None
    audience: Annotated[tuple[str, ...], BeforeValidator(_one_or_several)] = ()
    leeway: Annotated[float, Field(ge=0, le=300)] = 30
    jwks_refresh: Annotated[float, Field(ge=1, le=86_400)] = 300
    user_claim: ClaimName = "sub"
    scopes_claim: ClaimName = "scope"
    roles_claim: ClaimName = "roles"

    @property
    def accepted(self) -> tuple[Algorithm, ...]:
        """The algorithms that tokens may use."""
        return self.algorithms or self._possible()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        sources = (self.secret, self.public_key_file, self.jwks_url)
        if sum(source is not None for source in sources) != 1:
            raise ValueError("needs exactly one of secret, public_key_file and jwks_url")
        if self.jwks_url is not None and not (self.issuer and self.audience):
            raise ValueError("jwks_url needs issuer and audience: its keys sign for others, too")
        possible = self._possible()
        for algorithm in self.algorithms:
            if algorithm not in possible:
                raise ValueError(f"algorithms: {algorithm} does not go with {self._source()}")
        return self

    def _possible(self) -> tuple[Algorithm, ...]:
        """The algorithms that the key is for. Raises ValueError for a file without one."""
        if self.secret is not None:
            return ("HS256",)
        if self.public_key_file is None:
            return ("RS256", "ES256", "EdDSA")
        return (self.public_key()[0],)

    def public_key(self) -> tuple[Algorithm, Any]:
        """The key in `public_key_file` and what it is for. Raises ValueError."""
        # PyJWT and its cryptography take 0.1 s of the start, only where tokens are in use.
        from uaitools.auth.public_key import from_pem  # noqa: PLC0415

        assert self.public_key_file is not None
        try:
            return from_pem(self.public_key_file.read_bytes())
        except OSError as error:
            reason = error.strerror
        except ValueError as error:
            reason = str(error)
        raise ValueError(f"public_key_file: {self.public_key_file}: {reason}")

    def _source(self) -> str:
        if self.secret is not None:
            return "a secret, which is for HS256"
        if self.public_key_file is not None:
            return f"the key in {self.public_key_file}, which is for {self._possible()[0]}"
        return "jwks_url: public keys are for RS256, ES256 and EdDSA"


class AuthConfig(Model):
    """The `[auth]` table. Without any of its settings everyone is accepted.

    keys_file: API keys, written by `python -m uaitools keys`. jwt: issuers of tokens.
    service_secret: with which the gateway signs principal tokens, the same in every component.
    """

    # A traceback of a validation would otherwise show what was validated.
    model_config = ConfigDict(hide_input_in_errors=True)

    keys_file: Annotated[Path, AfterValidator(_key_file)] | None = None
    jwt: Annotated[tuple[JwtConfig, ...], BeforeValidator(_one_or_several)] = ()
    service_secret: StrongSecret | None = None

    @property
    def enabled(self) -> bool:
        """Whether any credential is asked for."""
        return self.keys_file is not None or bool(self.jwt) or self.service_secret is not None

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        issuers = [issuer.issuer for issuer in self.jwt]
        if len(issuers) > 1 and (None in issuers or len(set(issuers)) < len(issuers)):
            raise ValueError("jwt: several issuers are told apart by issuer; each needs its own")
        secrets = [issuer.secret for issuer in self.jwt if issuer.secret is not None]
        if self.service_secret is not None and self.service_secret in secrets:
            raise ValueError("service_secret: must differ from the secrets of jwt")
        return self
