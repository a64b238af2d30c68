"""Where the registries are, which one is asked now, and the credential for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import urlsplit

Token = str | Callable[[], str] | None
"""A bearer token, what makes one that is good now, or none."""

REGISTRY: Final = "http://127.0.0.1:8083"
"""Where a registry listens unless it is told otherwise."""

_SCHEMES: Final = ("http", "https")


class NoToken(Exception):
    """The callable that makes tokens has failed."""


def base_url(text: str) -> str:
    """A registry's URL without a slash at its end. Raises ValueError for anything else."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if (
        not host
        or parts.scheme not in _SCHEMES
        or parts.username is not None
        or parts.query
        or parts.fragment
    ):
        raise ValueError("must be http://HOST[:PORT] or https://, without a user or a query")
    return text.rstrip("/")


class Registries:
    """Several of them hold the same: one is asked until it fails, then the next.

    Raises ValueError for no or bad urls.
    """

    __slots__ = ("_at", "_token", "urls")

    def __init__(self, urls: Sequence[str], token: Token = None) -> None:
        if isinstance(urls, str):
            urls = (urls,)
        if not urls:
            raise ValueError("a client of the registry needs the url of one")
        self.urls = tuple(base_url(url) for url in urls)
        self._token = token
        self._at = 0

    def __repr__(self) -> str:
        return f"<Registries {self.host} of {len(self.urls)}>"

    @property
    def url(self) -> str:
        """The one that is asked now."""
        return self.urls[self._at]

    @property
    def host(self) -> str:
        """Its name in logs."""
        return self.url.partition("://")[2].partition("/")[0]

    def turn(self) -> None:
        """It has failed: ask the next one."""
        self._at = (self._at + 1) % len(self.urls)

    def headers(self) -> dict[str, str]:
        """The credential, made anew where it may expire. Raises NoToken."""
        token = self._token
        if callable(token):
            try:
                token = token()
            except Exception as error:
                # Its text may hold what it was made of.
                raise NoToken(f"no token can be made: {type(error).__name__}") from error
        return {"Authorization": f"Bearer {token}"} if token else {}
