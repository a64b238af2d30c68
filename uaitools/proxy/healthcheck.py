"""One active health check: what is sent, and whether what comes back is good."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from uaitools.proxy.http1.body import CHUNKED, UNTIL_CLOSE, ChunkedBody, CloseBody, LengthBody
from uaitools.proxy.http1.grammar import MessageError
from uaitools.proxy.http1.response import ResponseHead, check_partial_response, parse_response
from uaitools.traffic.checks import CheckPolicy

BODY_LIMIT: Final = 64 * 1024  # bytes of a body that are looked at; no more are read
_INTERIM_LIMIT: Final = 16
_LOCAL: Final = "localhost"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What the endpoints of a service are asked.

    path: None when a connection alone will do. host: the Host header, None for the endpoint's
    address. statuses: those of a good answer. body: what has to be found in it, or None.
    """

    path: str | None = None
    method: str = "GET"
    host: str | None = None
    statuses: frozenset[int] = frozenset(range(200, 300))
    body: re.Pattern[bytes] | None = None
    policy: CheckPolicy = field(default_factory=CheckPolicy)

    def request(self, address: str) -> bytes:
        """The request to the endpoint at `address`; empty when there is none to send."""
        if self.path is None:
            return b""
        host = self.host or (_LOCAL if address.startswith("unix:") else address)
        return (
            f"{self.method} {self.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: uaitools-check\r\n"
            "Accept: */*\r\nConnection: close\r\n\r\n"
        ).encode()


class Reading:
    """The answer to a check, read as strictly as any other and never beyond its bounds.

    failure: why it is not good, empty when it is good, None as long as that is open.
    """

    __slots__ = ("_body", "_buffer", "_check", "_content", "_interims", "failure")

    def __init__(self, check: HealthCheck) -> None:
        self._check = check
        self._buffer = b""
        self._body: LengthBody | ChunkedBody | CloseBody | None = None
        self._content = b""
        self._interims = 0
        self.failure: str | None = None

    def __repr__(self) -> str:
        return f"<Reading failure={self.failure!r} content={len(self._content)}>"

    def feed(self, data: bytes) -> None:
        """More of the answer."""
        try:
            if self._body is not None:
                self._read(data)
            elif self.failure is None:
                self._buffer += data
                self._read_head()
        except MessageError as error:
            self.failure = error.message

    def end(self) -> None:
        """The connection has ended."""
        if self.failure is not None:
            return
        if isinstance(self._body, CloseBody):
            self._judge()
        else:
            self.failure = "the connection ended before the answer"

    def _read_head(self) -> None:
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = parse_response(self._buffer[:end])
            self._buffer = self._buffer[end + 4 :]
            if head.status >= 200:
                self._begin(head)
                return
            self._interims += 1
            if head.status == 101 or self._interims > _INTERIM_LIMIT:
                self.failure = f"an unexpected {head.status} response"
                return
        check_partial_response(self._buffer)

    def _begin(self, head: ResponseHead) -> None:
        if head.status not in self._check.statuses:
            self.failure = f"status {head.status}"
        elif self._check.body is None:
            self.failure = ""
        else:
            if head.body == CHUNKED:
                self._body = ChunkedBody(502)
            elif head.body == UNTIL_CLOSE:
                self._body = CloseBody()
            else:
                self._body = LengthBody(head.body)
            rest, self._buffer = self._buffer, b""
            self._read(rest)

    def _read(self, data: bytes) -> None:
        body = self._body
        if self.failure is not None or body is None:
            return
        self._content += body.feed(data)
        if body.done or len(self._content) >= BODY_LIMIT:
            self._judge()

    def _judge(self) -> None:
        pattern = self._check.body
        found = pattern is None or pattern.search(self._content[:BODY_LIMIT]) is not None
        self.failure = "" if found else "the body is not the expected one"
