"""The bytes that the micro-benchmarks work on: eight headers in, a small JSON answer out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Final

REQUEST: Final = (
    b"GET /api/chat HTTP/1.1\r\nHost: 127.0.0.1:8081\r\nUser-Agent: bench/1.0\r\n"
    b"Accept: application/json\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en\r\n"
    b"Authorization: Bearer abcdefghijklmnopqrstuvwxyz\r\nCookie: session=1234567\r\n"
    b"X-Trace: t1234567"
)
RESPONSE: Final = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 02:33:50 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: 133\r\nConnection: keep-alive"
)
BODY: Final = b"x" * 133
END: Final = b"\r\n\r\n"


def unique_requests() -> Iterator[bytes]:
    """Heads that never repeat: query, cookie and trace header differ."""
    for number in count(1_000_000):
        digits = b"%d" % number
        yield REQUEST.replace(b"chat HTTP", b"chat?q=" + digits + b" HTTP").replace(
            b"1234567", digits
        )
