"""Hostile requests as data: what is sent, and what must come back.

`smuggled` stands in each place where a second request or a forged field would be, so that one
look at what the upstream received tells whether it got there.
"""

from __future__ import annotations

from dataclasses import dataclass

GET = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass(frozen=True)
class Hostile:
    """A request that is refused with `status`, after which the connection closes."""

    name: str
    raw: bytes
    status: int = 400

    def __str__(self) -> str:
        return self.name


def _get(lines: bytes, target: bytes = b"/x", version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET %b %b\r\nHost: a\r\n%b\r\n" % (target, version, lines)


def _post(lines: bytes, body: bytes) -> bytes:
    return b"POST /x HTTP/1.1\r\nHost: a\r\n%b\r\n%b" % (lines, body)


def _chunked(body: bytes) -> bytes:
    return _post(b"Transfer-Encoding: chunked\r\n", body)


_SMUGGLE = b"0\r\n\r\n" + GET

LINES = [
    Hostile("bare LF ends the request line", b"GET /x HTTP/1.1\nHost: a\r\n\r\n"),
    Hostile("bare LF between fields", b"GET /x HTTP/1.1\r\nHost: a\nX-A: smuggled\r\n\r\n"),
    Hostile("bare LF hides a length", _post(b"X: y\nContent-Length: 5\r\n", b"") + GET),
    Hostile("bare CR in a value", _get(b"X-A: b\rsmuggled: c\r\n")),
    Hostile("bare CR before the colon", _get(b"X-A\r: b\r\n")),
    Hostile("bare CR in the request line", b"GET /x\r HTTP/1.1\r\nHost: a\r\n\r\n"),
    Hostile("obs-fold with a space", _get(b"X-A: b\r\n smuggled: c\r\n")),
    Hostile("obs-fold with a tab", _get(b"X-A: b\r\n\tsmuggled: c\r\n")),
    Hostile("fold right behind the request line", b"GET /x HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n"),
    Hostile("folded Transfer-Encoding", _post(b"Transfer-Encoding:\r\n chunked\r\n", _SMUGGLE)),
    Hostile("space before the colon", _get(b"X-A : b\r\n")),
    Hostile("tab before the colon", _get(b"X-A\t: b\r\n")),
    Hostile("space before a length's colon", _post(b"Content-Length : 5\r\n", b"12345")),
    Hostile("space before the first name", b"GET /x HTTP/1.1\r\n Host: a\r\n\r\n"),
    Hostile("empty name", _get(b": b\r\n")),
    Hostile("line without a colon", _get(b"smuggled\r\n")),
    Hostile("name with a slash", _get(b"X/A: b\r\n")),
    Hostile("name with a quote", _get(b'X"A: b\r\n')),
    Hostile("name beyond ASCII", _get("X-Ä: b\r\n".encode())),
    Hostile("name in parentheses", _get(b"(X): b\r\n")),
    Hostile("NUL in a value", _get(b"X-A: b\x00c\r\n")),
    Hostile("NUL in a name", _get(b"X\x00A: b\r\n")),
    Hostile("escape character in a value", _get(b"X-A: \x1b[31m\r\n")),
    Hostile("DEL in a value", _get(b"X-A: \x7f\r\n")),
    Hostile("vertical tab in a value", _get(b"X-A: \x0bb\r\n")),
    Hostile("two spaces in the request line", b"GET  /x HTTP/1.1\r\nHost: a\r\n\r\n"),
    Hostile("tab in the request line", b"GET\t/x\tHTTP/1.1\r\nHost: a\r\n\r\n"),
    Hostile("space behind the version", b"GET /x HTTP/1.1 \r\nHost: a\r\n\r\n"),
    Hostile("space before the method", b" GET /x HTTP/1.1\r\nHost: a\r\n\r\n"),
    Hostile("space in the target", b"GET /x smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
    Hostile("method that is no token", b"GE(T /x HTTP/1.1\r\nHost: a\r\n\r\n"),
    Hostile("empty line only, twice", b"\r\n\r\n"),
    Hostile("TLS client hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
]

FRAMING = [
    Hostile(
        "CL.TE",
        _post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", _SMUGGLE),
    ),
    Hostile(
        "TE.CL",
        _post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"5c\r\n" + GET),
    ),
    Hostile(
        "TE.TE, the second obscure",
        _post(b"Transfer-Encoding: chunked\r\nTransfer-encoding: x\r\n", _SMUGGLE),
    ),
    Hostile(
        "TE.TE, the first obscure",
        _post(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", _SMUGGLE),
    ),
    Hostile(
        "TE.TE, both chunked",
        _post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", _SMUGGLE),
    ),
    Hostile("xchunked", _post(b"Transfer-Encoding: xchunked\r\n", _SMUGGLE)),
    Hostile("gzip, chunked", _post(b"Transfer-Encoding: gzip, chunked\r\n", _SMUGGLE)),
    Hostile("chunked, identity", _post(b"Transfer-Encoding: chunked, identity\r\n", _SMUGGLE)),
    Hostile("chunked, chunked", _post(b"Transfer-Encoding: chunked, chunked\r\n", _SMUGGLE)),
    Hostile("identity", _post(b"Transfer-Encoding: identity\r\n", _SMUGGLE)),
    Hostile("quoted chunked", _post(b'Transfer-Encoding: "chunked"\r\n', _SMUGGLE)),
    Hostile("chunked with a parameter", _post(b"Transfer-Encoding: chunked;q=1\r\n", _SMUGGLE)),
    Hostile("chunked with a comma", _post(b"Transfer-Encoding: ,chunked\r\n", _SMUGGLE)),
    Hostile("empty Transfer-Encoding", _post(b"Transfer-Encoding:\r\n", _SMUGGLE)),
    Hostile("vertical tab before chunked", _post(b"Transfer-Encoding:\x0bchunked\r\n", _SMUGGLE)),
    Hostile("NUL behind chunked", _post(b"Transfer-Encoding: chunked\x00\r\n", _SMUGGLE)),
    Hostile(
        "Transfer-Encoding on HTTP/1.0",
        b"POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + _SMUGGLE,
    ),
    Hostile(
        "TE hidden from Connection's point of view",
        _post(
            b"Connection: Content-Length\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            _SMUGGLE,
        ),
    ),
    Hostile(
        "differing lengths",
        _post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"123456"),
    ),
    Hostile("repeated length", _post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"12345")),
    Hostile("list of lengths", _post(b"Content-Length: 5, 5\r\n", b"12345")),
    Hostile("length with a plus", _post(b"Content-Length: +5\r\n", b"12345")),
    Hostile("length with a minus", _post(b"Content-Length: -5\r\n", b"12345")),
    Hostile("length with an underscore", _post(b"Content-Length: 0_5\r\n", b"12345")),
    Hostile("hexadecimal length", _post(b"Content-Length: 0x5\r\n", b"12345")),
    Hostile("length with a space", _post(b"Content-Length: 1 5\r\n", b"12345")),
    Hostile("length with a fraction", _post(b"Content-Length: 5.0\r\n", b"12345")),
    Hostile("empty length", _post(b"Content-Length:\r\n", b"12345")),
    Hostile("length in other digits", _post(b"Content-Length: \xd9\xa5\r\n", b"12345")),
    Hostile("length of twenty digits", _post(b"Content-Length: 18446744073709551621\r\n", b"1")),
]

HOSTS = [
    Hostile("no Host on 1.1", b"GET /x HTTP/1.1\r\n\r\n"),
    Hostile("two Hosts", b"GET /x HTTP/1.1\r\nHost: a\r\nHost: smuggled\r\n\r\n"),
    Hostile("the same Host twice", b"GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    Hostile("Host with a path", b"GET /x HTTP/1.1\r\nHost: a/smuggled\r\n\r\n"),
    Hostile("Host with a user", b"GET /x HTTP/1.1\r\nHost: smuggled@a\r\n\r\n"),
    Hostile("Host with a space", b"GET /x HTTP/1.1\r\nHost: a smuggled\r\n\r\n"),
    Hostile("Host with a list", b"GET /x HTTP/1.1\r\nHost: a:80:90\r\n\r\n"),
    Hostile("empty Host", b"GET /x HTTP/1.1\r\nHost:\r\n\r\n"),
    Hostile("authority unlike Host", b"GET http://smuggled/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    Hostile("authority's port unlike Host's", b"GET http://a:81/x HTTP/1.1\r\nHost: a\r\n\r\n"),
    Hostile("authority with a user", b"GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n"),
]

TARGETS = [
    Hostile("fragment", _get(b"", b"/x#smuggled")),
    Hostile("control character", _get(b"", b"/x\x01")),
    Hostile("NUL", _get(b"", b"/x\x00smuggled")),
    Hostile("byte beyond ASCII", _get(b"", "/ä".encode())),
    Hostile("DEL", _get(b"", b"/x\x7f")),
    Hostile("no leading slash", _get(b"", b"x")),
    Hostile("star with GET", _get(b"", b"*")),
    Hostile("other scheme", _get(b"", b"ftp://a/x")),
    Hostile("scheme of a file", _get(b"", b"file:///etc/passwd")),
    Hostile("encoded NUL", _get(b"", b"/x%00smuggled")),
    Hostile("broken escape", _get(b"", b"/x%zz")),
    Hostile("escape at the end", _get(b"", b"/x%2")),
    Hostile("backslash", _get(b"", b"/x\\..\\smuggled")),
    Hostile("encoded slash beside dots", _get(b"", b"/x/..%2fsmuggled")),
    Hostile("encoded backslash beside dots", _get(b"", b"/x/..%5csmuggled")),
    Hostile("encoded dots and slash", _get(b"", b"/x/%2e%2e%2fsmuggled")),
    Hostile("dots with a parameter", _get(b"", b"/x/..;a=b/smuggled")),
    Hostile("dot with a parameter", _get(b"", b"/x/.;/smuggled")),
]

METHODS_AND_VERSIONS = [
    Hostile("CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405),
    Hostile("CONNECT with a path", b"CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    Hostile("TRACE", b"TRACE /x HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    Hostile("unknown expectation", _post(b"Expect: smuggled\r\nContent-Length: 2\r\n", b"ok"), 417),
    Hostile("expectation with more", _post(b"Expect: 100-continue, x\r\n", b""), 417),
    Hostile("HTTP/0.9", b"GET /x\r\n\r\n", 505),
    Hostile("HTTP/0.9 in full", _get(b"", version=b"HTTP/0.9"), 505),
    Hostile("HTTP/2.0", _get(b"", version=b"HTTP/2.0"), 505),
    Hostile("HTTP/1.2", _get(b"", version=b"HTTP/1.2"), 505),
    Hostile("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    Hostile("version in small letters", _get(b"", version=b"http/1.1")),
    Hostile("version of two digits", _get(b"", version=b"HTTP/1.10")),
    Hostile("version with a sign", _get(b"", version=b"HTTP/+1.1")),
    Hostile("other protocol", _get(b"", version=b"ICY/1.1")),
]

LIMITS = [
    Hostile("request line over 8 KiB", _get(b"", b"/" + b"x" * 8192), 414),
    Hostile("request line without end", b"GET /" + b"x" * 9000, 414),
    Hostile("head over 16 KiB", _get(b"X-A: %b\r\n" % (b"b" * 16384)), 431),
    Hostile("head without end", b"GET /x HTTP/1.1\r\n" + b"X-A: b\r\n" * 2100, 431),
    Hostile("one field without end", b"GET /x HTTP/1.1\r\nX-A: " + b"b" * 16400, 431),
    Hostile("101 fields", _get(b"X-A: b\r\n" * 100), 431),
]

CHUNKS = [
    Hostile("chunk size with 0x", _chunked(b"0x2\r\nok\r\n0\r\n\r\n")),
    Hostile("chunk size with a plus", _chunked(b"+2\r\nok\r\n0\r\n\r\n")),
    Hostile("chunk size with a minus", _chunked(b"-2\r\nok\r\n0\r\n\r\n")),
    Hostile("chunk size with an underscore", _chunked(b"0_2\r\nok\r\n0\r\n\r\n")),
    Hostile("chunk size with a leading space", _chunked(b" 2\r\nok\r\n0\r\n\r\n")),
    Hostile("chunk size with a trailing space", _chunked(b"2 \r\nok\r\n0\r\n\r\n")),
    Hostile("no chunk size", _chunked(b"\r\nok\r\n0\r\n\r\n")),
    Hostile("extension without a size", _chunked(b";a=b\r\nok\r\n0\r\n\r\n")),
    Hostile("chunk size that is no number", _chunked(b"zz\r\nok\r\n0\r\n\r\n")),
    Hostile("chunk size of 17 digits", _chunked(b"00000000000000002\r\nok\r\n0\r\n\r\n")),
    Hostile("chunk size that wraps to 2", _chunked(b"10000000000000002\r\nok\r\n0\r\n\r\n")),
    Hostile("chunk line ended by LF", _chunked(b"2\nok\r\n0\r\n\r\n")),
    Hostile("chunk line ended by CR", _chunked(b"2\rok\r\n0\r\n\r\n")),
    Hostile("chunk data ended by LF", _chunked(b"2\r\nok\n0\r\n\r\n")),
    Hostile("chunk data longer than its size", _chunked(b"2\r\nokay\r\n0\r\n\r\n")),
    Hostile("chunk data shorter than its size", _chunked(b"4\r\nok\r\n0\r\n\r\n")),
    Hostile("LF in an extension", _chunked(b"2;a=b\nsmuggled\r\nok\r\n0\r\n\r\n")),
    Hostile("CR in an extension", _chunked(b"2;a=b\rsmuggled\r\nok\r\n0\r\n\r\n")),
    Hostile("NUL in an extension", _chunked(b"2;\x00\r\nok\r\n0\r\n\r\n")),
    Hostile("extension without end", _chunked(b"2;" + b"a" * 300)),
    Hostile("extensions over 16 KiB", _chunked(b"1;%b\r\na\r\n" % (b"a" * 200) * 90)),
    Hostile("last chunk ended by LF", _chunked(b"2\r\nok\r\n0\n\n" + GET)),
    Hostile("trailer without a colon", _chunked(b"0\r\nsmuggled\r\n\r\n")),
    Hostile("trailer with a space before the colon", _chunked(b"0\r\nX : y\r\n\r\n")),
    Hostile("folded trailer", _chunked(b"0\r\nX: y\r\n smuggled\r\n\r\n")),
    Hostile("trailer with a bare LF", _chunked(b"0\r\nX: y\nsmuggled: z\r\n\r\n")),
    Hostile("trailers without end", _chunked(b"0\r\n" + b"X-A: %b\r\n" % (b"b" * 100) * 170)),
    Hostile("101 trailers", _chunked(b"0\r\n" + b"X-A: b\r\n" * 101 + b"\r\n")),
]

HEADS = [*LINES, *FRAMING, *HOSTS, *TARGETS, *METHODS_AND_VERSIONS, *LIMITS]
