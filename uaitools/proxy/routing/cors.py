"""Cross-origin requests to proxied routes: which lines their answers get, and preflights' answers.

Everything here depends on a request's head only, hence is decided with its plan. Whatever the
upstream says about it is dropped: two answers to one question could contradict each other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from uaitools.proxy.http1.response import ResponseHead

_ORIGIN: Final = re.compile(rb"\r\norigin:[\t ]*([^\r]*)", re.IGNORECASE)
_METHOD: Final = re.compile(rb"\r\naccess-control-request-method:[\t ]*([^\r]*)", re.IGNORECASE)
_HEADERS: Final = re.compile(rb"\r\naccess-control-request-headers:[\t ]*([^\r]*)", re.IGNORECASE)
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}")
_TOKENS: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z, \t]{0,2048}")
_UPSTREAMS: Final = re.compile(rb"(?<=\r\n)access-control-[^\r]*\r\n", re.IGNORECASE)
_ANY: Final = "*"
_VARY: Final = b"Vary: Origin\r\n"
_VARY_PREFLIGHT: Final = (
    b"Vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n"
)


class Cors:
    """The rules of one route; see uaitools.cors.CorsSettings. methods: those to allow."""

    __slots__ = (
        "_any_origin",
        "_credentials",
        "_exposed",
        "_headers",
        "_max_age",
        "_methods",
        "_origins",
    )

    def __init__(
        self,
        origins: Sequence[str],
        methods: Sequence[str],
        *,
        headers: Sequence[str] = (),
        expose: Sequence[str] = (),
        credentials: bool = False,
        max_age: int = 600,
    ) -> None:
        self._any_origin = _ANY in origins
        self._origins = frozenset(origin.encode() for origin in origins)
        self._methods = ", ".join(methods).encode()
        self._headers = None if _ANY in headers else ", ".join(headers).encode()
        exposed = ", ".join(expose).encode()
        self._exposed = b"Access-Control-Expose-Headers: %b\r\n" % exposed if exposed else b""
        self._credentials = b"Access-Control-Allow-Credentials: true\r\n" if credentials else b""
        self._max_age = b"Access-Control-Max-Age: %d\r\n" % max_age

    def __repr__(self) -> str:
        return f"<Cors origins={sorted(self._origins)}>"

    def lines(self, fields: bytes) -> bytes:
        """What to add to the answer of a request with these header lines."""
        allowed = self._allowed(fields)
        if allowed:
            allowed += self._exposed
        return allowed if self._any_origin else allowed + _VARY

    def preflight(self, fields: bytes) -> bytes:
        """The lines that answer a preflight with these header lines."""
        allowed = self._allowed(fields)
        if not allowed:
            return _VARY_PREFLIGHT  # the browser takes silence for a no
        headers = self._headers
        if headers is None:
            # Not "*": it would leave out Authorization, and with credentials mean an asterisk.
            asked = _HEADERS.findall(fields)
            headers = asked[0] if len(asked) == 1 and _TOKENS.fullmatch(asked[0]) else b""
        return b"".join(
            (
                allowed,
                b"Access-Control-Allow-Methods: %b\r\n" % self._methods,
                b"Access-Control-Allow-Headers: %b\r\n" % headers if headers else b"",
                self._max_age,
                _VARY_PREFLIGHT,
            )
        )

    def _allowed(self, fields: bytes) -> bytes:
        origins = _ORIGIN.findall(fields)
        if len(origins) != 1:
            return b""
        if self._any_origin:
            return b"Access-Control-Allow-Origin: *\r\n"
        origin = origins[0].rstrip(b"\t ")
        if origin not in self._origins:
            return b""
        return b"Access-Control-Allow-Origin: %b\r\n%b" % (origin, self._credentials)


class Preflight:
    """The answer to a preflight, instead of an upstream's. lines: each ended by CR LF."""

    __slots__ = ("_lines",)
    content: Final = b""

    def __init__(self, lines: bytes) -> None:
        self._lines = lines

    def __repr__(self) -> str:
        return f"<Preflight {self._lines!r}>"

    def head(self, date: str) -> ResponseHead:
        """Its head. date: an IMF-fixdate."""
        start = b"HTTP/1.1 204 No Content\r\nDate: %b\r\n%b" % (date.encode(), self._lines)
        return ResponseHead(204, start, b"", 0)


def preflight_method(method: bytes, fields: bytes) -> bytes | None:
    """The method that a preflight asks for; None when the request is none."""
    if method != b"OPTIONS":
        return None
    methods = _METHOD.findall(fields)
    if len(methods) != 1 or _ORIGIN.search(fields) is None:
        return None
    wanted: bytes = methods[0].rstrip(b"\t ")
    return wanted if _TOKEN.fullmatch(wanted) is not None else None


def cleaned(head: ResponseHead) -> ResponseHead:
    """`head` without what the upstream says about origins."""
    if _UPSTREAMS.search(head.start) is None:
        return head
    return ResponseHead(
        head.status,
        _UPSTREAMS.sub(b"", head.start),
        head.length,
        head.body,
        keep_alive=head.keep_alive,
        idle=head.idle,
        websocket=head.websocket,
        trailers=head.trailers,
    )
