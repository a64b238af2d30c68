import pytest

from uaitools.proxy.http1.response import ResponseHead, parse_response
from uaitools.proxy.routing.edits import Edits, may_edit

EDITS = Edits({b"Server": b"edge"}, {b"Vary": b"Origin"}, [b"x-internal", b"X-Gone"])


def response(*lines: bytes) -> ResponseHead:
    return parse_response(b"\r\n".join((b"HTTP/1.1 200 OK", *lines)))


def test_a_request_s_fields_are_removed_replaced_and_added() -> None:
    lines = b"\r\nAccept: a\r\nSERVER: x\r\nX-Internal: 1\r\nVary: Accept\r\nx-internal: 2"

    assert EDITS.request(lines) == (
        b"\r\nAccept: a\r\nVary: Accept\r\nServer: edge\r\nVary: Origin"
    )
    assert EDITS.request(b"") == b"\r\nServer: edge\r\nVary: Origin"
    assert Edits({}, {}, [b"Accept"]).request(b"\r\nAccept: a") == b""


def test_a_response_keeps_its_status_and_framing() -> None:
    head = EDITS.response(
        response(b"Server: nginx", b"X-Gone: 1", b"Vary: *", b"Content-Length: 3")
    )

    assert head.start == b"HTTP/1.1 200 OK\r\nVary: *\r\nServer: edge\r\nVary: Origin\r\n"
    assert (head.status, head.body, head.length) == (200, 3, b"Content-Length: 3\r\n")


def test_a_name_that_begins_like_another_is_another() -> None:
    assert b"X-Gone-By" in EDITS.response(response(b"X-Gone-By: 1")).start


def test_removed_names_are_announced_as_trailers_no_more() -> None:
    head = response(b"Transfer-Encoding: chunked", b"Trailer: X-Gone, X-Sum")

    assert EDITS.response(head).trailers == {b"x-sum"}


def test_equal_heads_are_edited_once_and_others_never_share() -> None:
    head = response(b"A: 1")

    assert EDITS.response(head) is EDITS.response(head)
    assert Edits({}, {}, [b"A"]).response(head).start == b"HTTP/1.1 200 OK\r\n"
    assert b"A: 1" in EDITS.response(head).start


def test_what_is_remembered_is_bounded() -> None:
    from uaitools.proxy.routing import edits  # noqa: PLC0415 - its table, whose bound this is about

    for number in range(2_000):
        EDITS.response(response(b"A: %d" % number))
        EDITS.response(response(b"A: %d" % number + b"x" * 4_000))

    known = edits._edited  # noqa: SLF001
    assert len(known) <= 512
    assert max(len(head.start) for _, head in known) <= 2048


def test_an_interim_head_loses_what_goes_and_gains_nothing() -> None:
    early = parse_response(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Internal: 1")

    assert EDITS.interim(early).start == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n"


@pytest.mark.parametrize("name", ["Accept", "X-Custom", "Cookie", "Set-Cookie", "Authorization"])
def test_ordinary_fields_may_be_edited(name: str) -> None:
    assert may_edit(name)


@pytest.mark.parametrize(
    "name",
    [
        *("Content-Length", "Transfer-Encoding", "Trailer", "TE", "Expect", "Host"),
        *("Connection", "Keep-Alive", "Proxy-Connection", "Upgrade", "Proxy-Authorization"),
        *("Forwarded", "X-Forwarded-For", "x-forwarded-anything", "X-Real-IP", "X-User-Id"),
        *("X-Request-Id", "traceparent", "tracestate", "VIA", "Idempotency-Key"),
        *("X_Custom", "", "a b", "a:b", "a\r\nb", "é"),
    ],
)
def test_framing_connection_and_trust_may_not(name: str) -> None:
    assert not may_edit(name)
