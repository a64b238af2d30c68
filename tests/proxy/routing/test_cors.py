"""The lines of cross-origin answers, from the fields of requests."""

import pytest

from uaitools.proxy.http1.response import parse_response
from uaitools.proxy.routing.cors import Cors, cleaned, preflight_method

APP = b"https://app.example.org"
ALLOW = b"Access-Control-Allow-Origin: "
VARY = b"Vary: Origin\r\n"
LISTED = Cors(["https://app.example.org"], ["GET"])
NULL = Cors(["https://app.example.org", "null"], ["GET"])
TRUSTED = Cors(["https://app.example.org"], ["GET"], expose=["X-Total"], credentials=True)
PUBLIC = Cors(["*"], ["GET"], headers=["*"])


def origin(*values: bytes) -> bytes:
    return b"\r\nAccept: */*" + b"".join(b"\r\nOrigin: %b" % value for value in values)


@pytest.mark.parametrize(
    ("cors", "fields", "lines"),
    [
        (LISTED, origin(APP), ALLOW + APP + b"\r\n" + VARY),
        (LISTED, b"\r\norigin:\t" + APP + b" ", ALLOW + APP + b"\r\n" + VARY),
        (LISTED, origin(), VARY),
        (LISTED, origin(b"https://evil.example"), VARY),
        (LISTED, origin(APP + b".evil.example"), VARY),
        (LISTED, origin(b"http://app.example.org"), VARY),
        (LISTED, origin(APP + b":8443"), VARY),
        (LISTED, origin(b"HTTPS://APP.EXAMPLE.ORG"), VARY),
        (LISTED, origin(APP, b"https://evil.example"), VARY),
        (LISTED, origin(b"null"), VARY),
        (NULL, origin(b"null"), ALLOW + b"null\r\n" + VARY),
        (
            TRUSTED,
            origin(APP),
            ALLOW + APP + b"\r\nAccess-Control-Allow-Credentials: true\r\n"
            b"Access-Control-Expose-Headers: X-Total\r\n" + VARY,
        ),
        (TRUSTED, origin(b"null"), VARY),
        (PUBLIC, origin(b"https://any.example"), ALLOW + b"*\r\n"),
        (PUBLIC, origin(), b""),
    ],
)
def test_an_answer_allows_the_origins_that_are_listed(
    cors: Cors, fields: bytes, lines: bytes
) -> None:
    assert cors.lines(fields) == lines


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (b"X-A, authorization", b"X-A, authorization"),
        (b"", b""),
        (b'x"y', b""),
        (b"a" * 3000, b""),
    ],
)
def test_a_preflight_repeats_the_headers_that_are_asked_for_where_all_are_allowed(
    asked: bytes, allowed: bytes
) -> None:
    lines = PUBLIC.preflight(origin(APP) + b"\r\nAccess-Control-Request-Headers: " + asked)
    assert (b"Access-Control-Allow-Headers: %b\r\n" % allowed in lines) == bool(allowed)
    assert lines.count(b"Allow-Headers") == bool(allowed)


def test_a_preflight_of_a_foreign_origin_is_told_nothing() -> None:
    assert LISTED.preflight(origin(b"https://evil.example")).startswith(b"Vary: ")


@pytest.mark.parametrize(
    ("method", "fields", "wanted"),
    [
        (b"OPTIONS", origin(APP) + b"\r\nAccess-Control-Request-Method: PUT", b"PUT"),
        (b"OPTIONS", b"\r\nORIGIN: x\r\naccess-control-request-method:PUT ", b"PUT"),
        (b"OPTIONS", origin(APP), None),
        (b"OPTIONS", b"\r\nAccess-Control-Request-Method: PUT", None),
        (b"GET", origin(APP) + b"\r\nAccess-Control-Request-Method: PUT", None),
        (b"OPTIONS", origin(APP) + b"\r\nAccess-Control-Request-Method: P T", None),
        (b"OPTIONS", origin(APP) + b"\r\nAccess-Control-Request-Method: PUT" * 2, None),
    ],
)
def test_a_preflight_is_options_with_an_origin_and_one_method(
    method: bytes, fields: bytes, wanted: bytes | None
) -> None:
    assert preflight_method(method, fields) == wanted


def test_what_the_upstream_says_about_origins_is_dropped_in_any_case() -> None:
    head = parse_response(
        b"HTTP/1.1 200 OK\r\naCCess-control-Allow-Origin: *\r\nX-A: access-control-x\r\n"
        b"ACCESS-CONTROL-MAX-AGE: 1\r\nVary: Accept\r\nContent-Length: 3"
    )
    clean = cleaned(head)
    assert clean.start == b"HTTP/1.1 200 OK\r\nX-A: access-control-x\r\nVary: Accept\r\n"
    assert (clean.length, clean.body, clean.status) == (head.length, head.body, head.status)
    assert cleaned(clean) is clean
