"""Hostile responses as data: never relayed, and their connection never used again."""

from __future__ import annotations

from dataclasses import dataclass

_OK = b"HTTP/1.1 200 OK\r\n"
SPLIT = _OK + b"Content-Length: 8\r\n\r\nsmuggled"


@dataclass(frozen=True)
class Bad:
    """A response whose head cannot be understood in one way only: the client gets a 502."""

    name: str
    raw: bytes
    closes: bool = False  # the upstream ends the connection behind it

    def __str__(self) -> str:
        return self.name


def _ok(lines: bytes, body: bytes = b"") -> bytes:
    return _OK + lines + b"\r\n" + body


HEADS = [
    Bad("bare LF ends the status line", b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
    Bad("bare LF between fields", _ok(b"X-A: b\nSet-Cookie: smuggled\r\n")),
    Bad("bare CR in a value", _ok(b"X-A: b\rSet-Cookie: smuggled\r\n")),
    Bad("bare CR in the reason", b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n"),
    Bad("obs-fold", _ok(b"X-A: b\r\n smuggled: c\r\nContent-Length: 0\r\n")),
    Bad("space before the colon", _ok(b"Content-Length : 0\r\n")),
    Bad("line without a colon", _ok(b"smuggled\r\n")),
    Bad("empty name", _ok(b": smuggled\r\n")),
    Bad("NUL in a value", _ok(b"X-A: \x00\r\nContent-Length: 0\r\n")),
    Bad("NUL in the reason", b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n"),
    Bad("name that is no token", _ok(b"X A: b\r\nContent-Length: 0\r\n")),
    Bad("length with chunked", _ok(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0")),
    Bad("differing lengths", _ok(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"123456")),
    Bad("repeated length", _ok(b"Content-Length: 2\r\nContent-Length: 2\r\n", b"ok")),
    Bad("list of lengths", _ok(b"Content-Length: 2, 2\r\n", b"ok")),
    Bad("length with a plus", _ok(b"Content-Length: +2\r\n", b"ok")),
    Bad("length with a minus", _ok(b"Content-Length: -2\r\n", b"ok")),
    Bad("length with an underscore", _ok(b"Content-Length: 0_2\r\n", b"ok")),
    Bad("hexadecimal length", _ok(b"Content-Length: 0x2\r\n", b"ok")),
    Bad("empty length", _ok(b"Content-Length:\r\n", b"ok")),
    Bad("bad length on a 304", b"HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\n\r\n"),
    Bad("gzip, chunked", _ok(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n")),
    Bad("xchunked", _ok(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n")),
    Bad(
        "chunked twice", _ok(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0")
    ),
    Bad("chunked on 1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    Bad("HTTP/2.0", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    Bad("HTTP/1.2", b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"),
    Bad("other protocol", b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n"),
    Bad("status of two digits", b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"),
    Bad("status of four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
    Bad("status with a sign", b"HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n"),
    Bad("status 0xx", b"HTTP/1.1 020 OK\r\nContent-Length: 0\r\n\r\n"),
    Bad("two spaces before the status", b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"),
    Bad("empty line before the status line", b"\r\n" + SPLIT),
    Bad("HTTP/0.9 body", b"<html>smuggled</html>\r\n\r\n"),
    Bad("HTTP/0.9 body and end", b"<html>smuggled</html>", closes=True),
    Bad("greeting of another protocol", b"220 mail ESMTP\r\n", closes=True),
    Bad("TLS alert", b"\x15\x03\x01\x00\x02\x02\x16", closes=True),
    Bad("head over 16 KiB", _ok(b"X-A: %b\r\n" % (b"b" * 17000))),
    Bad("head without end", _OK + b"X-A: b\r\n" * 2200),
    Bad("101 fields", _ok(b"X-A: b\r\n" * 101)),
    Bad("switched protocols unasked", b"HTTP/1.1 101 Switching Protocols\r\n\r\nsmuggled"),
    Bad(
        "switched to a WebSocket unasked",
        b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nsmuggled",
    ),
    Bad("17 interim responses", b"HTTP/1.1 102 Processing\r\n\r\n" * 17),
    Bad("interim response with a bare LF", b"HTTP/1.1 103 X\r\nLink: a\nsmuggled: b\r\n\r\n"),
    Bad("nothing at all", b"", closes=True),
    Bad("half a head", _OK + b"Content-Le", closes=True),
]

_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"

# The head is good and may have been relayed already: a 502, or an aborted connection.
BODIES = [
    Bad("chunk size with 0x", _CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n"),
    Bad("chunk size with a sign", _CHUNKED + b"+2\r\nok\r\n0\r\n\r\n"),
    Bad("chunk size that is no number", _CHUNKED + b"smuggled\r\n"),
    Bad("chunk size of 17 digits", _CHUNKED + b"10000000000000002\r\nok\r\n0\r\n\r\n"),
    Bad("chunk line ended by LF", _CHUNKED + b"2\nok\r\n0\r\n\r\n"),
    Bad("chunk data ended by LF", _CHUNKED + b"2\r\nok\n0\r\n\r\n"),
    Bad("chunk longer than its size", _CHUNKED + b"2\r\nokay\r\n0\r\n\r\n"),
    Bad("extension without end", _CHUNKED + b"2;" + b"a" * 300),
    Bad("malformed trailer", _CHUNKED + b"2\r\nok\r\n0\r\nsmuggled\r\n\r\n"),
    Bad("trailers without end", _CHUNKED + b"2\r\nok\r\n0\r\n" + b"X-A: b\r\n" * 2200),
    Bad("chunked body cut off", _CHUNKED + b"5\r\nok", closes=True),
    Bad("no last chunk", _CHUNKED + b"2\r\nok\r\n", closes=True),
    Bad("no end of the trailers", _CHUNKED + b"2\r\nok\r\n0\r\n", closes=True),
    Bad("shorter than its length", _OK + b"Content-Length: 5\r\n\r\nok", closes=True),
]

_OKAY = _OK + b"Content-Length: 2\r\n\r\nok"

# A good response with more behind it: the response is relayed, its connection is thrown away.
EXCESS = [
    Bad("a second response", _OKAY + SPLIT),
    Bad("garbage", _OKAY + b"smuggled"),
    Bad("an empty line", _OKAY + b"\r\n"),
    Bad("one byte", _OKAY + b"\x00"),
    Bad("a body on a 204", b"HTTP/1.1 204 No Content\r\n\r\nsmuggled"),
    Bad("a chunked 204", b"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    Bad("a body on a 304", b"HTTP/1.1 304 X\r\nContent-Length: 8\r\n\r\nsmuggled"),
    Bad("more than a chunked body", _CHUNKED + b"2\r\nok\r\n0\r\n\r\n" + SPLIT),
    Bad("a response behind an interim and a final one", b"HTTP/1.1 103 X\r\n\r\n" + _OKAY + SPLIT),
]
