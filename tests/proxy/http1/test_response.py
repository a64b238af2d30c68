import pytest
from hypothesis import given, settings

from tests.proxy.http1.heads import RESPONSES
from uaitools.proxy.http1.body import CHUNKED, UNTIL_CLOSE
from uaitools.proxy.http1.grammar import FIELD_COUNT_LIMIT, HEAD_LIMIT, MessageError
from uaitools.proxy.http1.response import (
    IDLE_SECONDS,
    ResponseHead,
    check_partial_response,
    parse_response,
)

OK = b"HTTP/1.1 200 OK"
CHUNKED_LINE = b"Transfer-Encoding: chunked"


def parsed(*fields: bytes, line: bytes = OK) -> ResponseHead:
    return parse_response(b"\r\n".join((line, *fields)))


def refused(*fields: bytes, line: bytes = OK) -> bool:
    """Whether the head is a 502 each time it comes."""
    for _ in range(3):
        with pytest.raises(MessageError) as caught:
            parsed(*fields, line=line)
        assert caught.value.code == 502
    return True


# -- status line --------------------------------------------------------------------------------


def test_the_status_line_is_written_out_for_http_1_1() -> None:
    head = parsed(b"Server: a", line=b"HTTP/1.0 404 Not  Found")

    assert head.status == 404
    assert head.start == b"HTTP/1.1 404 Not  Found\r\nServer: a\r\n"


@pytest.mark.parametrize("line", [b"HTTP/1.1 200", b"HTTP/1.1 200 "])
def test_a_status_line_may_lack_its_reason(line: bytes) -> None:
    assert parsed(line=line).start == b"HTTP/1.1 200 \r\n"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"200 OK",
        b"HTTP/1.1",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1\t200 OK",
        b" HTTP/1.1 200 OK",
        b"http/1.1 200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 099 OK",
        b"HTTP/1.1 +20 OK",
        b"HTTP/1.1 2x0 OK",
        b"HTTP/1.1 200OK",
        b"HTTP/1.1 200 O\x00K",
        b"HTTP/1.1 200 O\rK",
        b"HTTP/1.1 200 OK\nX: a",
        b"HTTP/0.9 200 OK",
        b"HTTP/1.2 200 OK",
        b"HTTP/2.0 200 OK",
        b"HTTP/2 200",
        b"ICY 200 OK",
    ],
)
def test_a_malformed_status_line_is_502(line: bytes) -> None:
    assert refused(line=line)


# -- fields -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"X: a\nY: b",
        b"X: a\rY: b",
        b"X: a\r",
        b"X: a\r\n b",
        b"X : a",
        b"X",
        b": a",
        b"X Y: a",
        b"X: \x00",
        b"X: \x7f",
        b"X\xe4: a",
    ],
)
def test_a_malformed_field_line_is_502(line: bytes) -> None:
    assert refused(line)


def test_fields_are_relayed_in_order_and_as_they_came() -> None:
    head = parsed(b"set-cookie:a", b"Server:  b", b"set-cookie: c\xff")

    assert head.start == b"HTTP/1.1 200 OK\r\nset-cookie:a\r\nServer:  b\r\nset-cookie: c\xff\r\n"


@pytest.mark.parametrize(
    "line",
    [
        b"Connection: keep-alive",
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: close",
        b"Proxy-Authenticate: Basic",
        b"Upgrade: h2c",
        b"Trailer: x-sum",
        CHUNKED_LINE,
        b"Content-Length: 5",
        b"X-Accel-Buffering: no",
        b"X-Request-Id: theirs",
    ],
)
def test_hop_by_hop_and_framing_fields_are_not_relayed_as_they_came(line: bytes) -> None:
    assert parsed(line).start == b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("order", [1, -1])
def test_what_connection_names_is_stripped(order: int) -> None:
    fields = [b"Connection: X-A", b"x-a: 1", b"X-B: 2", b"connection: close, X-C", b"x-c: 3"]

    assert parsed(*fields[::order]).start == b"HTTP/1.1 200 OK\r\nX-B: 2\r\n"


def test_trailers_are_announced_unless_connection_names_them() -> None:
    head = parsed(b"Trailer: X-Sum, x-hop", b"trailer: x-time", b"Connection: x-hop", CHUNKED_LINE)

    assert head.trailers == {b"x-sum", b"x-time"}


def test_100_fields_are_the_most() -> None:
    fields = [b"X-%d: a" % i for i in range(FIELD_COUNT_LIMIT)]

    assert parsed(*fields).start.count(b"\r\n") == FIELD_COUNT_LIMIT + 1
    assert refused(*fields, b"X: a")


def test_a_head_of_16_kib_is_the_largest_wherever_it_is_cut() -> None:
    head = OK + b"\r\nX: " + b"a" * (HEAD_LIMIT - len(OK) - 5)
    message = head + b"\r\n\r\n"

    assert parse_response(head).status == 200
    for end in range(HEAD_LIMIT - 3, len(message)):
        check_partial_response(message[:end])
    assert refused(b"X: " + b"a" * (HEAD_LIMIT - len(OK) - 4))
    with pytest.raises(MessageError):
        check_partial_response(b"a" * (HEAD_LIMIT + 4))


# -- framing ------------------------------------------------------------------------------------


def test_a_body_has_a_length_is_chunked_or_lasts_until_close() -> None:
    assert parsed(b"Content-Length: 5").body == 5
    assert parsed(CHUNKED_LINE).body == CHUNKED
    assert parsed().body == UNTIL_CLOSE


@pytest.mark.parametrize("status", [b"100", b"103", b"101", b"199", b"204", b"304"])
@pytest.mark.parametrize("framing", [(), (b"Content-Length: 5",), (CHUNKED_LINE,)])
def test_1xx_204_and_304_have_no_body_whatever_their_headers_say(
    status: bytes, framing: tuple[bytes, ...]
) -> None:
    assert parsed(*framing, line=b"HTTP/1.1 " + status).body == 0


@pytest.mark.parametrize(
    ("status", "length"),
    [
        (b"200", b"Content-Length: 5\r\n"),
        (b"304", b"Content-Length: 5\r\n"),  # of the representation (RFC 9110 8.6)
        (b"204", b""),  # RFC 9110 8.6: must not be sent
        (b"103", b""),
    ],
)
def test_the_length_is_written_anew_where_it_may_stand(status: bytes, length: bytes) -> None:
    assert parsed(b"content-length:\t05", line=b"HTTP/1.1 " + status).length == length


def test_no_length_is_made_up() -> None:
    assert parsed().length == b""
    assert parsed(CHUNKED_LINE).length == b""


@pytest.mark.parametrize(
    "value",
    [b"", b"+5", b"0x5", b"0_1", b"5, 5", b"-1", "\N{ARABIC-INDIC DIGIT FIVE}".encode(), b"9" * 19],
)
@pytest.mark.parametrize("status", [b"200", b"204", b"304"])
def test_a_content_length_of_any_other_form_is_502(value: bytes, status: bytes) -> None:
    assert refused(b"Content-Length: " + value, line=b"HTTP/1.1 " + status)


@pytest.mark.parametrize(
    "fields",
    [
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 5", b"Content-Length: 6"),
        (b"Content-Length: 5", CHUNKED_LINE),
        (CHUNKED_LINE, b"Content-Length: 5"),
        (CHUNKED_LINE, CHUNKED_LINE),
        (b"Transfer-Encoding: gzip, chunked",),
        (b"Transfer-Encoding: identity",),
        (b"Transfer-Encoding: ",),
    ],
)
def test_framing_that_can_be_read_in_two_ways_is_502(fields: tuple[bytes, ...]) -> None:
    assert refused(*fields)
    assert refused(*fields, line=b"HTTP/1.1 304 Not Modified")


def test_transfer_encoding_on_http_1_0_is_502() -> None:
    assert refused(CHUNKED_LINE, line=b"HTTP/1.0 200 OK")


# -- the upstream's connection ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "fields", "kept"),
    [
        (OK, [], True),
        (OK, [b"Connection: Close"], False),
        (OK, [b"Connection: keep-alive", b"Connection: close"], False),
        (b"HTTP/1.0 200 OK", [], False),
        (b"HTTP/1.0 200 OK", [b"Connection: Keep-Alive"], True),
    ],
)
def test_the_connection_is_kept_as_version_and_options_say(
    line: bytes, fields: list[bytes], kept: bool
) -> None:
    assert parsed(*fields, line=line).keep_alive is kept


@pytest.mark.parametrize(
    ("value", "idle"),
    [
        (b"timeout=5", 4.0),
        (b"max=100, timeout=15", 14.0),
        (b"Timeout=15; max=100", 14.0),
        (b"timeout=1", 0.5),
        (b"timeout=0", 0.5),
        (b"timeout=999999", 60.0),
        (b"timeout=-5", IDLE_SECONDS),
        (b"timeout=five", IDLE_SECONDS),
        (b"xtimeout=15", IDLE_SECONDS),
        (b"max=100", IDLE_SECONDS),
        (b"", IDLE_SECONDS),
    ],
)
def test_how_long_it_may_idle_is_learned_from_keep_alive(value: bytes, idle: float) -> None:
    assert parsed(b"Keep-Alive: " + value).idle == idle


def test_an_upgrade_is_to_websocket_and_said_by_connection() -> None:
    switching = b"HTTP/1.1 101 Switching Protocols"
    upgrade, option = b"Upgrade: WebSocket", b"Connection: upgrade"

    assert parsed(upgrade, option, line=switching).websocket
    assert not parsed(upgrade, line=switching).websocket
    assert not parsed(b"Upgrade: h2c", option, line=switching).websocket
    assert not parsed(b"Upgrade: websocket, h2c", option, line=switching).websocket


@given(RESPONSES)
@settings(deadline=None, max_examples=200)
def test_what_is_remembered_of_a_line_changes_nothing(head: bytes) -> None:
    outcomes: list[object] = []
    for _ in range(3):
        try:
            response = parse_response(head)
        except MessageError as error:
            outcomes.append(str(error))
        else:
            outcomes.append((response.start, response.length, response.body, response.trailers))

    assert outcomes[0] == outcomes[1] == outcomes[2]


@pytest.mark.parametrize("data", [b"\x00\x01", b"HTTP/1.1 200 OK\nA: b\n\n", b"<html>", b"HTP"])
def test_an_unfinished_response_that_can_become_none_is_refused_at_once(data: bytes) -> None:
    with pytest.raises(MessageError) as caught:
        check_partial_response(data)
    assert caught.value.code == 502


@pytest.mark.parametrize("data", [b"H", b"HTTP/", b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r"])
def test_the_beginning_of_a_response_is_waited_for(data: bytes) -> None:
    check_partial_response(data)
