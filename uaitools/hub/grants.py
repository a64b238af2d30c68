"""Tokens for private channels: an application says which of its users may have which channel.

{"typ": "JWT", "alg": "HS256"}
{"sub": "u-1", "channel": "private:room-7", "exp": 1767225660}
"""

from __future__ import annotations

import orjson

from uaitools.auth.errors import Refused
from uaitools.auth.jws import parse, signatures, verify
from uaitools.hub.commands import CommandError


class Grants:
    """Makes and checks such tokens, with the secret that the application shares."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return "<Grants>"

    def issue(self, user: str, channel: str, expires: float) -> str:
        """A token with which a user may subscribe to a channel. expires: unix seconds."""
        claims = {"sub": user, "channel": channel, "exp": int(expires)}
        header = {"typ": "JWT"}
        return signatures("HS256").encode(orjson.dumps(claims), self._secret, "HS256", header)

    def check(self, token: str, user: str, channel: str, now: float) -> float:
        """Let pass a token that is the user's, for this channel; when it expires, unix seconds.

        Raises CommandError.
        """
        try:
            parsed = parse(token.encode())
            verify(parsed, self._secret, "HS256")
        except Refused as error:
            raise CommandError("forbidden", str(error)) from None
        claims = parsed.claims
        expires = claims.get("exp")
        if not isinstance(expires, int | float) or isinstance(expires, bool) or expires <= now:
            raise CommandError("forbidden", "the channel's token has expired")
        if claims.get("sub") != user or claims.get("channel") != channel:
            raise CommandError("forbidden", "the token is for another channel, or another user")
        return float(expires)
