"""What is answered to a request that may not pass, and why it may not yet be answered.

    ServiceError
        AuthError      401, or 400: the credential is missing, wrong or malformed
            Forbidden  403: right, but not allowed to do this
        NotReady       503: the keys that would judge the credential cannot be had now
    Unresolved         not for clients: ask again when the keys have been fetched
    Refused            not for clients: why a token or a key is no good

Texts are fixed: nothing that a client sent is repeated in them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import ClassVar, Final

from uaitools.errors import ServiceError

_REALM: Final = 'Bearer realm="uaitools"'


class AuthError(ServiceError):
    """The request is refused for what it brings, or does not bring.

    reason: for people, without quotes. challenge: the value of WWW-Authenticate (RFC 6750, 3).
    """

    status: ClassVar[int] = 401

    def __init__(self, reason: str, service: str, challenge: str) -> None:
        super().__init__(self.status, reason, service)
        self.challenge = challenge

    @classmethod
    def missing(cls, service: str) -> AuthError:
        """No credential. A challenge without error code, as RFC 6750 (3.1) wants it."""
        hint = (
            "authentication is required; send an API key or a token as Authorization: Bearer, "
            "or a key as X-API-Key"
        )
        return AuthError(hint, service, _REALM)

    @classmethod
    def scheme(cls, service: str) -> AuthError:
        """An Authorization of another scheme, which is as good as none."""
        return AuthError("only Authorization: Bearer is understood here", service, _REALM)

    @classmethod
    def invalid(cls, reason: str, service: str) -> AuthError:
        """A credential that is not, or no longer, good."""
        return AuthError(reason, service, _challenge("invalid_token", reason))

    @classmethod
    def malformed(cls, reason: str, service: str) -> AuthError:
        """More or other than one credential: 400."""
        return _Malformed(reason, service, _challenge("invalid_request", reason))


class _Malformed(AuthError):
    """The request itself is wrong (invalid_request)."""

    status: ClassVar[int] = 400


class Forbidden(AuthError):
    """A known principal lacks a scope or a role."""

    status: ClassVar[int] = 403

    @classmethod
    def lacking(cls, scopes: Iterable[str], roles: Iterable[str], service: str) -> Forbidden:
        """scopes: all that are needed. roles: of which one is needed."""
        needed, either = sorted(scopes), sorted(roles)
        parts = [f"the scopes {' '.join(needed)}"] if needed else []
        parts += [f"one of the roles {' '.join(either)}"] if either else []
        reason = f"this needs {' and '.join(parts)}"
        challenge = _challenge("insufficient_scope", reason)
        if needed:
            challenge += f', scope="{" ".join(needed)}"'
        return Forbidden(reason, service, challenge)


class NotReady(ServiceError):
    """The issuer's keys cannot be had: the token may be good, but nobody can tell (503)."""

    def __init__(self, service: str) -> None:
        reason = "the keys of the token's issuer cannot be fetched; try again later"
        super().__init__(503, reason, service, retry_after=5)


class Unresolved(Exception):
    """Keys have to be fetched first: await `resolve()`, then authenticate again."""

    def __init__(self, resolve: Callable[[], Awaitable[None]]) -> None:
        super().__init__("keys have to be fetched first")
        self._resolve = resolve

    async def resolve(self) -> None:
        """Wait until the fetch under way has ended, well or not; bounded by its timeout."""
        await self._resolve()


class Refused(Exception):
    """A token or a key is not good. Its text is the reason, in fixed words."""


def _challenge(error: str, reason: str) -> str:
    """RFC 6750 (3) forbids quotes and backslashes in descriptions; names have none either."""
    return f'{_REALM}, error="{error}", error_description="{reason}"'
