"""Our heads and bodies against h11's: what we accept, h11 reads in the same way.

The reverse does not hold: STRICTER_* list each class of messages that h11 accepts and we refuse,
because other servers read them in other ways. On purpose we differ in three things only: our path
is normalised while h11's target is as it came; we take white space before the ';' of a chunk
extension, which is the RFC's BWS (RFC 9112 7.1.1); and we drop a Content-Length among trailers
unread (RFC 9110 6.5.1). h11 refuses the second always, the third when it is malformed.
"""

import re

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.proxy.http1.heads import CRLF, REQUESTS, RESPONSES
from tests.proxy.http1.test_body import broken_messages, chunked_messages, decoded
from uaitools.proxy.http1.body import CHUNKED, UNTIL_CLOSE
from uaitools.proxy.http1.grammar import MessageError
from uaitools.proxy.http1.request import RequestHead
from uaitools.proxy.http1.response import ResponseHead, parse_response

LENIENT = re.compile(rb"[ \t];|Content-Length", re.IGNORECASE)
CHUNKED_BODY = b"3;x\r\nabc\r\n0\r\n\r\n"
Fields = list[tuple[bytes, bytes]]

# What we act on instead of forwarding it as it came, in the lines of a request and of a response.
ACTED_ON_IN_RESPONSES = frozenset(
    b"connection content-length keep-alive te trailer transfer-encoding upgrade".split()
)
ACTED_ON_IN_REQUESTS = ACTED_ON_IN_RESPONSES | frozenset(
    b"expect host traceparent x-forwarded-for x-user-id".split()
)

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
STRICTER_REQUESTS = [
    pytest.param(b"GET / HTTP/1.1\nHost: a", 400, id="bare LF ends a line: RFC 9112 2.2"),
    pytest.param(GET + b"X: a\nY: b", 400, id="bare LF in the block: RFC 9112 2.2"),
    pytest.param(GET + b"X: a\r\n b", 400, id="obs-fold: RFC 9112 5.2 allows to refuse it"),
    pytest.param(GET + b"X: \x01", 400, id="CTL in a value: RFC 9110 5.5"),
    pytest.param(GET + b"X: \x7f", 400, id="DEL in a value: RFC 9110 5.5"),
    pytest.param(
        GET + b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        400,
        id="both framings: RFC 9112 6.3 rule 3 allows to refuse it",
    ),
    pytest.param(
        GET + b"Content-Length: 5\r\nContent-Length: 5",
        400,
        id="repeated equal lengths: RFC 9110 8.6 allows to refuse them",
    ),
    pytest.param(GET + b"Content-Length: 5, 5", 400, id="a list of lengths: RFC 9110 8.6"),
    pytest.param(GET + b"Content-Length: " + b"1" * 19, 400, id="lengths from 10^18: RFC 9110 8.6"),
    pytest.param(
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked",
        400,
        id="Transfer-Encoding on 1.0: RFC 9112 6.1 calls its framing faulty",
    ),
    pytest.param(b"GET /#a HTTP/1.1\r\nHost: a", 400, id="'#' in the target: RFC 9112 3.2"),
    pytest.param(b"GET a HTTP/1.1\r\nHost: a", 400, id="no form of a target: RFC 9112 3.2"),
    pytest.param(b"GET /%zz HTTP/1.1\r\nHost: a", 400, id="a broken escape: RFC 3986 2.1"),
    pytest.param(b"GET /..%2f HTTP/1.1\r\nHost: a", 400, id="a path of two readings: RFC 3986 6.2"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a b", 400, id="Host is no authority: RFC 9110 7.2"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: ", 400, id="an empty Host: RFC 9110 4.2.1"),
    pytest.param(
        b"GET http://b/ HTTP/1.1\r\nHost: a", 400, id="authority and Host differ: RFC 9112 3.2.2"
    ),
    pytest.param(b"CONNECT a:1 HTTP/1.1\r\nHost: a", 405, id="CONNECT: RFC 9110 9.3.6"),
    pytest.param(b"TRACE / HTTP/1.1\r\nHost: a", 405, id="TRACE: RFC 9110 9.3.8"),
    pytest.param(GET + b"Expect: x", 417, id="an unknown expectation: RFC 9110 10.1.1"),
    pytest.param(
        GET + b"X: a\r\n" * 101 + b"Y: a", 431, id="more than 100 fields: RFC 9110 5.4 leaves it"
    ),
    pytest.param(b"GET / HTTP/1.2\r\nHost: a", 505, id="HTTP/1.2, never defined: RFC 9110 15.6.6"),
]
STRICTER_RESPONSES = [
    pytest.param(b"HTTP/1.1 200 OK\nX: a", id="bare LF: RFC 9112 2.2"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX: a\r\n b", id="obs-fold: RFC 9112 5.2 allows a 502"),
    pytest.param(b"HTTP/1.1 200 OK\r\nX: \x01", id="CTL in a value: RFC 9110 5.5"),
    pytest.param(b"HTTP/1.1 200 \x01", id="CTL in the reason: RFC 9112 4"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
        id="both framings: RFC 9112 6.3 rule 3",
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5",
        id="repeated lengths: RFC 9112 6.3 rule 5",
    ),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5", id="a list: RFC 9112 6.3 rule 5"),
    pytest.param(
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
        id="Transfer-Encoding on 1.0: RFC 9112 6.1",
    ),
    pytest.param(b"HTTP/1.2 200 OK\r\nContent-Length: 0", id="a version never defined"),
]
STRICTER_BODIES = [
    pytest.param(b"5 \r\nhello\r\n0\r\n\r\n", id="space behind the size: RFC 9112 7.1"),
    pytest.param(b"5;\x01\r\nhello\r\n0\r\n\r\n", id="CTL in an extension: RFC 9112 7.1.1"),
    pytest.param(b"5;a\rb\r\nhello\r\n0\r\n\r\n", id="bare CR in an extension: RFC 9112 2.2"),
    pytest.param(
        b"0" * 13 + b"5\r\nhello\r\n0\r\n\r\n", id="14 digits: RFC 9112 7.1 wants a limit"
    ),
    pytest.param(
        b"5;" + b"a" * 300 + b"\r\nhello\r\n0\r\n\r\n", id="long extension: RFC 9112 7.1.1"
    ),
    pytest.param(b"0\r\nX: a\nY: b\r\n\r\n", id="bare LF in trailers: RFC 9112 2.2"),
    pytest.param(b"0\r\nX: a\r\n b\r\n\r\n", id="obs-fold in trailers: RFC 9112 5.2"),
]


def fields_of(lines: bytes) -> Fields:
    """The fields of header lines: lower-case names, values without outer white space."""
    found = []
    for line in filter(None, lines.split(CRLF)):
        name, _, value = line.partition(b":")
        found.append((name.lower(), value.strip(b" \t")))
    return found


def h11_request(data: bytes) -> tuple[h11.Request, bytes, bool]:
    """The request that h11 reads, the payload behind its head, and whether that was all."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    return request, *_payload(connection)


def h11_response(data: bytes) -> tuple[h11.Response | h11.InformationalResponse, bytes, bool]:
    """The response to a GET that h11 reads, the payload behind its head, and whether it ended."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    response = connection.next_event()
    assert isinstance(response, h11.Response | h11.InformationalResponse)
    if isinstance(response, h11.InformationalResponse):
        return response, b"", True
    return response, *_payload(connection)


def _payload(connection: h11.Connection) -> tuple[bytes, bool]:
    payload = b""
    while isinstance(event := connection.next_event(), h11.Data):
        payload += event.data
    return payload, isinstance(event, h11.EndOfMessage)


def body_for(size: int) -> tuple[bytes, bytes]:
    """A body of the framing that we found: on the wire, and its payload."""
    if size == CHUNKED:
        return CHUNKED_BODY, b"abc"
    payload = b"p" * (100 if size == UNTIL_CLOSE else size)
    return payload, payload


def without(names: frozenset[bytes], fields: Fields) -> Fields:
    """The fields that are forwarded as they came: not those, nor what Connection names."""
    options = {
        option.strip().lower()
        for name, value in fields
        if name == b"connection"
        for option in value.split(b",")
    }
    return [field for field in fields if field[0] not in names | options]


def parsed_request(raw: bytes) -> RequestHead | None:
    try:
        return RequestHead(raw)
    except MessageError:
        return None


def parsed_response(raw: bytes) -> ResponseHead | None:
    try:
        return parse_response(raw)
    except MessageError:
        return None


@given(REQUESTS)
@settings(deadline=None, max_examples=400)
def test_a_request_that_we_accept_is_the_same_to_h11(raw: bytes) -> None:
    head = parsed_request(raw)
    if head is None or head.body > 1000:
        return
    wire, payload = body_for(head.body)

    request, body, ended = h11_request(raw + CRLF + CRLF + wire)

    theirs = [(bytes(name), bytes(value)) for name, value in request.headers]
    assert request.method == head.method
    assert request.http_version == b"1.%d" % head.minor
    assert request.target.endswith(head.query)
    assert (body, ended) == (payload, True)
    assert head.host == dict(theirs).get(b"host")
    forwarded = [
        (name, value)
        for name, value in theirs
        if b"_" not in name and not name.startswith((b"x-user-", b"x-forwarded-"))
    ]
    assert fields_of(head.lines) == without(ACTED_ON_IN_REQUESTS, forwarded)


@given(RESPONSES)
@settings(deadline=None, max_examples=400)
def test_a_response_that_we_accept_is_the_same_to_h11(raw: bytes) -> None:
    head = parsed_response(raw)
    if head is None or head.body > 1000 or head.status == 101:
        return
    wire, payload = body_for(head.body)

    response, body, ended = h11_response(raw + CRLF + CRLF + wire)

    theirs = [(bytes(name), bytes(value)) for name, value in response.headers]
    status_line, _, lines = head.start.partition(CRLF)
    assert response.status_code == head.status
    assert status_line == b"HTTP/1.1 %d %b" % (head.status, response.reason)
    assert (body, ended) == (payload, head.body != UNTIL_CLOSE)
    assert fields_of(lines) == without(ACTED_ON_IN_RESPONSES, theirs)


@given(st.one_of(chunked_messages(), broken_messages()))
@settings(deadline=None, max_examples=200)
def test_a_chunked_body_that_we_accept_is_the_same_to_h11(message: bytes) -> None:
    ours = decoded([message])
    if not ours.done or LENIENT.search(message) is not None:
        return

    _, payload, ended = h11_request(GET + b"Transfer-Encoding: chunked\r\n\r\n" + message)

    assert (payload, ended) == (ours.payload, True)


@pytest.mark.parametrize(
    "message",
    [b"5 \t;a\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n0\r\nContent-Length: x\r\n\r\n"],
)
def test_a_chunked_body_that_we_accept_and_h11_does_not(message: bytes) -> None:
    assert decoded([message]).payload == b"hello"
    with pytest.raises(h11.RemoteProtocolError):
        h11_request(GET + b"Transfer-Encoding: chunked\r\n\r\n" + message)


@pytest.mark.parametrize(("raw", "code"), STRICTER_REQUESTS)
def test_a_request_that_h11_accepts_and_others_read_in_another_way_is_refused(
    raw: bytes, code: int
) -> None:
    h11_request(raw + CRLF + CRLF)

    with pytest.raises(MessageError) as caught:
        RequestHead(raw)
    assert caught.value.code == code


@pytest.mark.parametrize("raw", STRICTER_RESPONSES)
def test_a_response_that_h11_accepts_and_others_read_in_another_way_is_refused(
    raw: bytes,
) -> None:
    h11_response(raw + CRLF + CRLF)

    with pytest.raises(MessageError) as caught:
        parse_response(raw)
    assert caught.value.code == 502


@pytest.mark.parametrize("message", STRICTER_BODIES)
def test_a_chunked_body_that_h11_accepts_and_others_read_in_another_way_is_refused(
    message: bytes,
) -> None:
    assert h11_request(GET + b"Transfer-Encoding: chunked\r\n\r\n" + message)[2]

    assert decoded([message]).error is not None
